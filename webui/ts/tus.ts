// Sends one large file in pieces by the tus protocol (API.md): asks how much the
// box has, sends the rest, asks what became of it.

import * as api from "./api";

/** What the box says of an upload. */
interface State {
  offset: number;
  size: number;
  dropped?: api.Dropped;
}

/** What a sender tells its owner. After end or a call of stop it tells nothing more. */
export interface Told {
  /** The upload has this address now. */
  at(url: string): void;
  /** The box has forgotten it. */
  lost(): void;
  /** So many bytes have left this device, or are there already. */
  moved(bytes: number): void;
  /** All has left; the box makes it safe. */
  arrived(): void;
  done(dropped: api.Dropped): void;
  refused(refusal: api.Refusal): void;
  /** The link broke, or nothing moved for too long. */
  broken(): void;
}

export interface Wishes {
  description: string;
  days: string;
}

const header = "Tus-Resumable";
const version = "1.0.0";

/** One attempt at sending. */
export class Sender {
  private xhr: XMLHttpRequest | null = null;
  private restarts = 0;

  constructor(
    private readonly file: File,
    private readonly name: string,
    private readonly wishes: Wishes,
    private readonly keep: boolean,
    private url: string,
    private readonly told: Told,
  ) {
    if (url) this.ask();
    else this.create();
  }

  /** Ends the attempt. What the box has stays there. */
  stop(): void {
    const xhr = this.xhr;
    this.xhr = null;
    if (xhr) xhr.abort();
  }

  private call(method: string, url: string, headers: Record<string, string>, body: Blob | null, answered: (xhr: XMLHttpRequest) => void): XMLHttpRequest {
    const xhr = new XMLHttpRequest();
    this.xhr = xhr;
    xhr.open(method, url);
    xhr.setRequestHeader(header, version);
    for (const name of Object.keys(headers)) xhr.setRequestHeader(name, headers[name] as string);
    xhr.onload = () => {
      if (this.xhr !== xhr) return;
      this.xhr = null;
      answered(xhr);
    };
    xhr.onerror = () => {
      if (this.xhr !== xhr) return;
      this.xhr = null;
      this.told.broken();
    };
    if (body === null || method !== "PATCH") xhr.send(body);
    return xhr;
  }

  private refused(xhr: XMLHttpRequest): void {
    const refusal = api.refusalOf(xhr.responseText);
    if (refusal.code === "cut") this.told.broken();
    else this.told.refused(refusal);
  }

  private create(): void {
    const metadata = ["filename " + base64(this.name), "filetype " + base64(this.file.type)];
    if (this.wishes.description) metadata.push("description " + base64(this.wishes.description));
    if (this.wishes.days) metadata.push("days " + base64(this.wishes.days));
    if (this.keep) metadata.push("keep-metadata " + base64("1"));
    this.call("POST", "/api/v1/uploads", { "Upload-Length": String(this.file.size), "Upload-Metadata": metadata.join(",") }, null, (xhr) => {
      const at = xhr.getResponseHeader("Location");
      if (xhr.status !== 201 || !at) {
        this.refused(xhr);
        return;
      }
      this.url = at;
      this.told.at(at);
      this.send(0);
    });
  }

  private ask(): void {
    this.call("GET", this.url, {}, null, (xhr) => {
      if (xhr.status === 404) this.again();
      else if (xhr.status !== 200) this.refused(xhr);
      else {
        const state = JSON.parse(xhr.responseText) as State;
        if (state.dropped) this.told.done(state.dropped);
        else if (state.size !== this.file.size) this.again();
        else this.send(state.offset);
      }
    });
  }

  /** The box has forgotten the upload: begins a new one, once. */
  private again(): void {
    this.told.lost();
    this.url = "";
    if (this.restarts++ > 0) this.told.refused(new api.Refusal("internal", 0));
    else this.create();
  }

  private send(offset: number): void {
    this.told.moved(offset);
    const rest = this.file.slice(offset);
    const headers = { "Content-Type": "application/offset+octet-stream", "Upload-Offset": String(offset) };
    const xhr = this.call("PATCH", this.url, headers, rest, (xhr) => {
      if (xhr.status === 204 || xhr.status === 409) this.ask();
      else if (xhr.status === 404) this.again();
      else this.refused(xhr);
    });
    xhr.upload.onprogress = (e) => this.xhr === xhr && this.told.moved(offset + Math.min(e.loaded, rest.size));
    xhr.upload.onload = () => this.xhr === xhr && this.told.arrived();
    xhr.send(rest);
  }
}

/** Has the box forget an upload. Whether that is heard does not matter: it is old in a day. */
export function forget(url: string): void {
  const xhr = new XMLHttpRequest();
  xhr.open("DELETE", url);
  xhr.setRequestHeader(header, version);
  xhr.send();
}

/** Text in UTF-8 in base64. */
function base64(text: string): string {
  return window.btoa(encodeURIComponent(text).replace(/%([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16))));
}
