// What a visitor with JavaScript does.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bytes, calm, check, downloads, fresh, rowOf, same, test, visit } from "./harness.mjs";

const settled = (page) =>
  page.waitForFunction(() => !document.querySelector("#queue").hidden && !document.querySelector("#queue-clear").hidden, null, { timeout: 60000 });
const queueNote = (page, name) => page.locator("#queue-list li", { hasText: name }).locator(".queue-note");

test("one file by the picker", async (open) => {
  const page = await visit(await open());
  const name = fresh("holiday picture é.jpg");
  const data = bytes(name, 70001);
  await page.setInputFiles("input[name=file]", { name, mimeType: "image/jpeg", buffer: data });
  await settled(page);
  await rowOf(page, name).waitFor();
  same(await rowOf(page, name).getAttribute("data-kind"), "image", "kind");
  await downloads(page, name, data);
  calm(page);
});

test("a drop is taken back", async (open) => {
  const page = await visit(await open());
  const name = fresh("regret.txt");
  await page.setInputFiles("input[name=file]", { name, mimeType: "text/plain", buffer: bytes(name, 100) });
  await settled(page);
  await rowOf(page, name).waitFor();
  await page.locator("#queue-list li", { hasText: name }).locator(".queue-undo").click();
  await page.waitForURL(/\/undo\//);
  await page.locator("button").click();
  same(await page.locator("h1").textContent(), "Taken back", "what it says");
  await page.locator(".page .button").click();
  same(await rowOf(page, name).count(), 0, "rows");
  calm(page);
});

test("many files by the picker, some of them equal", async (open) => {
  const page = await visit(await open());
  const names = Array.from({ length: 40 }, (_, i) => fresh("many " + i + ".txt"));
  const files = names.map((name, i) => ({ name, mimeType: "text/plain", buffer: bytes(i === 39 ? names[0] : name, 1000 + (i === 39 ? 0 : i)) }));
  await page.setInputFiles("input[name=file]", files);
  await settled(page);
  check((await page.locator("#queue-sum").textContent()).includes("40"), "the sum counts all of them");
  await page.locator("#queue-clear").click();
  await page.locator("#queue").waitFor({ state: "hidden" });
  for (const i of [0, 17, 38]) await rowOf(page, names[i]).waitFor();
  await downloads(page, names[38], files[38].buffer);
  await page.setInputFiles("input[name=file]", files[5]);
  await page.waitForFunction(() => /already/.test(document.querySelector("#queue-list .queue-note")?.textContent || ""));
  calm(page);
});

test("a whole folder keeps its names", async (open) => {
  const page = await visit(await open());
  const dir = mkdtempSync(join(tmpdir(), "boucan-"));
  try {
    const top = fresh("trip");
    mkdirSync(join(dir, top, "day 1"), { recursive: true });
    writeFileSync(join(dir, top, "day 1", "a.txt"), bytes(top, 300));
    await page.setInputFiles("input[name=folder]", join(dir, top));
    await settled(page);
    const row = page.locator(".file", { hasText: top + "/day 1/" });
    await row.waitFor();
    same(await row.locator(".file-base").textContent(), "a.txt", "name");
  } finally {
    rmSync(dir, { recursive: true });
  }
  calm(page);
});

test("files by dragging", async (open) => {
  const page = await visit(await open());
  const name = fresh("dragged.bin");
  const data = bytes(name, 5000);
  const transfer = await page.evaluateHandle(
    ([name, list]) => {
      const t = new DataTransfer();
      t.items.add(new File([new Uint8Array(list)], name));
      return t;
    },
    [name, Array.from(data)],
  );
  await page.dispatchEvent("body", "dragenter", { dataTransfer: transfer });
  check(await page.evaluate(() => document.documentElement.classList.contains("over")), "the page shows that it would take the file");
  await page.dispatchEvent("body", "drop", { dataTransfer: transfer });
  check(!(await page.evaluate(() => document.documentElement.classList.contains("over"))), "the page is itself again");
  await settled(page);
  await rowOf(page, name).waitFor();
  await downloads(page, name, data);
  calm(page);
});

test("a picture by pasting", async (open) => {
  const page = await visit(await open());
  const name = fresh("pasted.png");
  await page.evaluate(
    ([name, list]) => {
      const t = new DataTransfer();
      t.items.add(new File([new Uint8Array(list)], name, { type: "image/png" }));
      document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData: t, bubbles: true, cancelable: true }));
    },
    [name, Array.from(bytes(name, 2000))],
  );
  await settled(page);
  await downloads(page, name, bytes(name, 2000));
  calm(page);
});

