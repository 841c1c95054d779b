// What a visitor without JavaScript does.

import { bytes, check, downloads, fresh, rowOf, same, test, visit } from "./harness.mjs";

const plain = { javaScriptEnabled: false };

test("without JavaScript: one file", async (open) => {
  const page = await visit(await open(plain));
  const name = fresh("plain ünïcode.pdf");
  const data = bytes(name, 123456);
  await page.setInputFiles("input[name=file]", { name, mimeType: "application/pdf", buffer: data });
  await page.locator(".drop-send").click();
  await page.waitForURL(/\/dropped\//);
  same(await page.locator("h1").textContent(), "One file is on the box", "what it says");
  await page.locator(".page .button").click();
  await rowOf(page, name).waitFor();
  same(await rowOf(page, name).getAttribute("data-kind"), "document", "kind");
  await downloads(page, name, data);
});

test("without JavaScript: many files, one of them twice", async (open) => {
  const page = await visit(await open(plain));
  const names = Array.from({ length: 12 }, (_, i) => fresh("p" + i + ".bin"));
  const files = names.map((name, i) => ({ name, mimeType: "application/octet-stream", buffer: bytes(i === 11 ? names[0] : name, 2000) }));
  await page.setInputFiles("input[name=file]", files);
  await page.locator(".drop-send").click();
  await page.waitForURL(/\/dropped\//);
  same(await page.locator(".result[data-state=saved]").count(), 11, "saved");
  same(await page.locator(".result[data-state=already]").count(), 1, "already here");
  await page.goBack();
  await page.reload();
  await downloads(page, names[10], files[10].buffer);
});

test("without JavaScript: taking a drop back", async (open) => {
  const page = await visit(await open(plain));
  const name = fresh("regret.txt");
  await page.setInputFiles("input[name=file]", { name, mimeType: "text/plain", buffer: bytes(name, 100) });
  await page.locator(".drop-send").click();
  await page.waitForURL(/\/dropped\//);
  await page.locator(".result-undo").click();
  await page.waitForURL(/\/undo\//);
  same(await page.locator(".result-name").textContent(), name, "what it is for");
  await page.locator("button").click();
  same(await page.locator("h1").textContent(), "Taken back", "what it says");
  await page.locator(".page .button").click();
  same(await rowOf(page, name).count(), 0, "rows");
});

test("without JavaScript: nothing chosen", async (open) => {
  const page = await visit(await open(plain));
  await page.locator("input[name=file]").first().evaluate((e) => e.removeAttribute("required"));
  await page.locator(".drop-send").click();
  same(await page.locator("h1").textContent(), "No file chosen", "what it says");
});

test("without JavaScript: talking", async (open) => {
  const page = await visit(await open(plain));
  const words = fresh("plain words <i>&amp;");
  await page.fill("#nick", "Ada");
  await page.fill("#text", words);
  await page.locator(".send").click();
  await page.waitForURL(/#say$/);
  const message = page.locator(".msg", { hasText: words });
  await message.waitFor();
  same(await message.locator(".msg-text").textContent(), words, "the words");
  same(await page.inputValue("#nick"), "Ada", "the name for the next one");
  const other = await visit(await open(plain));
  await other.locator(".msg", { hasText: words }).waitFor();
  await other.fill("#text", "reply to " + words);
  await other.locator(".send").click();
  await page.getByRole("link", { name: "Refresh" }).last().click();
  await page.locator(".msg", { hasText: "reply to " + words }).waitFor();
});

test("without JavaScript: searching and the other languages", async (open) => {
  const page = await visit(await open(plain));
  const name = fresh("haystack.txt");
  await page.setInputFiles("input[name=file]", { name, mimeType: "text/plain", buffer: bytes(name, 10) });
  await page.locator(".drop-send").click();
  await page.waitForURL(/\/dropped\//);
  await page.goto(new URL("/", page.url()).href);
  await page.fill("#q", name.slice(0, -4));
  await page.locator(".search button").click();
  await rowOf(page, name).waitFor();
  same(await page.locator(".file").count(), 1, "rows");
  await page.locator('.languages a[lang="ar"]').click();
  same(await page.locator("html").getAttribute("dir"), "rtl", "direction");
  same(await page.locator(".file").count(), 1, "rows in the other language");
  await page.locator(".brand").click();
  same(await page.locator("html").getAttribute("lang"), "ar", "the language stays");
  check((await page.locator(".file").count()) >= 1, "the whole list is back");
});
