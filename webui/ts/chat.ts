// The lobby: messages as they come, and saying something without losing a word.

import * as api from "./api";
import { make, must, part, put, recall, remember, secretOf, shape, token } from "./dom";
import { writeWords } from "./pieces";
import { clock, t, tn } from "./words";

/** How many messages the page keeps. */
const mostMessages = 300;
/** How near the end counts as reading along, in pixels. */
const nearEnd = 80;
/** How many people this browser remembers to ignore. */
const mostIgnored = 200;
/** How much of a message is shown above the answer to it. */
const quoteLength = 80;

export class Chat {
  private readonly room = document.body.dataset["room"] || "lobby";
  private readonly self = document.body.dataset["self"] || "";
  private readonly talk = must("talk");
  private readonly list = must("messages");
  private readonly empty = must("chat-empty");
  private readonly newer = must("newer");
  private readonly badge = document.getElementById("unread"); // a page of one room has none
  private readonly form = must("say") as HTMLFormElement;
  private readonly nick = must("nick") as HTMLInputElement;
  private readonly text = must("text") as HTMLTextAreaElement;
  private readonly trouble = must("say-trouble");
  private readonly send = part(this.form, ".send") as HTMLButtonElement;
  private readonly seen = new Map<string, HTMLElement>();
  private visible = true;
  private unread = 0;
  private attempt = { words: "", once: "" };
  private readonly reply = must("reply") as HTMLInputElement;
  private readonly answering = must("answering");
  private ignored: string[] = [];