test("progress is real, cancelling leaves nothing, trying again saves", async (open) => {
  const context = await open();
  const page = await visit(context);
  const name = fresh("slow.bin");
  const data = bytes(name, 3 << 20);
  const cdp = await context.newCDPSession(page);
  const speed = (up) => cdp.send("Network.emulateNetworkConditions", { offline: false, latency: 5, downloadThroughput: -1, uploadThroughput: up });
  await cdp.send("Network.enable");
  await speed(700 << 10);
  await page.setInputFiles("input[name=file]", { name, mimeType: "application/octet-stream", buffer: data });
  const seen = new Set();
  for (const end = Date.now() + 2500; Date.now() < end; ) {
    seen.add(await page.locator("#queue-sum").textContent());
    await page.waitForTimeout(200);
  }
  check(seen.size >= 3, "the sum moves: " + Array.from(seen).join(" | "));
  check(Array.from(seen).some((s) => /left/.test(s)), "it says how much longer: " + Array.from(seen).join(" | "));
  await page.locator("#queue-list li", { hasText: name }).getByRole("button", { name: "Cancel" }).click();
  await page.waitForFunction(() => /Cancelled/.test(document.querySelector("#queue-list .queue-note")?.textContent || ""));
  await page.reload();
  same(await rowOf(page, name).count(), 0, "rows of a cancelled drop");
  await page.setInputFiles("input[name=file]", { name, mimeType: "application/octet-stream", buffer: data });
  await page.locator("#queue-list li", { hasText: name }).getByRole("button", { name: "Cancel" }).click();
  await speed(-1);
  await page.locator("#queue-list li", { hasText: name }).getByRole("button", { name: "Try again" }).click();
  await settled(page);
  await rowOf(page, name).waitFor();
  await downloads(page, name, data);
  calm(page);
});

test("a drop goes on after the link came back", async (open) => {
  const context = await open();
  const page = await visit(context);
  const name = fresh("patience.bin");
  const data = bytes(name, 400000);
  await context.setOffline(true);
  await page.setInputFiles("input[name=file]", { name, mimeType: "application/octet-stream", buffer: data });
  await page.waitForFunction(() => /trying again/.test(document.querySelector("#queue-list .queue-note")?.textContent || ""));
  await context.setOffline(false);
  await settled(page);
  same(await queueNote(page, name).textContent().then((s) => /Saved/.test(s)), true, "saved in the end");
  await downloads(page, name, data);
});

test("a file larger than the box takes is refused before it is sent", async (open) => {
  const page = await visit(await open());
  await page.evaluate(() => {
    const t = new DataTransfer();
    const file = new File(["x"], "enormous.bin");
    Object.defineProperty(file, "size", { value: 2 ** 45 });
    Object.defineProperty(t, "files", { value: [file] });
    document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData: t, bubbles: true, cancelable: true }));
  });
  await page.waitForFunction(() => /larger|no room/.test(document.querySelector("#queue-list .queue-note")?.textContent || ""));
  calm(page);
});

test("another page sees a drop without asking", async (open) => {
  const context = await open();
  const [here, there] = [await visit(context), await visit(context)];
  const name = fresh("seen by all.txt");
  await here.setInputFiles("input[name=file]", { name, mimeType: "text/plain", buffer: bytes(name, 10) });
  await rowOf(there, name).waitFor({ timeout: 10000 });
  calm(there);
});

