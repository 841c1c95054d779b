// The queue of drops: what is sent when, tried again when, given up when. It
// knows nothing of the page; QueueView shows it.

import * as api from "./api";
import { Picked } from "./gather";

export type ItemState = "waiting" | "sending" | "saving" | "pausing" | "done" | "failed";

export interface Item {
  readonly id: number;
  readonly file: File;
  readonly name: string;
  state: ItemState;
  sent: number; // bytes that left this device
  note: string; // a key below "drop." where it is done or failed
  resume: number; // pausing: when it goes on, in ms since the epoch
  tries: number;
  moved: number; // when it last moved, in ms since the epoch
  xhr: XMLHttpRequest | null;
  readonly secret: string; // names the attempt: trying again after a lost answer adds nothing
  undo: string; // the page that takes it back, where it is done
  cleaned: string; // a key below "clean.", where it is done and there is something to say
  readonly keep: boolean; // what identifies in it is to be kept
}

/** Files up to this many bytes count as small and go several at a time. */
const small = 2 << 20;
const lanes = 3;
const mostTries = 8;
const longestPause = 30000;
/** A sender that moves nothing for so long is started again, in ms. */
const stall = 60000;
/** A slow disk may take so long to make a file safe, in ms. */
const stallSaving = 300000;

export class Queue {
  readonly items: Item[] = [];
  private count = 0;

  /** changed is called after every step; landed after each file that is safe. */
  constructor(
    private readonly changed: () => void,
    private readonly landed: () => void,
    private readonly maxFile: number,
  ) {
    window.setInterval(() => this.tick(Date.now()), 1000);
    window.addEventListener("online", () => this.resumeAll());
  }

  /** Takes files in; those that cannot fit are refused before a byte is sent. */
  async add(picked: Picked[]): Promise<void> {
    let room = Infinity;
    let trouble = "";
    try {
      const { usage } = await api.box();
      room = usage.room;
      trouble = usage.trouble || "";
    } catch (_) {
      // Unreachable: they wait in the queue and the server decides.
    }
    for (const item of this.items) if (active(item) || item.state === "waiting") room -= item.file.size - item.sent;
    const box = document.getElementById("keep-metadata") as HTMLInputElement | null;
    const keep = box !== null && box.checked;
    for (const p of picked) {
      const item: Item = {
        id: ++this.count, file: p.file, name: p.name, state: "waiting", sent: 0, note: "", resume: 0, tries: 0, moved: 0, xhr: null,
        secret: newSecret(), undo: "", cleaned: "", keep,
      };
      if (p.file.size > this.maxFile) fail(item, "too_large");
      else if (trouble) fail(item, trouble);
      else if (p.file.size > room) fail(item, "full");
      else room -= p.file.size;
      this.items.push(item);
    }
    this.pump();
  }

  /** Stops one file, or takes it back before it begins. */
  cancel(item: Item): void {
    if (item.xhr) item.xhr.abort();
    item.xhr = null;
    fail(item, "cancelled");
    this.pump();
  }

  /** Puts a failed file back into the queue. */
  retry(item: Item): void {
    item.state = "waiting";
    item.sent = 0;
    item.tries = 0;
    item.note = "";
    this.pump();
  }

  /** Forgets all that is done or failed. */
  clear(): void {
    const rest = this.items.filter((i) => i.state !== "done" && i.state !== "failed");
    this.items.splice(0, this.items.length, ...rest);
    this.changed();
  }

  busy(): boolean {
    return this.items.some((i) => i.state !== "done" && i.state !== "failed");
  }

  /** Starts what may start: at most one large file and some small ones. */
  private pump(): void {
    const going = this.items.filter(active);
    let free = lanes - going.length;
    let large = going.some((i) => i.file.size > small);
    for (const item of this.items) {
      if (free <= 0) break;
      if (item.state !== "waiting" || (large && item.file.size > small)) continue;
      if (item.file.size > small) large = true;
      free--;
      this.start(item);
    }
    this.changed();
  }

