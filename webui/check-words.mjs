// Holds the plural rules to CLDR, as the Intl of this node knows it: those of
// ts/words.ts, and testdata/plurals.json, to which the Go tests hold those of lang.go.
// With --write it writes that table anew.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const table = "testdata/plurals.json";
const numbers = [...Array(32).keys(), 99, 100, 101, 102, 103, 110, 111, 112, 114, 121, 122, 125, 1000, 1001, 1011, 999999, 1000000, 1000001, 2000000, 2500000];

const built = await build({ entryPoints: ["ts/words.ts"], bundle: true, write: false, format: "iife", globalName: "words" });
const load = new Function("document", built.outputFiles[0].text + "; return words");

const want = {};
const wrong = [];
for (const file of readdirSync("strings").sort()) {
  const code = file.replace(".json", "");
  const rule = JSON.parse(readFileSync("strings/" + file, "utf8"))._plural;
  const cldr = new Intl.PluralRules(code);
  const strings = { _plural: rule };
  for (const form of ["zero", "one", "two", "few", "many", "other"]) strings["x." + form] = form;
  const words = load({ getElementById: () => ({ textContent: JSON.stringify(strings) }) });
  want[code] = {};
  for (const n of numbers) {
    const form = cldr.select(n);
    (want[code][form] = want[code][form] || []).push(n);
    if (words.tn("x", n) !== form) wrong.push(`ts/words.ts: ${n} is ${words.tn("x", n)} in ${code}, and ${form} in CLDR`);
  }
}
const text = "{\n" + Object.entries(want).map(([code, forms]) => `  "${code}": ${JSON.stringify(forms)}`).join(",\n") + "\n}\n";
if (process.argv.includes("--write")) writeFileSync(table, text);
else if (readFileSync(table, "utf8") !== text) wrong.push(table + " is not what CLDR says: run 'node check-words.mjs --write' in webui/, then 'go test .'");
for (const w of wrong) console.error(w);
process.exitCode = wrong.length ? 1 : 0;
