// The lobby: messages as they come, and saying something without losing a word.

import * as api from "./api";
import { must, part, put, recall, remember, shape, token } from "./dom";
import { clock, t } from "./words";

/** How many messages the page keeps. */
const mostMessages = 300;
/** How near the end counts as reading along, in pixels. */
const nearEnd = 80;

export class Chat {
  private readonly room = document.body.dataset["room"] || "lobby";
  private readonly self = document.body.dataset["self"] || "";
  private readonly talk = must("talk");
  private readonly list = must("messages");
  private readonly empty = must("chat-empty");
  private readonly newer = must("newer");
  private readonly badge = must("unread");
  private readonly form = must("say") as HTMLFormElement;
  private readonly nick = must("nick") as HTMLInputElement;
  private readonly text = must("text") as HTMLTextAreaElement;
  private readonly trouble = must("say-trouble");
  private readonly send = part(this.form, ".send") as HTMLButtonElement;
  private readonly seen = new Map<string, HTMLElement>();
  private visible = true;
  private unread = 0;
  private attempt = { words: "", once: "" };

  constructor() {
    for (const li of Array.from(this.list.children) as HTMLElement[]) this.seen.set(li.dataset["id"] || "", li);
    this.tick(Date.now());
    this.toEnd();
    this.talk.addEventListener("scroll", () => {
      if (this.atEnd()) this.newer.hidden = true;
    });
    this.newer.addEventListener("click", () => {
      this.newer.hidden = true;
      this.toEnd();
    });
    this.watchSight();
    this.keepWords();
    this.form.addEventListener("submit", (e) => {
      e.preventDefault();
      void this.say();
    });
  }

  /** Reads the room again, after the link was down. */
  async refresh(): Promise<void> {
    const page = await api.messages(this.room);
    const alive = new Set(page.messages.map((m) => m.id));
    const oldest = page.messages[0];
    // What is inside the answer's span and not in it was taken down meanwhile.
    this.seen.forEach((li, id) => {
      const at = part(li, "time").getAttribute("datetime") || "";
      if (!alive.has(id) && (!oldest || at >= oldest.at)) this.withdraw(id);
    });
    page.messages.forEach((m) => this.add(m));
  }

  /** Shows a message in its place, once. */
  add(m: api.Message): void {
    if (this.seen.has(m.id)) return;
    const follow = this.atEnd();
    const li = shape("message-shape");
    fill(li, m, this.self);
    let before: Element | null = null;
    for (let e = this.list.lastElementChild; e; e = e.previousElementSibling) {
      if ((part(e, "time").getAttribute("datetime") || "") <= m.at) break;
      before = e;
    }
    this.list.insertBefore(li, before);
    this.seen.set(m.id, li);
    this.empty.hidden = true;
    const first = this.list.firstElementChild as HTMLElement | null;
    if (this.seen.size > mostMessages && first) this.withdraw(first.dataset["id"] || "");
    if (follow) this.toEnd();
    else this.newer.hidden = false;
    if (!this.visible || document.hidden) this.count(this.unread + 1);
  }

  /** Takes a message off the page. */
  withdraw(id: string): void {
    const li = this.seen.get(id);
    if (!li) return;
    this.list.removeChild(li);
    this.seen.delete(id);
  }

  /** Keeps the times true. */
  tick(now: number): void {
    this.seen.forEach((li) => {
      const time = part(li, "time");
      put(time, clock(time.getAttribute("datetime") || "", now));
    });
  }

  private async say(): Promise<void> {
    const text = this.text.value;
    const nick = this.nick.value;
    if (!text.trim() || this.send.disabled) return;
    // A second try of the same words is the same attempt: the first may have
    // arrived although its answer did not.
    const words = nick + "\n" + text;
    if (this.attempt.words !== words) this.attempt = { words, once: token() };
    this.send.disabled = true;
    this.trouble.hidden = true;
    try {
      const m = await api.say(this.room, { nick, text, once: this.attempt.once });
      this.attempt = { words: "", once: "" };
      if (this.text.value === text) this.text.value = "";
      this.fit();
      remember("sessionStorage", "draft", this.text.value);
      this.add(m);
      this.toEnd();
    } catch (e) {
      const r = e instanceof api.Refusal ? e : new api.Refusal("internal", 0);
      const known = r.code === "too_fast" || r.code === "too_long" ? r.code : r.code === "link" || r.code === "busy" ? "failed" : "internal";
      put(this.trouble, t("chat." + known, { n: r.wait }));
      this.trouble.hidden = false;
    } finally {
      this.send.disabled = false;
    }
  }

  /** What is typed survives a reload; the name survives the visit. */
  private keepWords(): void {
    this.nick.value = this.nick.value || recall("localStorage", "nick");
    this.text.value = this.text.value || recall("sessionStorage", "draft");
    this.nick.addEventListener("input", () => remember("localStorage", "nick", this.nick.value));
    this.text.addEventListener("input", () => {
      remember("sessionStorage", "draft", this.text.value);
      this.fit();
    });
    this.fit();
    // Enter sends where there is a real keyboard; on a phone it makes a line.
    const keyboard = window.matchMedia("(hover: hover) and (pointer: fine)").matches;
    this.text.addEventListener("keydown", (e) => {
      if (e.key !== "Enter" || e.isComposing || e.shiftKey || !(keyboard || e.ctrlKey || e.metaKey)) return;
      e.preventDefault();
      void this.say();
    });
  }

  private fit(): void {
    this.text.dir = this.text.value ? "auto" : ""; // an empty field has the page's direction
    const lines = this.text.value.split("\n").length;
    this.text.rows = Math.max(2, Math.min(6, Math.max(lines, Math.ceil(this.text.value.length / 34))));
  }

  private watchSight(): void {
    if (!("IntersectionObserver" in window)) return;
    new IntersectionObserver((entries) => {
      this.visible = entries.some((e) => e.isIntersecting);
      if (this.visible && !document.hidden) this.count(0);
    }).observe(this.talk);
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && this.visible) this.count(0);
    });
  }

  private count(n: number): void {
    this.unread = n;
    this.badge.hidden = n === 0;
    put(this.badge, n > 99 ? "99+" : String(n));
  }

  private atEnd(): boolean {
    return this.talk.scrollHeight - this.talk.scrollTop - this.talk.clientHeight < nearEnd;
  }

  private toEnd(): void {
    this.talk.scrollTop = this.talk.scrollHeight;
  }
}

/** Writes a message into a row of the page. The text is never markup. */
function fill(li: HTMLElement, m: api.Message, self: string): void {
  li.dataset["id"] = m.id;
  li.dataset["colour"] = String(m.colour);
  const letter = /[0-9A-Za-z\u00aa-\uffff]/.exec(m.nick);
  if (m.nick) put(part(li, ".disc"), letter && letter[0] < "\ud800" ? letter[0].toUpperCase() : Array.from(m.nick)[0] || "");
  put(part(li, ".msg-nick"), m.nick || t("chat.someone"));
  const box = part(li, ".msg-box");
  box.hidden = m.from.id === self || !m.from.name;
  put(part(box, "bdi"), m.from.name);
  const time = part(li, "time");
  time.setAttribute("datetime", m.at);
  put(time, clock(m.at, Date.now()));
  put(part(li, ".msg-text"), m.text);
}