  private start(item: Item): void {
    const xhr = new XMLHttpRequest();
    item.xhr = xhr;
    item.state = "sending";
    item.sent = 0;
    item.tries++;
    item.moved = Date.now();
    xhr.open("POST", "/api/v1/files?name=" + encodeURIComponent(item.name) + (item.secret ? "&secret=" + item.secret : "") + (item.keep ? "&keep-metadata=1" : ""));
    xhr.setRequestHeader("Content-Type", item.file.type || "application/octet-stream");
    xhr.upload.onprogress = (e) => {
      if (item.xhr !== xhr) return;
      item.sent = Math.min(e.loaded, item.file.size);
      item.moved = Date.now();
      this.changed();
    };
    xhr.upload.onload = () => {
      if (item.xhr !== xhr) return;
      item.state = "saving";
      item.moved = Date.now();
      this.changed();
    };
    xhr.onload = () => item.xhr === xhr && this.answered(item, xhr);
    xhr.onerror = () => item.xhr === xhr && this.broken(item);
    xhr.send(item.file);
  }

  private answered(item: Item, xhr: XMLHttpRequest): void {
    item.xhr = null;
    if (xhr.status === 200 || xhr.status === 201) {
      item.state = "done";
      item.sent = item.file.size;
      item.note = xhr.status === 200 ? "already" : "saved";
      this.read(item, xhr.responseText);
      this.landed();
      this.pump();
      return;
    }
    const refusal = api.refusalOf(xhr.responseText);
    if (refusal.code === "cut") this.broken(item);
    else if (refusal.code === "busy") this.pause(item, Math.max(1, refusal.wait) * 1000 * (1 + Math.random()), "busy");
    else {
      fail(item, ["full", "too_large", "away", "other_storage", "read_only", "failing", "blocked"].indexOf(refusal.code) >= 0 ? refusal.code : "internal");
      this.pump();
    }
  }

  /** Takes from the answer how the drop is taken back, and what was removed from it. */
  private read(item: Item, answer: string): void {
    try {
      const dropped = JSON.parse(answer) as api.Dropped;
      item.undo = dropped.undo ? "/undo/" + encodeURIComponent(dropped.undo) : "";
      item.cleaned = dropped.cleaned && dropped.cleaned !== "nothing" ? dropped.cleaned : "";
    } catch (_) {
      // It is saved all the same.
    }
  }

  /** The link broke, or the file itself cannot be read any more. */
  private broken(item: Item): void {
    item.xhr = null;
    const reader = new FileReader();
    reader.onload = () => this.pause(item, Math.min(longestPause, 1000 * Math.pow(2, item.tries)), "link");
    reader.onerror = () => {
      fail(item, "unreadable");
      this.pump();
    };
    reader.readAsArrayBuffer(item.file.slice(0, 1));
  }

  private pause(item: Item, ms: number, why: string): void {
    if (item.state === "failed") return; // cancelled meanwhile
    if (item.tries >= mostTries) fail(item, why);
    else {
      item.state = "pausing";
      item.sent = 0;
      item.resume = Date.now() + ms;
    }
    this.pump();
  }

  private tick(now: number): void {
    let due = false;
    for (const item of this.items) {
      if (item.state === "pausing" && item.resume <= now) {
        item.state = "waiting";
        due = true;
      }
      const patience = item.state === "saving" ? stallSaving : stall;
      if (active(item) && item.xhr && now - item.moved > patience) {
        const xhr = item.xhr;
        item.xhr = null;
        xhr.abort();
        this.broken(item);
      }
    }
    if (due) this.pump();
    else if (this.busy()) this.changed();
  }

  private resumeAll(): void {
    for (const item of this.items) if (item.state === "pausing") item.resume = 0;
    this.tick(Date.now());
  }
}

/** True while a file takes one of the lanes. */
export function active(item: Item): boolean {
  return item.state === "sending" || item.state === "saving";
}

function fail(item: Item, note: string): void {
  item.state = "failed";
  item.note = note;
  item.sent = 0;
}

/** 16 bytes of chance in the form of the API, or nothing where the browser has none. */
function newSecret(): string {
  if (!window.crypto || !window.crypto.getRandomValues) return "";
  const letters = "abcdefghijklmnopqrstuvwxyz234567";
  const bytes = window.crypto.getRandomValues(new Uint8Array(16));
  let text = "";
  let held = 0;
  let bits = 0;
  for (let i = 0; i < bytes.length; i++) {
    held = (held << 8) | (bytes[i] as number);
    for (bits += 8; bits >= 5; bits -= 5) text += letters.charAt((held >> (bits - 5)) & 31);
    held &= 31;
  }
  return text + letters.charAt((held << (5 - bits)) & 31);
}
