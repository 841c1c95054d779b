// Keeps a page current that the server makes whole: its main part is fetched anew
// whenever the boxes around have changed.

import { must } from "./dom";
import { listen } from "./live";

/** Ages on the page grow old. */
const atLeast = 60000;
let asked = 0; // counts questions; only the last one's answer counts

async function refresh(): Promise<void> {
  const mine = ++asked;
  const answer = await fetch(location.href, { cache: "no-cache", headers: { Accept: "text/html" } });
  const text = await answer.text();
  const fresh = new DOMParser().parseFromString(text, "text/html").getElementById("live");
  if (mine !== asked || !answer.ok || !fresh) return;
  const here = must("live");
  // The same page again is left alone, for those who are reading it aloud.
  if (here.innerHTML !== fresh.innerHTML) here.innerHTML = fresh.innerHTML;
}

listen("lobby", {
  message: () => undefined,
  withdrawn: () => undefined,
  changed: (topics) => (topics.length === 0 || topics.indexOf("box") >= 0 ? refresh() : Promise.resolve()),
  state: () => undefined,
});
window.setInterval(() => void refresh().catch(() => undefined), atLeast);
