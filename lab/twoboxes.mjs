// Two boxes in two windows of one browser: what happens at one shows at the
// other without a reload, and to a browser without JavaScript after one.
//
//   BOUCAN_URL=http://ONE BOUCAN_OTHER=http://TWO node lab/twoboxes.mjs

import { bytes, calm, check, downloads, fresh, launch, rowOf, run, same, sha, test, visit } from "../webui/browser/harness.mjs";

const other = process.env.BOUCAN_OTHER.replace(/\/$/, "");
const patience = { timeout: 20000 };

// at opens the other box's page; harness pages begin at the first box's.
async function at(context, base) {
  const page = await visit(context);
  await page.goto(base + "/");
  return page;
}

test("two boxes: a drop at one appears on the open page of the other", async (open) => {
  const here = await visit(await open());
  const there = await at(await open(), other);
  const name = fresh("Carte de Noël 图.png");
  const data = bytes(name, 300000);
  await here.setInputFiles("input[name=file]", { name, mimeType: "image/png", buffer: data });
  await rowOf(here, name).waitFor(patience);
  await downloads(here, name, data);
  await rowOf(there, name).waitFor(patience);
  await there.waitForFunction(
    (name) => {
      const row = Array.from(document.querySelectorAll(".file")).find((r) => r.textContent.includes(name));
      return row && row.dataset.state === "here";
    },
    name.slice(0, 5),
    patience,
  );
  const link = await rowOf(there, name).locator(".file-open").getAttribute("href");
  const answer = await there.request.get(other + link);
  same(answer.status(), 200, "status");
  same(sha(await answer.body()), sha(data), "bytes from the other box");
  calm(here);
  calm(there);
});

test("two boxes: talk crosses both ways while both pages stay open", async (open) => {
  const here = await visit(await open());
  const there = await at(await open(), other);
  for (const [from, to] of [[here, there], [there, here]]) {
    const words = fresh("ça traverse");
    await from.fill("#text", words);
    await from.locator(".send").click();
    const heard = to.locator(".msg", { hasText: words });
    await heard.waitFor(patience);
    same(await heard.locator(".msg-text").textContent(), words, "the words");
    same(await to.locator(".msg", { hasText: words }).count(), 1, "times it is shown");
  }
  calm(here);
  calm(there);
});

test("two boxes: without JavaScript", async (open) => {
  const plain = { javaScriptEnabled: false };
  const here = await at(await open(plain), other);
  const name = fresh("plain.odt");
  const data = bytes(name, 40000);
  await here.setInputFiles("input[name=file]", { name, mimeType: "application/octet-stream", buffer: data });
  await here.locator(".drop-send").click();
  await here.waitForURL(/\/dropped\//);
  const there = await visit(await open(plain));
  const end = Date.now() + patience.timeout;
  while ((await rowOf(there, name).count()) === 0) {
    check(Date.now() < end, "the file never came to the other page");
    await there.reload();
  }
  await downloads(there, name, data);
});

const browser = await launch();
const failed = await run(browser);
await browser.close();
process.exitCode = failed === 0 ? 0 : 1;
