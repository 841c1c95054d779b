// The list of files: search, more, and staying current.

import * as api from "./api";
import { arrange, must, part, put, setIcon, shape } from "./dom";
import { age, size, t, tn } from "./words";

/** How many rows a page may grow to; older ones have pages of their own. */
const mostRows = 500;
const step = 50;
const searchPause = 200;
/** Phones that hear of a change ask for it spread over this time. */
const spread = 700;

export class FileListView {
  private readonly list = must("list");
  private readonly total = must("total");
  private readonly found = must("found");
  private readonly empty = must("empty");
  private readonly pager = must("pager");
  private readonly range = must("range");
  private readonly input = must("q") as HTMLInputElement;
  private readonly rows = new Map<string, HTMLElement>();
  private readonly offset = Number(new URLSearchParams(location.search).get("offset") || "0");
  private limit = step;
  private asked = 0; // counts questions; only the last one's answer counts
  private query: string;

  constructor() {
    this.query = this.input.value.trim();
    for (const row of Array.from(this.list.children) as HTMLElement[]) this.rows.set(row.dataset["id"] || "", row);
    let pause = 0;
    this.input.addEventListener("input", () => {
      window.clearTimeout(pause);
      pause = window.setTimeout(() => this.search(), searchPause);
    });
    must("search").addEventListener("submit", (e) => {
      e.preventDefault();
      this.search();
      this.input.blur(); // puts a phone's keyboard away
    });
    this.pager.addEventListener("click", (e) => this.more(e));
    this.nameMore();
  }

  /** True where a row's bytes are still on their way. */
  waiting(): boolean {
    return !!this.list.querySelector('[data-state="mending"], [data-state="coming"], [data-state="near"], [data-state="away"]');
  }

  /** Asks again, at once or some moments later. */
  async refresh(soon: boolean): Promise<void> {
    const mine = ++this.asked;
    if (!soon) await new Promise((r) => window.setTimeout(r, Math.random() * spread));
    if (mine !== this.asked) return;
    const page = await api.files(this.query, this.query ? 0 : this.offset, this.limit);
    if (mine === this.asked) this.show(page);
  }

  /** Keeps "5 min ago" true. */
  tick(now: number): void {
    this.rows.forEach((row) => {
      const time = part(row, ".file-age");
      put(time, age(time.getAttribute("datetime") || "", now));
      const state = part(row, ".file-state");
      const seen = state.dataset["seen"];
      if (row.dataset["state"] === "away" && seen) {
        put(state, t("file.seen", { box: part(row, ".file-from bdi").textContent || "", age: age(seen, now) }));
      }
    });
  }

  private search(): void {
    const q = this.input.value.trim();
    if (q === this.query) return;
    this.query = q;
    this.limit = step;
    const params = new URLSearchParams(location.search);
    params.delete("offset");
    if (q) params.set("q", q);
    else params.delete("q");
    const text = params.toString();
    history.replaceState(null, "", text ? "?" + text : location.pathname);
    this.refresh(true).catch(() => undefined);
  }

  private more(e: MouseEvent): void {
    const link = (e.target as Element).closest("#more");
    if (!link || this.limit >= mostRows) return;
    e.preventDefault();
    this.limit += step;
    this.refresh(true).catch(() => {
      this.limit -= step;
    });
  }

  private show(page: api.FileList): void {
    const first = this.rows.size === 0;
    const names = new Map<string, number>();
    for (const f of page.files) names.set(f.name, (names.get(f.name) || 0) + 1);
    const now = Date.now();
    let above = "";
    const wanted = page.files.map((f, i) => {
      let row = this.rows.get(f.id);
      if (!row) {
        row = shape("row-shape");
        this.rows.set(f.id, row);
        if (!first && i < step && !this.query) row.classList.add("fresh");
      }
      fill(row, f, (names.get(f.name) || 0) > 1, now);
      const folder = f.name.slice(0, f.name.lastIndexOf("/") + 1);
      part(row, ".file-into").hidden = !folder || folder === above;
      above = folder;
      return row;
    });
    arrange(this.list, wanted);
    const ids = new Set(page.files.map((f) => f.id));
    Array.from(this.rows.keys()).forEach((id) => ids.has(id) || this.rows.delete(id));
    this.around(page);
  }

