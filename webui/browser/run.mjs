// Browser test of a running box:
//
//   BOUCAN_URL=http://127.0.0.1:8080 npm run browser
//
// It drops files and says things, so give it a box of its own. CHROMIUM names the
// browser (default /usr/bin/chromium), BOUCAN_SHOTS a folder for screenshots,
// BOUCAN_RESOLVE a "name address" pair for a box name that no DNS knows,
// BOUCAN_ONLY a part of the names of the tests to run.

import { launch, run } from "./harness.mjs";
import "./flows.mjs";
import "./plain.mjs";
import "./looks.mjs";
import "./place.mjs";

const browser = await launch();
const failed = await run(browser);
await browser.close();
process.exitCode = failed === 0 ? 0 : 1;
