// How it looks: nothing overflows, targets are large, axe finds nothing; and the
// pictures for people to look at.

import { readFileSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { calm, check, desk, fresh, phone, same, shotFolder, test, visit } from "./harness.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const looks = [];
for (const [size, viewport] of Object.entries({ phone, desk }))
  for (const colorScheme of ["light", "dark"])
    for (const lang of ["en", "ar"]) looks.push({ name: [size, colorScheme, lang].join("-"), viewport, colorScheme, lang });
// Those with the longest words, where there is least room for them.
for (const lang of ["de", "uk", "tr"]) looks.push({ name: "phone-light-" + lang, viewport: phone, colorScheme: "light", lang });

async function picture(page, name) {
  if (!shotFolder) return;
  mkdirSync(shotFolder, { recursive: true });
  await page.screenshot({ path: join(shotFolder, name + ".png") });
}

/** Nothing sticks out, everything is as large as a finger, and axe finds nothing. */
async function looksRight(page) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  same(wide, 0, "pixels of overflow");
  // A link within a sentence is as high as its line (WCAG 2.5.8).
  const small = await page.evaluate(() => {
    const out = [];
    for (const e of document.querySelectorAll("a, button, input:not([type=hidden]), textarea, summary")) {
      const box = (e.closest("label") || e).getBoundingClientRect();
      const hidden = box.width === 0 || e.closest("[hidden]") || e.closest(".msg-text") || getComputedStyle(e).clip === "rect(0px, 0px, 0px, 0px)";
      if (!hidden && (box.height < 44 || box.width < 44)) out.push(e.outerHTML.slice(0, 80) + " " + Math.round(box.width) + "×" + Math.round(box.height));
    }
    return out;
  });
  same(small.join("\n"), "", "targets under 44 px");
  await page.evaluate(axe);
  const found = await page.evaluate(async () => {
    const r = await window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] });
    return r.violations.map((v) => v.id + ": " + v.nodes.map((n) => n.html.slice(0, 100) + " — " + n.failureSummary).join(" | "));
  });
  same(found.join("\n"), "", "what axe finds");
}

const room = fresh("looks").replace(".", "-");

test("looks: something to look at in a room", async (open) => {
  const page = await visit(await open(), "/room/" + room);
  for (const text of ["How high is the water at the bridge? https://example.org/levels", "ما أخبار الجسر؟", "Two metres, and rising"]) {
    await page.fill("#nick", text.length % 2 ? "Zoé" : "");
    await page.fill("#text", text);
    await page.locator(".send").click();
    await page.locator(".msg", { hasText: text.slice(0, 12) }).waitFor();
  }
  calm(page);
});

for (const look of looks) {
  test("looks: " + look.name, async (open) => {
    const context = await open({ viewport: look.viewport, colorScheme: look.colorScheme, hasTouch: look.viewport === phone });
    const page = await visit(context, "/?lang=" + look.lang);
    await page.locator('#link[data-state="live"]').waitFor();
    await picture(page, look.name);
    await looksRight(page);
    const talk = await visit(context, "/room/" + room + "?lang=" + look.lang);
    await talk.locator('#link[data-state="live"]').waitFor();
    await talk.locator(".msg-more summary").last().click();
    await picture(talk, look.name + "-room");
    await looksRight(talk);
    if (look.viewport === phone) {
      await page.locator('.tabs a[href="#chat"]').click();
      await page.waitForTimeout(600); // the page scrolls smoothly
      check(await page.locator("#text").isVisible(), "the lobby is one tap away");
      await picture(page, look.name + "-chat");
      await page.locator('.tabs a[href="#files"]').click();
      await page.waitForTimeout(600);
      await picture(page, look.name + "-files");
    }
  });
}

test("looks: without JavaScript", async (open) => {
  for (const [name, viewport] of Object.entries({ phone, desk })) {
    const page = await visit(await open({ viewport, javaScriptEnabled: false }));
    await picture(page, name + "-plain");
    if (!shotFolder) continue;
    await page.screenshot({ path: join(shotFolder, name + "-plain-full.png"), fullPage: true });
  }
});

test("looks: a drop on its way, and a page that says no", async (open) => {
  for (const [name, viewport] of Object.entries({ phone, desk })) {
    const context = await open({ viewport });
    const page = await visit(context);
    const cdp = await context.newCDPSession(page);
    await cdp.send("Network.enable");
    await cdp.send("Network.emulateNetworkConditions", { offline: false, latency: 5, downloadThroughput: -1, uploadThroughput: 300 << 10 });
    const stamp = Date.now();
    await page.setInputFiles("input[name=file]", [
      { name: "looks-small-" + stamp + ".txt", mimeType: "text/plain", buffer: Buffer.from("small " + stamp + name) },
      { name: "looks-film-" + stamp + ".mp4", mimeType: "video/mp4", buffer: Buffer.alloc(3 << 20, name) },
      { name: "looks-second-film-with-a-rather-long-name-" + stamp + ".mp4", mimeType: "video/mp4", buffer: Buffer.alloc(3 << 20, name + "2") },
    ]);
    await page.waitForTimeout(3000);
    await picture(page, name + "-sending");
    page.on("dialog", (d) => d.accept());
    const no = await visit(context, "/f/nothing/here.txt");
    await picture(no, name + "-unknown");
    same(await no.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth), 0, "pixels of overflow");
  }
});

test("looks: motion is left out where it is not wanted", async (open) => {
  const page = await visit(await open({ reducedMotion: "reduce" }));
  const moving = await page.evaluate(() => getComputedStyle(document.documentElement).scrollBehavior);
  same(moving, "auto", "scrolling");
});
