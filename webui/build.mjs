// Builds the page's script and style into static/, for the oldest browsers the
// page is made for. The built files are committed; check-built.sh holds them
// against their sources.
import { build } from "esbuild";

const target = ["safari12", "chrome70", "firefox68"];
// esbuild counts destructuring out for Safari before 14.1 because of a fault with
// default values in rare places; the plain forms used here work since Safari 10.
const supported = { destructuring: true };
const common = { bundle: true, minify: true, target, supported, charset: "utf8", legalComments: "none", logLevel: "warning" };
await build({ ...common, entryPoints: ["ts/main.ts"], outfile: "static/app.js", format: "iife" });
await build({ ...common, entryPoints: ["ts/place.ts"], outfile: "static/place.js", format: "iife" });
await build({ ...common, entryPoints: ["css/app.css"], outfile: "static/app.css" });
