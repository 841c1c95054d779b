// Shows the queue of drops: each file and the whole, how fast, how much longer.

import { arrange, icon, make, must, part, put, setIcon } from "./dom";
import { active, Item, Queue } from "./queue";
import { size, t, tn } from "./words";

/** How many files are shown one by one. */
const mostRows = 12;
const frame = 200;

export class QueueView {
  private readonly root = must("queue");
  private readonly list = must("queue-list");
  private readonly sum = must("queue-sum");
  private readonly meter = must("queue-meter");
  private readonly clear = must("queue-clear");
  private readonly hold = must("queue-hold");
  private readonly status = must("drop-status");
  private readonly rows = new Map<number, HTMLElement>();
  private readonly rest = make("li", "quiet");
  private drawn = 0;
  private speed = { at: 0, bytes: 0, rate: 0 };

  constructor(private readonly queue: () => Queue) {
    this.clear.addEventListener("click", () => this.queue().clear());
    this.hold.addEventListener("click", () => this.queue().holdAll(!this.queue().held()));
    window.addEventListener("beforeunload", (e) => {
      if (!this.queue().busy()) return;
      e.preventDefault();
      e.returnValue = t("queue.stay");
    });
  }

  /** Draws soon; many calls make one drawing. */
  changed(): void {
    if (this.drawn) return;
    this.drawn = window.setTimeout(() => {
      this.drawn = 0;
      this.draw(Date.now());
    }, frame);
  }

  private draw(now: number): void {
    const items = this.queue().items;
    this.root.hidden = items.length === 0;
    must("drop").classList.toggle("busy", items.length > 0);
    const shown = choose(items);
    const wanted: Element[] = shown.map((item) => {
      let row = this.rows.get(item.id);
      if (!row) {
        row = this.row(item);
        this.rows.set(item.id, row);
      }
      fill(row, item, now);
      return row;
    });
    if (shown.length < items.length) {
      put(this.rest, tn("queue.more", items.length - shown.length));
      wanted.push(this.rest);
    }
    arrange(this.list, wanted);
    const keep = new Set(shown.map((i) => i.id));
    Array.from(this.rows.keys()).forEach((id) => keep.has(id) || this.rows.delete(id));
    this.whole(items, now);
  }

  private whole(items: Item[], now: number): void {
    const counted = items.filter((i) => i.state !== "failed");
    const total = counted.reduce((n, i) => n + i.file.size, 0);
    const sent = counted.reduce((n, i) => n + i.sent, 0);
    const done = items.filter((i) => i.state === "done").length;
    const failed = items.length - counted.length;
    const busy = this.queue().busy();
    const share = total > 0 ? sent / total : counted.length > 0 ? done / counted.length : 0;
    slide(this.meter, busy ? share : done > 0 ? 1 : 0);
    this.clear.hidden = busy;
    this.hold.hidden = !busy;
    put(this.hold, t(this.queue().held() ? "queue.goon" : "queue.hold"));
    if (busy) {
      put(this.sum, this.going(sent, total, now));
      put(this.status, "");
      return;
    }
    this.speed = { at: 0, bytes: 0, rate: 0 };
    const words = [];
    if (done > 0) words.push(tn("queue.done", done));
    if (failed > 0) words.push(tn("queue.failed", failed));
    put(this.sum, words.join(" · "));
    put(this.status, words.join(", "));
  }

  /** The speed is an average that forgets half in about three seconds. */
  private going(sent: number, total: number, now: number): string {
    const s = this.speed;
    if (s.at === 0 || sent < s.bytes) this.speed = { at: now, bytes: sent, rate: 0 };
    else if (now - s.at >= 500) {
      const seconds = (now - s.at) / 1000;
      const fresh = (sent - s.bytes) / seconds;
      const weight = s.rate === 0 ? 1 : 1 - Math.pow(0.8, seconds);
      this.speed = { at: now, bytes: sent, rate: s.rate + (fresh - s.rate) * weight };
    }
    const rate = this.speed.rate;
    const values = { done: size(sent), total: size(total) };
    if (rate < 1 || total <= sent) return t("queue.start", values);
    return t("queue.going", { ...values, rate: size(rate), left: left((total - sent) / rate) });
  }

