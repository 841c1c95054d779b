// The files that are ticked, to be saved as one ZIP: the form itself does the rest.

import { must, put } from "./dom";
import { tn } from "./words";

/** Follows what is ticked. */
export function watchPicks(): void {
  must("list").addEventListener("change", showPicks);
  showPicks();
}

/** Shows how many are ticked, and the button while there are any. */
export function showPicks(): void {
  const n = must("list").querySelectorAll(".file-pick:checked").length;
  must("zip").classList.toggle("some", n > 0);
  if (n) put(must("zip-say"), tn("files", n));
}