test("searching while typing", async (open) => {
  const context = await open();
  const page = await visit(context);
  const name = fresh("needle.txt");
  await page.setInputFiles("input[name=file]", { name, mimeType: "text/plain", buffer: bytes(name, 10) });
  await rowOf(page, name).waitFor();
  await page.fill("#q", name.slice(0, -4));
  await page.waitForFunction(() => document.querySelectorAll("#list .file").length === 1);
  check(page.url().includes("q=needle"), "the address carries the search");
  await page.fill("#q", "no file has such a name");
  await page.waitForFunction(() => document.querySelectorAll("#list .file").length === 0);
  check(/0 files/.test(await page.locator("#found").textContent()), "it says that there is none");
  await page.fill("#q", "");
  await rowOf(page, name).waitFor();
  calm(page);
});

test("the lobby is live between two phones", async (open) => {
  const [a, b] = [await visit(await open()), await visit(await open())];
  await b.locator('#link[data-state="live"]').waitFor();
  const words = fresh("<b onclick=alert(1)>hello</b> & \u202eolleh ") + "\nsecond line";
  await a.fill("#nick", "Zoé");
  await a.fill("#text", words);
  await a.locator(".send").click();
  const message = b.locator(".msg", { hasText: "onclick" }).last();
  await message.waitFor();
  const shown = await message.locator(".msg-text").textContent();
  same(shown, words.replace("\u202e", ""), "the words");
  same(await message.locator("b").count(), 0, "elements made of the words");
  same(await message.locator(".msg-nick").textContent(), "Zoé", "the name");
  same(await a.inputValue("#text"), "", "the field after sending");
  await b.fill("#text", "and back " + words);
  await b.press("#text", "Enter");
  await a.locator(".msg", { hasText: "and back" }).last().waitFor();
  calm(a);
  calm(b);
});

test("a room of one's own: opening, answering, ignoring, a picture", async (open) => {
  const [ours, theirs] = [await open(), await open()];
  const home = await visit(ours);
  const name = fresh("garden").replace(".", "-");
  await home.locator(".open-room summary").click();
  await home.fill("#open-name", name.toUpperCase());
  await Promise.all([home.waitForNavigation(), home.locator(".open-form .button").click()]);
  const a = home;
  const b = await visit(theirs, "/room/" + name);
  await b.locator('#link[data-state="live"]').waitFor();
  await a.locator('#link[data-state="live"]').waitFor();
  await a.fill("#nick", "Zoé");
  await a.fill("#text", "look at https://example.org/map, all of you");
  await a.locator(".send").click();
  const first = b.locator(".msg").first();
  await first.waitFor();
  same(await first.locator(".msg-text a").getAttribute("href"), "https://example.org/map", "the link");
  const tag = await first.locator(".msg-tag").textContent();
  check(/^[a-z]{6}$/.test(tag), "the mark: " + tag);

  await first.locator(".msg-more summary").click();
  await first.locator(".msg-reply").click();
  check((await b.locator("#answering-quote").textContent()).startsWith("Zoé look at"), "what is answered to is shown");
  await b.fill("#nick", "Zoé");
  await b.fill("#text", "I do");
  await b.locator(".send").click();
  const answer = a.locator(".msg").nth(1);
  await answer.waitFor();
  check((await answer.locator(".msg-quote").textContent()).startsWith("Zoé look at"), "the answer quotes");
  check((await answer.locator(".msg-tag").textContent()) !== tag, "two people of one name have two marks");
  same(await b.locator("#answering").isHidden(), true, "the next message answers to nothing");

  const png = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");
  await a.setInputFiles("#attach-file", { name: fresh("stage.png"), mimeType: "image/png", buffer: png });
  await a.waitForFunction(() => document.querySelector("#text").value.includes("/f/"));
  await a.locator(".send").click();
  await b.waitForFunction(() => {
    const img = document.querySelector(".msg-image img");
    return img && img.complete && img.naturalWidth === 1;
  });

  await first.locator(".msg-more summary").click();
  await first.locator(".msg-ignore").click();
  await b.waitForFunction(() => document.querySelectorAll(".msg:not([hidden])").length === 1);
  same(await b.locator("#ignored-count").textContent(), "2 messages are hidden.", "what is hidden is said");
  await b.reload();
  await b.waitForFunction(() => document.querySelectorAll(".msg:not([hidden])").length === 1);
  await a.fill("#text", "can you hear me");
  await a.locator(".send").click();
  await b.waitForFunction(() => document.getElementById("ignored-count").textContent === "3 messages are hidden.");
  await b.locator("#ignored-show").click();
  await b.waitForFunction(() => document.querySelectorAll(".msg:not([hidden])").length === 4);
  calm(a);
  calm(b);
});

