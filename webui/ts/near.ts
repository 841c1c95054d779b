// The boxes near: one line, and a list below it.

import * as api from "./api";
import { make, must, part, put } from "./dom";
import { age, t, tn } from "./words";

/** Asks for the boxes near and shows them. */
export async function refreshNear(): Promise<void> {
  const { peers } = await api.peers();
  const connected = peers.filter((p) => p.connected).length;
  const near = must("near");
  near.hidden = peers.length === 0;
  put(must("near-count"), connected ? tn("near", connected) : t("near.none"));
  part(near, "summary .dot").className = connected ? "dot on" : "dot";
  const list = must("near-list");
  const now = Date.now();
  const last = list.lastElementChild; // the link to all of them
  list.textContent = "";
  for (const p of peers) {
    const li = make("li", "");
    li.appendChild(make("span", p.connected ? "dot on" : "dot"));
    const name = make("bdi", "");
    name.textContent = p.name;
    li.appendChild(name);
    const note = make("span", "quiet");
    note.textContent = " " + (p.connected ? tn("files", p.files) : p.lastSeen ? t("near.seen", { age: age(p.lastSeen, now) }) : "");
    li.appendChild(note);
    list.appendChild(li);
  }
  if (last) list.appendChild(last);
}
