// The links and pictures in a message, found as pieces in room.go finds them.

import { make } from "./dom";

/** How many pictures one message shows; the rest are links. */
const maxImages = 4;
const images = /\.(png|jpe?g|gif|webp|avif|bmp)$/i;
const file = /^\/f\/(baf[a-z2-7]{50,120})\/([^/?#]+)$/;

/** Writes a message's text with its links. The text is never markup. */
export function writeWords(into: HTMLElement, text: string): void {
  while (into.firstChild) into.removeChild(into.firstChild);
  let shown = 0;
  for (const word of text.split(/([ \n]+)/)) {
    const before = (/^[([{«“"']*/.exec(word) as RegExpExecArray)[0];
    const link = word.slice(before.length).replace(/[.,;:!?)\]}»”"']+$/, "");
    const made = linkOf(link, shown < maxImages);
    if (!made) {
      into.appendChild(document.createTextNode(word));
      continue;
    }
    if (made.className === "msg-image") shown++;
    into.appendChild(document.createTextNode(before));
    into.appendChild(made);
    into.appendChild(document.createTextNode(word.slice(before.length + link.length)));
  }
}

function linkOf(word: string, room: boolean): HTMLAnchorElement | null {
  if (/^https?:\/\/[^/@?#]+([/?#]|$)/.test(word)) {
    const a = make("a", "");
    a.href = word;
    a.rel = "noopener noreferrer";
    a.target = "_blank";
    a.textContent = word;
    return a;
  }
  const parts = file.exec(word);
  if (!parts) return null;
  let name: string;
  try {
    name = decodeURIComponent(parts[2] as string);
  } catch (_) {
    return null;
  }
  if (name.indexOf("/") >= 0) return null;
  const url = "/f/" + parts[1] + "/" + encodeURIComponent(name);
  const a = make("a", "");
  a.href = url;
  if (!room || !images.test(name)) {
    a.textContent = name;
    return a;
  }
  a.className = "msg-image";
  const img = make("img", "");
  img.alt = name;
  img.src = url;
  a.appendChild(img);
  return a;
}
