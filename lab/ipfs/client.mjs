// A stock IPFS client (Helia) beside a box: it knows nothing but a CID and the
// box's address, fetches blocks and CARs, and computes every hash itself.
//
//   npm ci && BOUCAN_URL=http://BOX node lab/ipfs/client.mjs '{"NAME": {"cid": …, "size": …}, …}'
//
// Of the files, film has several chunks, small is one, and giant has more than 1024.

import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { trustlessGateway } from "@helia/block-brokers";
import { createHeliaHTTP } from "@helia/http";
import { httpGatewayRouting } from "@helia/routers";
import { unixfs } from "@helia/unixfs";
import { CarBlockIterator } from "@ipld/car";
import { MemoryBlockstore } from "blockstore-core";
import { exporter } from "ipfs-unixfs-exporter";
import { CID } from "multiformats/cid";
import { sha256 } from "multiformats/hashes/sha2";

// Node 20 has none, and Helia calls it.
Promise.withResolvers ??= function () {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
};

const box = process.env.BOUCAN_URL.replace(/\/$/, "");
const files = JSON.parse(process.argv[2]);
const MiB = 1 << 20;

let passed = 0;
let failed = 0;

async function test(name, run) {
  const began = Date.now();
  try {
    await run();
    passed++;
    console.log(`ok    ${name} (${Date.now() - began} ms)`);
  } catch (e) {
    failed++;
    console.log(`FAIL  ${name}: ${e.stack}`);
  }
}

function same(got, want, what) {
  if (got !== want) throw new Error(`${what}: ${got}, want ${want}`);
}

async function digest(chunks) {
  const hash = createHash("sha256");
  for await (const c of chunks) hash.update(c);
  return hash.digest("hex");
}

// download is the same file the plain way, or a part of it.
async function download(file, offset, length) {
  const headers = offset === undefined ? {} : { Range: `bytes=${offset}-${offset + length - 1}` };
  const answer = await fetch(`${box}/f/${file.cid}/x`, { headers });
  if (!answer.ok) throw new Error(`plain download: ${answer.status}`);
  return digest(answer.body);
}

// client runs use with a fresh Helia that knows one gateway.
async function client(gateway, use) {
  const helia = await createHeliaHTTP({
    blockBrokers: [trustlessGateway({ allowInsecure: true, allowLocal: true })],
    routers: [httpGatewayRouting({ gateways: [gateway] })],
  });
  try {
    return await use(unixfs(helia), helia);
  } finally {
    await helia.stop();
  }
}

// car fetches a CAR, checks each block, and returns the blocks and their number.
async function car(file, query) {
  const answer = await fetch(`${box}/ipfs/${file.cid}?format=car${query}`);
  same(answer.status, 200, "status");
  const blocks = new MemoryBlockstore();
  let count = 0;
  for await (const { cid, bytes } of await CarBlockIterator.fromIterable(answer.body)) {
    const hash = await sha256.digest(bytes);
    same(Buffer.compare(hash.digest, cid.multihash.digest), 0, `hash of ${cid}`);
    await blocks.put(cid, bytes);
    count++;
  }
  return { blocks, count };
}

// proxy stands between client and box; alter may change what passes.
async function proxy(alter, use) {
  const server = createServer(async (ask, answer) => {
    const from = await fetch(box + ask.url, { headers: { Accept: ask.headers.accept ?? "" } });
    answer.writeHead(from.status, { "Content-Type": from.headers.get("content-type") });
    answer.end(alter(Buffer.from(await from.arrayBuffer())));
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  try {
    return await use(`http://127.0.0.1:${server.address().port}`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

for (const name of ["small", "film"]) {
  await test(`${name}, block by block`, async () => {
    const got = await client(box, (fs) => digest(fs.cat(CID.parse(files[name].cid))));
    same(got, await download(files[name]), "content");
  });
}

await test("giant, a part on both sides of 1 GiB, block by block", async () => {
  const part = { offset: 1024 * MiB - 1000, length: 2000 };
  const got = await client(box, (fs) => digest(fs.cat(CID.parse(files.giant.cid), part)));
  same(got, await download(files.giant, part.offset, part.length), "content");
});

await test("a chunk by its own CID, in a fresh client", async () => {
  const { blocks } = await car(files.film, "&dag-scope=block");
  const root = await exporter(CID.parse(files.film.cid), blocks);
  const link = root.node.Links[3].Hash;
  const got = await client(box, (fs) => digest(fs.cat(link)));
  same(got, await download(files.film, 3 * MiB, MiB), "content");
});

await test("giant, as one CAR", async () => {
  const { blocks, count } = await car(files.giant, "");
  same(count < 20, true, `${count} blocks, most of which are the same zeros`);
  const entry = await exporter(CID.parse(files.giant.cid), blocks);
  same(Number(entry.size), files.giant.size, "size");
  let chunks = 0;
  for (const { Hash: node } of entry.node.Links) {
    for (const { Hash: chunk } of (await exporter(node, blocks)).node.Links) {
      same(await blocks.has(chunk), true, `chunk ${chunks++}`);
    }
  }
  same(chunks, Math.ceil(files.giant.size / MiB), "chunks");
  const part = { offset: 1024 * MiB - 1000, length: 2000 };
  same(await digest(entry.content(part)), await download(files.giant, part.offset, part.length), "content");
});

await test("film, as a CAR of one part", async () => {
  const { blocks, count } = await car(files.film, `&entity-bytes=${5 * MiB}:${6 * MiB}&car-dups=y`);
  same(count, 3, "blocks");
  const entry = await exporter(CID.parse(files.film.cid), blocks);
  same(await digest(entry.content({ offset: 5 * MiB, length: MiB + 1 })), await download(files.film, 5 * MiB, MiB + 1), "content");
});

await test("the probe, and a CID that nobody has", async () => {
  const probe = await fetch(`${box}/ipfs/bafkqaaa?format=raw`);
  same(`${probe.status} ${(await probe.arrayBuffer()).byteLength}`, "200 0", "probe");
  const unknown = CID.createV1(0x55, await sha256.digest(new TextEncoder().encode("nobody has this")));
  same((await fetch(`${box}/ipfs/${unknown}`, { headers: { Accept: "application/vnd.ipld.raw" } })).status, 404, "status");
});

await test("a gateway that alters nothing is believed", async () => {
  const got = await proxy((b) => b, (url) => client(url, (fs) => digest(fs.cat(CID.parse(files.film.cid)))));
  same(got, await download(files.film), "content");
});

// Helia goes on looking for another gateway, and there is none.
await test("a gateway that alters one bit is not", async () => {
  for (const name of ["small", "film"]) {
    let altered = 0;
    const alter = (b) => {
      altered++;
      b[b.length - 1] ^= 1;
      return b;
    };
    const outcome = await proxy(alter, (url) =>
      Promise.race([
        client(url, (fs) => digest(fs.cat(CID.parse(files[name].cid)))).then(() => "believed", () => "refused"),
        new Promise((done) => setTimeout(done, 3000, "not believed")),
      ]),
    );
    same(outcome !== "believed" && altered > 0, true, `${name}, ${outcome}, ${altered} altered blocks`);
  }
});

console.log(`\n${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1); // the last client still looks