  private row(item: Item): HTMLElement {
    const li = make("li", "");
    const words = make("div", "queue-words");
    const name = make("bdi", "queue-name");
    name.textContent = item.name.slice(item.name.lastIndexOf("/") + 1);
    const meter = make("div", "meter");
    meter.appendChild(make("span", ""));
    words.appendChild(name);
    words.appendChild(make("span", "queue-note"));
    words.appendChild(meter);
    li.appendChild(words);
    const undo = make("a", "queue-undo reach");
    undo.textContent = t("queue.undo");
    undo.hidden = true;
    li.appendChild(undo);
    const hold = button("pause", t("queue.hold"), () => this.queue().hold(item, item.state !== "paused"));
    hold.classList.add("queue-hold");
    li.appendChild(hold);
    li.appendChild(button("again", t("queue.retry"), () => this.queue().retry(item)));
    li.appendChild(button("close", t("queue.cancel"), () => this.queue().cancel(item)));
    return li;
  }
}

/** The files worth a row of their own, in the order in which they were added. */
function choose(items: Item[]): Item[] {
  if (items.length <= mostRows) return items;
  const rank = (i: Item): number => (active(i) ? 0 : i.state === "failed" ? 1 : i.state === "done" ? 3 : 2);
  return items
    .slice()
    .sort((a, b) => rank(a) - rank(b) || a.id - b.id)
    .slice(0, mostRows)
    .sort((a, b) => a.id - b.id);
}

function fill(row: HTMLElement, item: Item, now: number): void {
  row.dataset["state"] = item.state;
  put(part(row, ".queue-note"), note(item, now));
  const meter = part(row, ".meter");
  meter.hidden = !active(item);
  slide(part(meter, "span"), item.file.size > 0 ? item.sent / item.file.size : 1);
  const [hold, again, close] = Array.from(row.querySelectorAll<HTMLElement>("button"));
  if (hold) {
    const paused = item.state === "paused";
    const label = t(paused ? "queue.goon" : "queue.hold");
    hold.hidden = item.state === "failed" || item.state === "done";
    if (hold.title !== label) {
      hold.title = label;
      hold.setAttribute("aria-label", label);
      setIcon(hold, paused ? "play" : "pause");
    }
  }
  const undo = part(row, ".queue-undo") as HTMLAnchorElement;
  undo.hidden = item.undo === "";
  if (item.undo && undo.getAttribute("href") !== item.undo) undo.href = item.undo;
  if (again) again.hidden = item.state !== "failed" || item.note === "too_large" || item.note === "blocked" || item.note === "twice";
  if (close) close.hidden = item.state === "failed" || item.state === "done";
}

function note(item: Item, now: number): string {
  switch (item.state) {
    case "waiting":
      return size(item.file.size) + " · " + t("queue.waiting");
    case "sending": {
      const values = { done: size(item.sent), total: size(item.file.size) };
      return t("queue.start", values) + (item.from > 0 ? " · " + t("queue.resumed", { from: size(item.from) }) : "");
    }
    case "paused":
      return t("queue.paused", { done: size(item.sent), total: size(item.file.size) });
    case "saving":
      return t("queue.saving");
    case "pausing":
      if (item.resume === Infinity) return t("drop.link");
      return t("queue.again", { n: Math.max(1, Math.ceil((item.resume - now) / 1000)) });
    default:
      if (item.state !== "done") return t("drop." + item.note);
      return t("drop." + item.note) + " " + size(item.file.size) + (item.days > 0 ? " · " + tn("drop.stays", item.days) : "") + (item.cleaned ? " · " + t("clean." + item.cleaned) : "");
  }
}

/** Moves a meter's bar. The policy forbids styles in the page, not in the script. */
function slide(bar: HTMLElement, share: number): void {
  const away = (1 - Math.max(0, Math.min(1, share))) * 100;
  bar.style.transform = "translateX(" + (document.documentElement.dir === "rtl" ? away : -away).toFixed(1) + "%)";
}

function left(seconds: number): string {
  if (seconds < 90) return t("queue.left.seconds", { n: Math.max(1, Math.round(seconds)) });
  if (seconds < 5400) return t("queue.left.minutes", { n: Math.round(seconds / 60) });
  return t("queue.left.hours", { n: Math.round(seconds / 3600) });
}

function button(picture: string, label: string, act: () => void): HTMLButtonElement {
  const b = make("button", "round-button");
  b.type = "button";
  b.title = label;
  b.setAttribute("aria-label", label);
  b.appendChild(icon(picture));
  b.addEventListener("click", act);
  return b;
}
