// The queue of drops: what is sent when, tried again when, given up when. It
// knows nothing of the page; QueueView shows it.

import * as api from "./api";
import { Picked } from "./gather";
import * as kept from "./kept";
import { forget, Sender, Wishes } from "./tus";

export type ItemState = "waiting" | "sending" | "saving" | "pausing" | "paused" | "done" | "failed";

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
  attempt: { stop(): void } | null; // the one under way
  readonly wishes: Wishes;
  key: string; // names the file, where it goes in pieces and that is known
  url: string; // of its upload, where it has begun
  plain: boolean; // it goes in one piece: it is small, or the box has no place for more uploads
  from: number; // where it goes on, in bytes, where an earlier page began it
  days: number; // that it stays, where it is done and that is known
  readonly secret: string; // names the attempt: trying again after a lost answer adds nothing
  undo: string; // the page that takes it back, where it is done
  cleaned: string; // a key below "clean.", where it is done and there is something to say
  readonly keep: boolean; // what identifies in it is to be kept
}

/** Files up to this many bytes go in one piece, several at a time. */
const small = 1 << 20;
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
  async add(picked: Picked[], wishes: Wishes): Promise<void> {
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
        id: ++this.count, file: p.file, name: p.name, state: "waiting", sent: 0, note: "", resume: 0, tries: 0, moved: 0, attempt: null,
        wishes, key: "", url: "", plain: p.file.size <= small, from: 0, days: 0, secret: newSecret(), undo: "", cleaned: "", keep,
      };
      if (this.items.some((i) => i.name === p.name && same(i.file, p.file) && i.state !== "failed")) fail(item, "twice");
      else if (p.file.size > this.maxFile) fail(item, "too_large");
      else if (trouble) fail(item, trouble);
      else if (p.file.size > room) fail(item, "full");
      else room -= p.file.size;
      this.items.push(item);
    }
    this.pump();
  }

  /** Ends one file, or takes it back before it begins. The box forgets what it has of it. */
  cancel(item: Item): void {
    stop(item);
    if (item.url) forget(item.url);
    if (item.key) kept.ended(item.key);
    item.url = "";
    fail(item, "cancelled");
    this.pump();
  }

  /** Puts a failed file back into the queue. It goes on where it was, if it may. */
  retry(item: Item): void {
    item.state = "waiting";
    item.tries = 0;
    item.note = "";
    this.pump();
  }

  /** Holds one file, or lets it go on. */
  hold(item: Item, yes: boolean): void {
    if (yes ? !holdable(item) : item.state !== "paused") return;
    stop(item);
    item.state = yes ? "paused" : "waiting";
    item.tries = 0;
    this.pump();
  }

  /** Holds all that is not finished, or lets it go on. */
  holdAll(yes: boolean): void {
    for (const item of this.items) {
      if (yes ? !holdable(item) : item.state !== "paused") continue;
      stop(item);
      item.state = yes ? "paused" : "waiting";
      item.tries = 0;
    }
    this.pump();
  }

  /** True where everything that is not finished is held. */
  held(): boolean {
    return this.items.some((i) => i.state === "paused") && !this.items.some(holdable);
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
    item.state = "sending";
    item.tries++;
    item.moved = Date.now();
    if (item.plain) this.post(item);
    else if (item.key) this.upload(item);
    else this.recognise(item);
  }

  /** Finds out whether an earlier page began to send this very file. */
  private recognise(item: Item): void {
    let stopped = false;
    const attempt = { stop: () => (stopped = true) };
    item.attempt = attempt;
    kept.keyOf(item.file, item.name).then(
      (key) => {
        if (stopped || item.attempt !== attempt) return;
        item.key = key;
        const before = kept.unfinished().filter((u) => u.key === key)[0];
        if (before && !this.items.some((i) => i.url === before.url)) {
          item.url = before.url;
          item.from = -1; // it is not known yet
        }
        this.upload(item);
      },
      () => {
        if (stopped) return;
        stop(item);
        fail(item, "unreadable");
        this.pump();
      },
    );
  }

  /** Sends a large file, or what the box lacks of it. */
  private upload(item: Item): void {
    const mine = (): boolean => item.attempt === attempt;
    const attempt: Sender = new Sender(item.file, item.name, item.wishes, item.keep, item.url, {
      at: (url) => {
        item.url = url;
        kept.begun(item.key, url, item.name, item.file.size);
        this.changed();
      },
      lost: () => {
        item.url = "";
        item.from = 0;
        kept.ended(item.key);
      },
      moved: (bytes) => {
        if (!mine()) return;
        if (item.from < 0) item.from = bytes;
        if (bytes > item.sent) item.tries = 1;
        item.state = "sending";
        item.sent = bytes;
        item.moved = Date.now();
        this.changed();
      },
      arrived: () => {
        if (mine()) this.saving(item);
      },
      done: (dropped) => {
        kept.ended(item.key);
        this.done(item, dropped);
      },
      refused: (refusal) => {
        item.attempt = null;
        if (refusal.code === "busy" && !item.url) item.plain = true;
        this.refused(item, refusal);
      },
      broken: () => this.broken(item),
    });
    item.attempt = attempt;
  }

  /** Sends a file in one piece. */
  private post(item: Item): void {
    const xhr = new XMLHttpRequest();
    const attempt = { stop: () => xhr.abort() };
    const mine = (): boolean => item.attempt === attempt;
    item.attempt = attempt;
    item.sent = 0;
    let to = "/api/v1/files?name=" + encodeURIComponent(item.name);
    if (item.secret) to += "&secret=" + item.secret;
    if (item.wishes.description) to += "&description=" + encodeURIComponent(item.wishes.description);
    if (item.wishes.days) to += "&days=" + encodeURIComponent(item.wishes.days);
    if (item.keep) to += "&keep-metadata=1";
    xhr.open("POST", to);
    xhr.setRequestHeader("Content-Type", item.file.type || "application/octet-stream");
    xhr.upload.onprogress = (e) => {
      if (!mine()) return;
      item.sent = Math.min(e.loaded, item.file.size);
      item.moved = Date.now();
      this.changed();
    };
    xhr.upload.onload = () => mine() && this.saving(item);
    xhr.onload = () => {
      if (!mine()) return;
      item.attempt = null;
      if (xhr.status === 200 || xhr.status === 201) this.done(item, JSON.parse(xhr.responseText) as api.Dropped);
      else this.refused(item, api.refusalOf(xhr.responseText));
    };
    xhr.onerror = () => mine() && this.broken(item);
    xhr.send(item.file);
  }

  private saving(item: Item): void {
    item.state = "saving";
    item.moved = Date.now();
    this.changed();
  }

  private done(item: Item, dropped: api.Dropped): void {
    item.attempt = null;
    item.state = "done";
    item.sent = item.file.size;
    item.note = dropped.already ? "already" : "saved";
    item.days = dropped.days || 0;
    item.cleaned = dropped.cleaned && dropped.cleaned !== "nothing" ? dropped.cleaned : "";
    if (dropped.undo) {
      item.undo = "/undo/" + encodeURIComponent(dropped.undo);
      kept.dropped(item.name, item.undo, item.days);
    }
    this.landed();
    this.pump();
  }

  private refused(item: Item, refusal: api.Refusal): void {
    if (refusal.code === "cut") this.broken(item);
    else if (refusal.code === "busy") this.pause(item, Math.max(1, refusal.wait) * 1000 * (1 + Math.random()), "busy");
    else {
      fail(item, ["full", "too_large", "away", "other_storage", "read_only", "failing", "blocked"].indexOf(refusal.code) >= 0 ? refusal.code : "internal");
      this.pump();
    }
  }

  /** The link broke, or the file itself cannot be read any more. */
  private broken(item: Item): void {
    item.attempt = null;
    item.state = "pausing";
    item.resume = Infinity;
    const reader = new FileReader();
    reader.onload = () => item.state === "pausing" && this.pause(item, Math.min(longestPause, 1000 * Math.pow(2, item.tries)), "link");
    reader.onerror = () => {
      fail(item, "unreadable");
      this.pump();
    };
    reader.readAsArrayBuffer(item.file.slice(0, 1));
  }

  /** Waits and tries again; for the link as long as the page is open. */
  private pause(item: Item, ms: number, why: string): void {
    if (why !== "link" && item.tries >= mostTries) fail(item, why);
    else {
      item.state = "pausing";
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
      if (active(item) && item.attempt && now - item.moved > patience) {
        stop(item);
        this.broken(item);
      }
    }
    if (due) this.pump();
    else if (this.busy()) this.changed();
  }

  private resumeAll(): void {
    for (const item of this.items) if (item.state === "pausing" && item.resume !== Infinity) item.resume = 0;
    this.tick(Date.now());
  }
}

/** True while a file takes one of the lanes. */
export function active(item: Item): boolean {
  return item.state === "sending" || item.state === "saving";
}

function holdable(item: Item): boolean {
  return active(item) || item.state === "waiting" || item.state === "pausing";
}

function stop(item: Item): void {
  const attempt = item.attempt;
  item.attempt = null;
  if (attempt) attempt.stop();
}

function same(a: File, b: File): boolean {
  return a.size === b.size && a.lastModified === b.lastModified;
}

function fail(item: Item, note: string): void {
  item.state = "failed";
  item.note = note;
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
