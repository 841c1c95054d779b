// Shows what this browser remembers of earlier visits: uploads to go on with, and
// the links that take drops back.

import { make, must, put } from "./dom";
import * as kept from "./kept";
import { forget } from "./tus";
import { size, t } from "./words";

interface State {
  offset: number;
  dropped?: { undo: string; days: number };
}

export class Memory {
  private readonly unfinished = must("unfinished");
  private readonly mine = must("mine");
  /** How far those uploads are that an earlier page began, by their address. */
  private readonly before = new Map<string, number>();
  private drawn = "";

  constructor() {
    must("mine-forget").addEventListener("click", () => {
      kept.forgetMine();
      this.changed();
    });
    for (const u of kept.unfinished()) {
      this.before.set(u.url, -1);
      this.ask(u);
    }
    this.changed();
  }

  /** Looks whether there is something else to show. What is in the queue is shown there. */
  changed(queued: { url: string }[] = []): void {
    const open = kept.unfinished().filter((u) => this.before.has(u.url) && !queued.some((i) => i.url === u.url));
    const mine = kept.mine();
    const now = JSON.stringify([open, open.map((u) => this.before.get(u.url)), mine]);
    if (now === this.drawn) return;
    this.drawn = now;
    this.unfinished.hidden = open.length === 0;
    fill(must("unfinished-list"), open, (u) => this.row(u));
    this.mine.hidden = mine.length === 0;
    fill(must("mine-list"), mine, link);
  }

  /** Asks the box how far an upload is; it may have become a file meanwhile. */
  private ask(u: kept.Unfinished): void {
    const xhr = new XMLHttpRequest();
    xhr.open("GET", u.url);
    xhr.onload = () => {
      if (xhr.status === 404) kept.ended(u.key);
      else if (xhr.status === 200) {
        const state = JSON.parse(xhr.responseText) as State;
        this.before.set(u.url, state.offset);
        if (state.dropped) {
          kept.ended(u.key);
          kept.dropped(u.name, "/undo/" + state.dropped.undo, state.dropped.days);
        }
      }
      this.changed();
    };
    xhr.send();
  }

  private row(u: kept.Unfinished): HTMLElement {
    const li = make("li", "");
    const words = make("div", "queue-words");
    const name = make("bdi", "queue-name");
    name.textContent = u.name.slice(u.name.lastIndexOf("/") + 1);
    const note = make("span", "queue-note");
    const offset = this.before.get(u.url) as number;
    put(note, offset < 0 ? size(u.size) : t("queue.start", { done: size(offset), total: size(u.size) }));
    words.appendChild(name);
    words.appendChild(note);
    li.appendChild(words);
    const button = make("button", "quiet-button");
    button.type = "button";
    button.textContent = t("queue.forget");
    button.addEventListener("click", () => {
      forget(u.url);
      kept.ended(u.key);
      this.changed();
    });
    li.appendChild(button);
    return li;
  }
}

function link(m: kept.Mine): HTMLElement {
  const li = make("li", "");
  const name = make("bdi", "queue-name queue-words");
  name.textContent = m.name.slice(m.name.lastIndexOf("/") + 1);
  const a = make("a", "queue-undo reach");
  a.href = m.undo;
  a.textContent = t("queue.undo");
  li.appendChild(name);
  li.appendChild(a);
  return li;
}

function fill<T>(list: HTMLElement, all: T[], row: (one: T) => HTMLElement): void {
  list.textContent = "";
  all.forEach((one) => list.appendChild(row(one)));
}
