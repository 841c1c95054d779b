// What this browser remembers of its drops, and nobody else: uploads that are not
// finished, to go on with after a reload, and the links that take drops back.

import { recall, remember } from "./dom";

/** An unfinished upload. */
export interface Unfinished {
  key: string; // of the file, see keyOf
  url: string;
  name: string;
  size: number;
  until: number; // ms since the epoch: the box has forgotten it then
}

/** The link that takes a drop back. */
export interface Mine {
  name: string;
  undo: string;
  until: number;
}

const day = 86400000;
const most = 100;

class Shelf<T extends { until: number }> {
  constructor(private readonly key: string) {}

  all(): T[] {
    try {
      const list = JSON.parse(recall("localStorage", this.key) || "[]") as T[];
      return list.filter((one) => one.until > Date.now());
    } catch (_) {
      return [];
    }
  }

  /** Puts one at the front and takes out those that are not to stay. */
  put(one: T | null, stays: (other: T) => boolean): void {
    const list = this.all().filter(stays);
    if (one) list.unshift(one);
    remember("localStorage", this.key, list.length > 0 ? JSON.stringify(list.slice(0, most)) : "");
  }
}

const uploads = new Shelf<Unfinished>("boucan.uploads");
const drops = new Shelf<Mine>("boucan.drops");

export const unfinished = (): Unfinished[] => uploads.all();

export function begun(key: string, url: string, name: string, size: number): void {
  uploads.put({ key, url, name, size, until: Date.now() + day }, (u) => u.key !== key);
}

export function ended(key: string): void {
  uploads.put(null, (u) => u.key !== key);
}

export const mine = (): Mine[] => drops.all();

export function dropped(name: string, undo: string, days: number): void {
  drops.put({ name, undo, until: Date.now() + Math.max(1, days) * day }, (m) => m.undo !== undo);
}

export function forgetMine(): void {
  drops.put(null, () => false);
}

/** How much of each end of a file its key is made of. */
const sample = 65536;

/** Names a file: its name, size, time, and a hash of both its ends. It fails where the file cannot be read. */
export async function keyOf(file: File, name: string): Promise<string> {
  const first = await read(file.slice(0, sample));
  const last = await read(file.slice(Math.max(0, file.size - sample)));
  return [name, file.size, file.lastModified, hash(first), hash(last)].join("|");
}

function read(part: Blob): Promise<ArrayBuffer> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result as ArrayBuffer);
    reader.onerror = () => reject(reader.error);
    reader.readAsArrayBuffer(part);
  });
}

/** FNV-1a of 32 bits: enough to tell versions of one file apart. crypto.subtle is not there on plain HTTP. */
function hash(data: ArrayBuffer): string {
  const bytes = new Uint8Array(data);
  let h = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) h = Math.imul(h ^ (bytes[i] as number), 0x01000193);
  return (h >>> 0).toString(36);
}
