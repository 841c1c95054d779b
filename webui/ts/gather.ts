// Files from where people have them: the picker, a drag, the clipboard.

import { must, part } from "./dom";

/** A file and the name to drop it under, with its folders. */
export interface Picked {
  file: File;
  name: string;
}

/** How many files one gesture may bring. */
const mostFiles = 20000;

/** Calls take with whatever is picked, dragged or pasted. */
export function gather(take: (picked: Picked[]) => void): void {
  const form = document.getElementById("drop-form");
  if (!form) return; // the box takes nothing now
  const [plain, camera, folder] = Array.from(form.querySelectorAll<HTMLInputElement>(".pick-input"));
  form.addEventListener("submit", (e) => e.preventDefault());
  [plain, camera, folder].forEach((input) => {
    if (!input) return;
    input.required = false;
    input.addEventListener("change", () => {
      const picked = Array.from(input.files || [], withPath);
      input.value = ""; // so that the same file can be picked again
      take(picked);
    });
  });
  if (folder && "webkitdirectory" in folder && window.matchMedia("(hover: hover)").matches) {
    folder.webkitdirectory = true;
    part(form, ".pick-folder").hidden = false;
    part(must("drop"), ".drop-hint").hidden = false;
  }
  if (camera && "capture" in camera && window.matchMedia("(hover: none)").matches) part(form, ".pick-camera").hidden = false;
  watchDrag(take);
  document.addEventListener("paste", (e) => {
    const files = Array.from((e.clipboardData && e.clipboardData.files) || [], withPath);
    if (files.length === 0 || e.defaultPrevented) return; // a room took them
    e.preventDefault();
    take(files);
  });
}

function withPath(file: File): Picked {
  return { file, name: file.webkitRelativePath || file.name || "unnamed" };
}

function watchDrag(take: (picked: Picked[]) => void): void {
  const page = document.documentElement;
  let depth = 0; // of dragenter over dragleave, which also fire for every child
  const bringsFiles = (e: DragEvent): boolean => !!e.dataTransfer && Array.from(e.dataTransfer.types).indexOf("Files") >= 0;
  const show = (n: number): void => {
    depth = n;
    page.classList.toggle("over", n > 0);
  };
  document.addEventListener("dragenter", (e) => {
    if (bringsFiles(e)) show(depth + 1);
  });
  document.addEventListener("dragleave", (e) => {
    if (bringsFiles(e)) show(Math.max(0, depth - 1));
  });
  document.addEventListener("dragover", (e) => {
    if (!bringsFiles(e)) return;
    e.preventDefault();
    if (e.dataTransfer) e.dataTransfer.dropEffect = "copy";
  });
  document.addEventListener("drop", (e) => {
    if (!bringsFiles(e) || !e.dataTransfer) return;
    show(0);
    if (e.defaultPrevented) return; // a room took them
    e.preventDefault();
    void fromDrag(e.dataTransfer).then(take);
  });
}

/** Reads a drag, with all that is in its folders. */
async function fromDrag(data: DataTransfer): Promise<Picked[]> {
  // The entries must be asked for before the first await: then the drag is over.
  const entries: FileSystemEntry[] = [];
  for (const item of Array.from(data.items || [])) {
    const entry = item.kind === "file" && item.webkitGetAsEntry ? item.webkitGetAsEntry() : null;
    if (entry) entries.push(entry);
  }
  if (entries.length === 0) return Array.from(data.files, withPath);
  const out: Picked[] = [];
  while (entries.length > 0 && out.length < mostFiles) {
    const entry = entries.shift();
    if (!entry) break;
    if (entry.isDirectory) entries.push(...(await children(entry as FileSystemDirectoryEntry)));
    else {
      const file = await new Promise<File | null>((r) => (entry as FileSystemFileEntry).file(r, () => r(null)));
      if (file) out.push({ file, name: entry.fullPath.replace(/^\//, "") });
    }
  }
  return out;
}

async function children(dir: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = dir.createReader();
  const out: FileSystemEntry[] = [];
  for (;;) {
    // A reader gives a part at a time, and nothing at its end.
    const some = await new Promise<FileSystemEntry[]>((r) => reader.readEntries(r, () => r([])));
    if (some.length === 0 || out.length >= mostFiles) return out;
    out.push(...some);
  }
}
