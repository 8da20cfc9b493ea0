// Builds src/main.tsx and Preact into one file: node build.mjs FILE
import { readFileSync } from "node:fs";
import { build } from "esbuild";

const licence = readFileSync(new URL("node_modules/preact/LICENSE", import.meta.url), "utf8").trim();
const { version } = JSON.parse(readFileSync(new URL("node_modules/preact/package.json", import.meta.url), "utf8"));
await build({
  absWorkingDir: new URL(".", import.meta.url).pathname,
  entryPoints: ["src/main.tsx"],
  outfile: process.argv[2] ?? "../dosefind/show/explore/explore.js",
  bundle: true,
  minify: true,
  format: "iife",
  globalName: "dosefindExplore",
  target: "es2022",
  charset: "ascii",
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  banner: { js: `/* Built from explore/src by explore/build.mjs: do not edit. It contains Preact ${version}:\n\n${licence}\n*/` },
  logLevel: "warning",
});
