// Saving several files, passing one on, the boxes around, and the pages about the box.

import { readFileSync } from "node:fs";
import { bytes, calm, check, desk, fresh, phone, rowOf, same, test, visit } from "./harness.mjs";

for (const javaScriptEnabled of [false, true]) {
  test("several files as one ZIP" + (javaScriptEnabled ? "" : ", without JavaScript"), async (open) => {
    const page = await visit(await open({ javaScriptEnabled, viewport: phone }));
    const names = [fresh("zip ünïcode.bin"), fresh("zip-two.bin")];
    for (const name of names) {
      const [, answer] = [0, await page.request.post(new URL("/api/v1/files?name=" + encodeURIComponent(name), page.url()).href, { data: bytes(name, 3000) })];
      same(answer.status(), 201, "drop");
    }
    await page.reload();
    for (const name of names) await rowOf(page, name).locator(".file-pick").check();
    const [download] = await Promise.all([page.waitForEvent("download"), page.locator(".zip-go").click()]);
    check(download.suggestedFilename().endsWith(".zip"), "its name");
    const body = readFileSync(await download.path());
    for (const name of names) {
      check(body.includes(Buffer.from(name)), name + " is in the ZIP");
      check(body.includes(bytes(name, 3000)), "the bytes of " + name + " are in the ZIP");
    }
    calm(page);
  });
}

test("a file is passed on by its page", async (open) => {
  const page = await visit(await open({ viewport: phone }));
  const name = "passed on/" + fresh("page.bin");
  await page.request.post(new URL("/api/v1/files?name=" + encodeURIComponent(name), page.url()).href, { data: bytes(name, 3000) });
  const row = rowOf(page, name.slice(10));
  await row.waitFor(); // it comes by the live connection, made by the script
  await row.locator(".file-page").click();
  await page.waitForURL(/\/file\//);
  const address = await page.inputValue("#address");
  check(await page.locator("svg.qr").isVisible(), "a code");
  const other = await visit(await open({ javaScriptEnabled: false }), new URL(address).pathname);
  same(await other.locator("h1").textContent(), name.slice(10), "what the address shows");
  await other.locator(".crumbs a").click();
  await other.waitForURL(/\/folder\/passed%20on/);
  const [download] = await Promise.all([other.waitForEvent("download"), other.locator('a[href^="/zip?folder="]').click()]);
  same(download.suggestedFilename(), "passed on.zip", "name of the folder's ZIP");
});

const pages = ["/boxes", "/about", "/poster", "/folder/passed%20on"];
for (const viewport of [phone, desk])
  for (const lang of ["en", "ar"])
    test("pages about the box: " + viewport.width + " " + lang, async (open) => {
      const context = await open({ viewport, colorScheme: lang === "ar" ? "dark" : "light" });
      for (const path of pages) {
        const page = await visit(context, path + "?lang=" + lang);
        const found = await page.evaluate(() => {
          const small = Array.from(document.querySelectorAll("main a, main button, main .tile, main .address, .foot a"), (e) => [e, e.getBoundingClientRect()])
            .filter(([e, box]) => box.width > 0 && box.height < 44)
            .map(([e]) => e.outerHTML.slice(0, 80));
          return { wide: document.documentElement.scrollWidth - document.documentElement.clientWidth, small: small.join("\n") };
        });
        same(found.wide, 0, path + ": pixels of overflow");
        same(found.small, "", path + ": targets under 44 px");
        calm(page);
      }
    });