test("a box that does not know the time is told", async (open) => {
  const context = await open();
  await context.addInitScript(() => {
    new MutationObserver((_, observer) => {
      if (!document.body) return;
      document.body.setAttribute("data-asks-time", "");
      observer.disconnect();
    }).observe(document, { childList: true, subtree: true });
  });
  const told = context.waitForEvent("request", (r) => r.url().endsWith("/api/v1/time"));
  told.catch(() => undefined); // said where it is waited for
  const page = await visit(context);
  const said = JSON.parse((await told).postData());
  check(Math.abs(said.now - Date.now()) < 60000, "the time that was told");
  calm(page);
});

test("nothing typed is lost", async (open) => {
  const context = await open();
  const page = await visit(context);
  await page.fill("#nick", "Keeper");
  await page.fill("#text", "half a thought");
  await page.reload();
  same(await page.inputValue("#text"), "half a thought", "the draft after a reload");
  same(await page.inputValue("#nick"), "Keeper", "the name after a reload");
  const words = fresh("through the storm");
  await page.fill("#text", words);
  await context.setOffline(true);
  await page.locator(".send").click();
  await page.locator("#say-trouble").waitFor();
  same(await page.inputValue("#text"), words, "the words after a failed try");
  await context.setOffline(false);
  await page.locator(".send").click();
  await page.locator(".msg", { hasText: words }).waitFor();
  same(await page.locator(".msg", { hasText: words }).count(), 1, "messages");
});

test("where websockets fail, asking does", async (open) => {
  const context = await open();
  await context.addInitScript(() => {
    window.WebSocket = class {
      constructor() {
        throw new Error("no websockets here");
      }
    };
  });
  const deaf = await visit(context);
  const other = await visit(await open());
  const words = fresh("can you hear me");
  await other.fill("#text", words);
  await other.locator(".send").click();
  await deaf.locator(".msg", { hasText: words }).waitFor({ timeout: 15000 });
  same(await deaf.locator("#link").getAttribute("data-state"), "slow", "the state shown");
  calm(deaf);
});

test("where the browser keeps nothing, the page works", async (open) => {
  const context = await open();
  await context.addInitScript(() => {
    for (const store of ["localStorage", "sessionStorage"])
      Object.defineProperty(window, store, { get() { throw new Error("no " + store); } });
  });
  const page = await visit(context);
  const words = fresh("no memory");
  await page.fill("#text", words);
  await page.locator(".send").click();
  await page.locator(".msg", { hasText: words }).waitFor();
  calm(page);
});

test("no cookies, nothing from elsewhere", async (open) => {
  const context = await open();
  const hosts = new Set();
  context.on("request", (r) => hosts.add(new URL(r.url()).host));
  const page = await visit(context);
  await page.waitForLoadState("networkidle");
  same((await context.cookies()).length, 0, "cookies");
  same(Array.from(hosts).join(), new URL(page.url()).host, "hosts asked");
});
