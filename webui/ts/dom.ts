// Small helpers over the document and the browser's stores.

/** The element of an id, which the server's page has. */
export function must(id: string): HTMLElement {
  const e = document.getElementById(id);
  if (!e) throw new Error("page has no #" + id);
  return e;
}

/** The first element below root that a selector finds. */
export function part(root: ParentNode, selector: string): HTMLElement {
  const e = root.querySelector<HTMLElement>(selector);
  if (!e) throw new Error("page has no " + selector);
  return e;
}

/** A fresh copy of the one element in a template. */
export function shape(id: string): HTMLElement {
  const content = (must(id) as HTMLTemplateElement).content;
  const first = content.firstElementChild;
  if (!first) throw new Error("empty template #" + id);
  return document.importNode(first, true) as HTMLElement;
}

/** Sets text where it differs, so that screen readers hear changes only. */
export function put(e: Element, text: string): void {
  if (e.textContent !== text) e.textContent = text;
}

/** A new element with a class. */
export function make<K extends keyof HTMLElementTagNameMap>(tag: K, className: string): HTMLElementTagNameMap[K] {
  const e = document.createElement(tag);
  e.className = className;
  return e;
}

const xlink = "http://www.w3.org/1999/xlink";

/** Points an icon at another picture of the sprite. */
export function setIcon(svg: Element, name: string): void {
  const use = svg.querySelector("use");
  const href = (document.body.dataset["icons"] || "") + "#" + name;
  if (use && use.getAttributeNS(xlink, "href") !== href) use.setAttributeNS(xlink, "xlink:href", href);
}

/** A new icon. */
export function icon(name: string): SVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("focusable", "false");
  svg.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "use"));
  setIcon(svg, name);
  return svg;
}

/** Brings the children of list into the given order, moving as few as it can. */
export function arrange(list: Element, wanted: Element[]): void {
  const keep = new Set(wanted);
  for (const child of Array.from(list.children)) if (!keep.has(child)) list.removeChild(child);
  let at = list.firstElementChild;
  for (const e of wanted) {
    if (e === at) at = at.nextElementSibling;
    else list.insertBefore(e, at);
  }
}

type StoreName = "localStorage" | "sessionStorage";

/** Reads a browser store; captive pop-ups may have none or throw. */
export function recall(store: StoreName, key: string): string {
  try {
    return window[store].getItem(key) || "";
  } catch (_) {
    return "";
  }
}

/** Writes a browser store where there is one; an empty value removes the key. */
export function remember(store: StoreName, key: string, value: string): void {
  try {
    if (value) window[store].setItem(key, value);
    else window[store].removeItem(key);
  } catch (_) {
    // Then it is forgotten with the page.
  }
}

/** What the browser keeps for each room, and nobody else knows: it makes this browser's mark. */
export function secretOf(room: string): string {
  const key = "mark:" + room;
  const kept = recall("localStorage", key);
  if (kept) return kept;
  const fresh = token();
  remember("localStorage", key, fresh);
  return recall("localStorage", key); // empty where the browser keeps nothing: then there is no mark
}

/** Letters that name one attempt. crypto.randomUUID is not there on plain HTTP. */
export function token(): string {
  const bytes = new Uint8Array(16);
  window.crypto.getRandomValues(bytes);
  return Array.from(bytes, (b) => (b < 16 ? "0" : "") + b.toString(16)).join("");
}