  private around(page: api.FileList): void {
    const shown = page.files.length;
    put(this.total, String(page.total));
    this.found.hidden = !this.query;
    put(this.found, this.query ? tn("found", page.total, { q: this.query }) : "");
    this.empty.hidden = shown > 0 || !!this.query;
    const last = page.offset + shown;
    put(this.range, t("range", { first: Math.min(page.offset + 1, page.total), last, total: page.total }));
    let more = document.getElementById("more") as HTMLAnchorElement | null;
    if (!more && last < page.total) {
      more = document.createElement("a");
      more.id = "more";
      more.rel = "next";
      this.pager.appendChild(more);
    }
    if (more) {
      more.hidden = last >= page.total;
      const params = new URLSearchParams(location.search);
      params.set("offset", String(last));
      more.href = "/?" + params.toString() + "#files";
    }
    this.nameMore();
    this.pager.hidden = page.offset === 0 && last >= page.total;
  }

  private nameMore(): void {
    const more = document.getElementById("more");
    if (more && this.limit < mostRows) put(more, t("more"));
  }
}

/** A link to a page of this box that keeps the chosen language. */
function link(to: string): string {
  const lang = new URLSearchParams(location.search).get("lang");
  return lang ? to + (to.indexOf("?") < 0 ? "?" : "&") + "lang=" + encodeURIComponent(lang) : to;
}

/** Writes a file into a row of the page. */
function fill(row: HTMLElement, f: api.SharedFile, twice: boolean, now: number): void {
  const cut = f.name.lastIndexOf("/") + 1;
  const base = f.name.slice(cut);
  row.dataset["id"] = f.id;
  row.dataset["kind"] = f.kind;
  row.dataset["state"] = f.state;
  const folder = f.name.slice(0, cut);
  if (folder) row.dataset["in"] = "";
  else delete row.dataset["in"];
  const inside = folder.slice(0, -1);
  const into = part(row, ".file-into") as HTMLAnchorElement;
  into.href = link("/folder/" + inside.split("/").map(encodeURIComponent).join("/"));
  put(part(into, "bdi"), inside);
  (part(row, ".file-pick") as HTMLInputElement).value = f.id;
  put(part(row, ".tile .hush"), t("file.pick") + " " + base);
  const page = part(row, ".file-page") as HTMLAnchorElement;
  page.href = link("/file/" + f.cid + "?name=" + encodeURIComponent(f.name));
  put(part(page, ".hush"), t("file.page") + " " + base);
  (part(row, ".file-open") as HTMLAnchorElement).href = f.url;
  const save = part(row, ".file-save") as HTMLAnchorElement;
  save.href = f.url + "?dl=1";
  put(part(save, ".hush"), t("file.save") + " " + base);
  setIcon(part(row, ".tile .icon"), f.kind);
  put(part(row, ".file-folder"), folder);
  put(part(row, ".file-base"), base);
  put(part(row, ".file-short"), twice ? f.cid.slice(-6) : "");
  put(part(row, ".file-size"), size(f.size));
  put(part(row, ".file-kind"), t("kind." + f.kind));
  const time = part(row, ".file-age");
  time.setAttribute("datetime", f.added);
  put(time, age(f.added, now));
  const from = part(row, ".file-from");
  from.hidden = f.from.self || !f.from.name;
  put(part(from, "bdi"), f.from.name);
  const state = part(row, ".file-state");
  state.hidden = f.state === "here";
  state.dataset["seen"] = f.seen || "";
  put(state, stateText(f, now));
}

function stateText(f: api.SharedFile, now: number): string {
  if (f.state === "here") return "";
  if (f.state === "mending") return t("file.mending");
  if (f.state === "coming") return t("file.coming", { n: Math.min(99, Math.floor((f.landed * 100) / Math.max(1, f.size))) });
  if (f.state === "near") return t("file.near");
  if (f.seen) return t("file.seen", { box: f.from.name, age: age(f.seen, now) });
  return f.from.self || !f.from.name ? t("file.gone") : t("file.away", { box: f.from.name });
}