  constructor() {
    const kept = recall("localStorage", "ignored");
    if (kept) this.ignored = kept.split("\n");
    for (const li of Array.from(this.list.children) as HTMLElement[]) {
      this.seen.set(li.dataset["id"] || "", li);
      part(li, ".msg-ignore").hidden = false;
    }
    this.watchWays();
    this.pictures();
    this.showIgnored();
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
    this.quote(part(li, ".msg-quote"), m.reply || "");
    part(li, ".msg-ignore").hidden = false;
    (part(li, ".msg-reply") as HTMLAnchorElement).href = "/room/" + encodeURIComponent(m.room) + "?reply=" + m.id + "#say";
    li.hidden = this.ignored.indexOf(whose(li)) >= 0;
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
    if (li.hidden) this.showIgnored();
    else if (!this.visible || document.hidden) this.count(this.unread + 1);
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
    const reply = this.reply.value;
    const words = nick + "\n" + reply + "\n" + text;
    if (this.attempt.words !== words) this.attempt = { words, once: token() };
    this.send.disabled = true;
    this.trouble.hidden = true;
    try {
      const m = await api.say(this.room, { nick, text, once: this.attempt.once, mark: secretOf(this.room), reply });
      this.attempt = { words: "", once: "" };
      if (this.text.value === text) this.text.value = "";
      this.fit();
      remember("sessionStorage", "draft:" + this.room, this.text.value);
      this.answer("");
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
    this.text.value = this.text.value || recall("sessionStorage", "draft:" + this.room);
    this.nick.addEventListener("input", () => remember("localStorage", "nick", this.nick.value));
    this.text.addEventListener("input", () => {
      remember("sessionStorage", "draft:" + this.room, this.text.value);
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

  /** Answers and ignores by the buttons of the messages. */
  private watchWays(): void {
    this.list.addEventListener("click", (e) => {
      const at = e.target as HTMLElement;
      const li = at.closest<HTMLElement>(".msg");
      if (!li) return;
      if (at.classList.contains("msg-reply")) {
        e.preventDefault();
        this.answer(li.dataset["id"] || "");
        this.text.focus();
      } else if (at.classList.contains("msg-ignore")) {
        this.ignored = this.ignored.concat(whose(li)).slice(-mostIgnored);
        this.showIgnored();
      } else return;
      (part(li, ".msg-more") as HTMLDetailsElement).open = false;
    });
    must("answer-not").addEventListener("click", (e) => {
      e.preventDefault();
      this.answer("");
      this.text.focus();
    });
    must("ignored-show").addEventListener("click", () => {
      this.ignored = [];
      this.showIgnored();
    });
  }

  /** Has the form answer a message; to none where id is empty. */
  private answer(id: string): void {
    this.reply.value = id;
    this.answering.hidden = !id;
    this.quote(must("answering-quote"), id);
  }

  /** Shows the beginning of a message that is answered to. */
  private quote(into: HTMLElement, id: string): void {
    if (into.classList.contains("msg-quote")) into.hidden = !id;
    const li = id ? this.seen.get(id) : undefined;
    const words = li ? (part(li, ".msg-text").textContent || "").replace(/\s+/g, " ").trim() : "";
    put(into, li ? "" : "…");
    if (!li) return;
    const nick = make("bdi", "quote-nick");
    nick.textContent = part(li, ".msg-nick").textContent;
    const text = make("bdi", "");
    text.textContent = words.length > quoteLength ? words.slice(0, quoteLength) + "…" : words;
    [nick, document.createTextNode(" "), text].forEach((n) => into.appendChild(n));
  }

  /** Hides what the ignored said, and says how much that is. */
  private showIgnored(): void {
    remember("localStorage", "ignored", this.ignored.join("\n"));
    let hidden = 0;
    this.seen.forEach((li) => {
      li.hidden = this.ignored.indexOf(whose(li)) >= 0;
      if (li.hidden) hidden++;
    });
    must("ignored").hidden = hidden === 0;
    put(must("ignored-count"), tn("chat.ignored", hidden));
  }

  /** Adds pictures by the button, by dropping and by pasting: they are dropped on the box like any file. */
  private pictures(): void {
    const input = must("attach-file") as HTMLInputElement;
    must("attach").hidden = false;
    input.addEventListener("change", () => {
      void this.attach(Array.from(input.files || []));
      input.value = "";
    });
    this.form.addEventListener("paste", (e) => {
      const files = Array.from((e.clipboardData && e.clipboardData.files) || []);
      if (files.length === 0) return;
      e.preventDefault(); // so that the page does not take it for a drop
      void this.attach(files);
    });
    const chat = must("chat");
    chat.addEventListener("drop", (e) => {
      const files = Array.from((e.dataTransfer && e.dataTransfer.files) || []);
      if (files.length === 0) return;
      e.preventDefault();
      void this.attach(files);
    });
    chat.addEventListener("dragover", (e) => e.preventDefault());
  }

  private async attach(files: File[]): Promise<void> {
    for (const f of files) {
      try {
        const url = await api.drop(f);
        const before = this.text.value;
        this.text.value = before + (before && !/\s$/.test(before) ? "\n" : "") + url + "\n";
        remember("sessionStorage", "draft:" + this.room, this.text.value);
        this.trouble.hidden = true;
      } catch (_) {
        put(this.trouble, t("chat.picture"));
        this.trouble.hidden = false;
      }
    }
    this.fit();
    this.text.focus();
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
    if (!this.badge) return;
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
  li.id = "m-" + m.id;
  li.dataset["colour"] = String(m.colour);
  li.dataset["from"] = m.from.id;
  li.dataset["mark"] = String(m.mark);
  const tag = part(li, ".msg-tag");
  tag.hidden = !m.tag;
  put(tag, m.tag || "");
  const letter = /[0-9A-Za-z\u00aa-\uffff]/.exec(m.nick);
  if (m.nick) put(part(li, ".disc"), letter && letter[0] < "\ud800" ? letter[0].toUpperCase() : Array.from(m.nick)[0] || "");
  put(part(li, ".msg-nick"), m.nick || t("chat.someone"));
  const box = part(li, ".msg-box");
  box.hidden = m.from.id === self || !m.from.name;
  put(part(box, "bdi"), m.from.name);
  const time = part(li, "time");
  time.setAttribute("datetime", m.at);
  put(time, clock(m.at, Date.now()));
  writeWords(part(li, ".msg-text"), m.text);
}

/** What tells one who talks from others: the mark, or the name where there is none. */
function whose(li: HTMLElement): string {
  const mark = li.dataset["mark"];
  return (li.dataset["from"] || "") + "|" + (mark && mark !== "0" ? mark : part(li, ".msg-nick").textContent || "");
}
