// The box's JSON API (API.md), as far as this page uses it.

export interface BoxRef {
  id: string;
  name: string;
  self: boolean;
}

export interface SharedFile {
  id: string;
  cid: string;
  name: string;
  size: number;
  kind: string;
  added: string;
  from: BoxRef;
  state: "here" | "mending" | "coming" | "near" | "away";
  /** When the box that has it was last heard of, where it is away. */
  seen?: string;
  landed: number;
  description?: string;
  url: string;
}

export interface FileList {
  total: number;
  offset: number;
  files: SharedFile[];
}

export interface Message {
  id: string;
  room: string;
  nick: string;
  text: string;
  from: BoxRef;
  at: string;
  colour: number;
  mark: number;
  /** The mark as a word; missing where there is none. */
  tag?: string;
  /** The id of the message that this one answers to. */
  reply?: string;
}

export interface MessageList {
  messages: Message[];
}

export interface Peer {
  id: string;
  name: string;
  connected: boolean;
  lastSeen?: string;
  files: number;
}

export interface PeerList {
  peers: Peer[];
}

export interface BoxState {
  name: string;
  /** trouble is the code of what keeps anything from being dropped. */
  usage: { files: number; room: number; trouble?: string };
}

export interface Dropped {
  file: SharedFile;
  already: boolean;
  undo: string; // takes it back, see /undo/
  days: number; // that it stays, as things are
  cleaned?: "location" | "removed" | "nothing" | "cannot" | "kept";
}

/** What the server said no with; code "link" where it could not be reached. */
export class Refusal extends Error {
  constructor(
    readonly code: string,
    readonly wait: number,
  ) {
    super(code);
  }
}

/** How long an answer may take, in milliseconds. */
const patience = 20000;

/** Reads the refusal in an answer's body. */
export function refusalOf(body: string): Refusal {
  try {
    const e = (JSON.parse(body) as { error: { code: string; retryAfter?: number } }).error;
    return new Refusal(e.code, e.retryAfter || 0);
  } catch (_) {
    return new Refusal("internal", 0);
  }
}

async function call<T>(path: string, init: RequestInit): Promise<T> {
  let late = 0;
  const timeout = new Promise<never>((_, reject) => {
    late = window.setTimeout(() => reject(new Refusal("link", 0)), patience);
  });
  try {
    const answer = await Promise.race([fetch(path, init), timeout]).catch(() => {
      throw new Refusal("link", 0);
    });
    const body = await Promise.race([answer.text(), timeout]).catch(() => {
      throw new Refusal("link", 0);
    });
    if (!answer.ok) throw refusalOf(body);
    return JSON.parse(body) as T;
  } finally {
    window.clearTimeout(late);
  }
}

export const files = (q: string, offset: number, limit: number): Promise<FileList> =>
  call<FileList>("/api/v1/files?q=" + encodeURIComponent(q) + "&offset=" + offset + "&limit=" + limit, { cache: "no-cache" });

export const messages = (room: string): Promise<MessageList> =>
  call<MessageList>("/api/v1/rooms/" + encodeURIComponent(room) + "/messages?limit=50", { cache: "no-cache" });

export const peers = (): Promise<PeerList> => call<PeerList>("/api/v1/peers", { cache: "no-cache" });

export const box = (): Promise<BoxState> => call<BoxState>("/api/v1/box", { cache: "no-cache" });

export const say = (room: string, draft: { nick: string; text: string; once: string; mark: string; reply: string }): Promise<Message> =>
  call<Message>("/api/v1/rooms/" + encodeURIComponent(room) + "/messages", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(draft),
  });

/** Drops one file on the box and returns the path under which all boxes have it. */
export const drop = async (file: File): Promise<string> => {
  const answer = await fetch("/api/v1/files?name=" + encodeURIComponent(file.name || "picture"), { method: "POST", body: file });
  const body = await answer.text();
  if (!answer.ok) throw refusalOf(body);
  const done = JSON.parse(body) as { file: SharedFile };
  return "/f/" + done.file.cid + "/" + encodeURIComponent(done.file.name.slice(done.file.name.lastIndexOf("/") + 1));
};

/** Tells a box that does not know the time what time it is here. */
export const tellTime = (now: number): void => {
  void fetch("/api/v1/time", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ now }),
  }).catch(() => undefined);
};
