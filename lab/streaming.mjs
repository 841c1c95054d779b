// A real browser at a box that does not have a file yet: it plays while it comes,
// also from its end on. And what the page says of a file that nobody in reach has.
//
//   BOUCAN_URL=http://BOX node lab/streaming.mjs play /f/CID/NAME.wav
//   BOUCAN_URL=http://BOX node lab/streaming.mjs gone /f/CID/NAME NAME BOX

import { readFileSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { check, desk, launch, phone, rowOf, run, same, shotFolder, test, url, visit } from "../webui/browser/harness.mjs";

const [what, link, name, box] = process.argv.slice(2);
const axe = readFileSync(createRequire(new URL("../webui/package.json", import.meta.url)).resolve("axe-core/axe.min.js"), "utf8");

// landed is the state of the file on the box.
async function landed(page) {
  const list = await (await page.request.get(url + "/api/v1/files?limit=500")).json();
  return list.files.find((f) => link.includes(f.cid));
}

// player asks the browser's own player, in whose page no script may run, so that
// nothing there can wait for something by itself.
async function player(page, what, ready, look) {
  for (const end = Date.now() + 60000; ; ) {
    const state = await page.evaluate(look, null).catch((e) => e.message);
    if (ready(state)) return state;
    check(Date.now() < end, what + ": the player is at " + JSON.stringify(state));
    await new Promise((done) => setTimeout(done, 50));
  }
}

// playsFrom seeks, waits until a second has been played from there, and says how
// long that took.
async function playsFrom(page, share) {
  const began = Date.now();
  const place = await page.evaluate((share) => {
    const player = document.querySelector("video, audio");
    player.muted = true;
    player.currentTime = player.duration * share;
    player.play();
    return player.duration * share;
  }, share);
  await player(page, `from ${share * 100} %`, (at) => at >= place + 1 && at < place + 20, () => document.querySelector("video, audio").currentTime);
  return Date.now() - began;
}

if (what === "play") {
  test("a file that is not here plays while it comes, from its beginning, its end and its middle", async (open) => {
    const page = await visit(await open(), link);
    await player(page, "the length", (length) => length > 100, () => document.querySelector("video, audio").duration);
    for (const share of [0, 0.9, 0.5]) {
      const took = await playsFrom(page, share);
      const f = await landed(page);
      console.log(`     ${share * 100} %: a second was played after ${took} ms; ${f.landed} of ${f.size} bytes were here`);
      if (share > 0) check(f.state === "coming" && f.landed < share * f.size, "it was here already, which shows nothing");
    }
  });
}

if (what === "gone") {
  for (const [size, viewport] of Object.entries({ phone, desk }))
    for (const colorScheme of ["light", "dark"])
      for (const lang of ["en", "ar"]) {
        const look = ["gone", size, colorScheme, lang].join("-");
        test(look, async (open) => {
          const page = await (await open({ viewport, colorScheme, hasTouch: viewport === phone })).newPage();
          const answer = await page.goto(url + link + "?lang=" + lang);
          same(answer.status(), 503, "status");
          const text = await page.locator("main").innerText();
          check(text.includes(box), "the page does not say whose it was: " + text);
          check(/\d|now|الآن/.test(text), "the page does not say when that box was seen: " + text);
          await fits(page, look);
          await page.goto(url + "/?lang=" + lang);
          await page.locator('#link[data-state="live"]').waitFor();
          const row = rowOf(page, name);
          await row.scrollIntoViewIfNeeded();
          same(await row.getAttribute("data-state"), "away", "state in the list");
          await fits(page, look + "-list");
        });
      }
}

// fits holds a page against what every page must be, and takes its picture.
async function fits(page, look) {
  if (shotFolder) {
    mkdirSync(shotFolder, { recursive: true });
    await page.screenshot({ path: join(shotFolder, look + ".png") });
  }
  same(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth), 0, "pixels of overflow");
  await page.evaluate(axe);
  const found = await page.evaluate(async () => {
    const r = await window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] });
    return r.violations.map((v) => v.id + ": " + v.nodes.map((n) => n.html.slice(0, 100)).join(" | "));
  });
  same(found.join("\n"), "", "what axe finds");
}

const browser = await launch();
const failed = await run(browser);
await browser.close();
process.exitCode = failed === 0 ? 0 : 1;
