// What the browser tests stand on: a browser, a list of tests, a tally.

import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { chromium } from "playwright-core";

export const url = (process.env.BOUCAN_URL || "http://127.0.0.1:8080").replace(/\/$/, "");
export const shotFolder = process.env.BOUCAN_SHOTS || "";
export const phone = { width: 360, height: 740 };
export const desk = { width: 1280, height: 800 };

const executablePath = process.env.CHROMIUM || "/usr/bin/chromium";

/** Starts the browser. BOUCAN_RESOLVE, as "box.test 127.0.0.1", names hosts that no DNS knows. */
export function launch() {
  if (!existsSync(executablePath)) throw new Error("no browser at " + executablePath + "; set CHROMIUM");
  const args = ["--no-sandbox", "--disable-dev-shm-usage"];
  if (process.env.BOUCAN_RESOLVE) args.push("--host-resolver-rules=MAP " + process.env.BOUCAN_RESOLVE);
  return chromium.launch({ executablePath, args });
}

const tests = [];

/** Enters a test; it gets the browser and throws where it fails. */
export function test(name, body) {
  tests.push({ name, body });
}

/** Runs every test and returns how many failed. */
export async function run(browser) {
  let failed = 0;
  const only = process.env.BOUCAN_ONLY || "";
  const chosen = tests.filter((t) => t.name.includes(only));
  for (const { name, body } of chosen) {
    const began = Date.now();
    const open = [];
    try {
      await body(async (options = {}) => {
        const context = await browser.newContext({ viewport: desk, locale: "en-GB", ...options });
        open.push(context);
        return context;
      });
      console.log("ok   " + name + " (" + (Date.now() - began) + " ms)");
    } catch (e) {
      failed++;
      console.log("FAIL " + name + "\n     " + String(e.stack || e).split("\n").slice(0, 12).join("\n     "));
    } finally {
      for (const context of open) await context.close();
    }
  }
  console.log(chosen.length - failed + " passed, " + failed + " failed");
  return failed;
}

export function check(condition, what) {
  if (!condition) throw new Error(what);
}

export function same(got, want, what) {
  if (got !== want) throw new Error(what + ": got " + JSON.stringify(got) + ", want " + JSON.stringify(want));
}

/** Opens a page and collects what it complains of: script errors, broken policy. */
export async function visit(context, path = "/") {
  const page = await context.newPage();
  page.complaints = [];
  page.on("pageerror", (e) => page.complaints.push("error: " + e.message));
  page.on("console", (m) => {
    const expected = /Failed to load resource|WebSocket connection/.test(m.text()); // links are cut on purpose
    if (m.type() === "error" && !expected) page.complaints.push("console: " + m.text());
  });
  await page.goto(url + path);
  return page;
}

export function calm(page) {
  same(page.complaints.join("; "), "", "the page complains");
}

/** A name that no earlier run used, so that tests may share a box. */
export function fresh(name) {
  const dot = name.lastIndexOf(".");
  const mark = "-" + Date.now().toString(36) + Math.floor(Math.random() * 1e6).toString(36);
  return dot > 0 ? name.slice(0, dot) + mark + name.slice(dot) : name + mark;
}

/** Bytes that look like nothing else and are the same for the same seed. */
export function bytes(seed, size) {
  const parts = [];
  let have = 0;
  for (let i = 0; have < size; i++) {
    const b = createHash("sha512").update(seed + ":" + i).digest();
    parts.push(b);
    have += b.length;
  }
  return Buffer.concat(parts).subarray(0, size);
}

export const sha = (b) => createHash("sha256").update(b).digest("hex");

/** The row of a file in the list, once it is there. */
export function rowOf(page, name) {
  return page.locator(".file", { has: page.locator(".file-base", { hasText: name }) }).first();
}

/** Saves a listed file by its button and holds it against what was dropped. */
export async function downloads(page, name, want) {
  const [download] = await Promise.all([page.waitForEvent("download"), rowOf(page, name).locator(".file-save").click()]);
  same(download.suggestedFilename(), name, "name of the saved file");
  same(sha(readFileSync(await download.path())), sha(want), "bytes of " + name);
}
