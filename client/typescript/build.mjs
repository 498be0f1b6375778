// Builds dist: code of the contract, what to do about errors, the library and the script of events.
//   node build.mjs
// It runs programs of the repository's .venv, and reads its pages. SIGHTLINE_ROOT= names another clone.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { build } from "esbuild";

const root = resolve(process.env.SIGHTLINE_ROOT ?? join(import.meta.dirname, "../.."));
const programs = join(root, ".venv/bin");
const here = (...names) => join(import.meta.dirname, ...names);
const run = (...command) =>
  execFileSync(command[0], command.slice(1), { cwd: here(), stdio: ["ignore", "ignore", "inherit"] });

/** Generate src/gen from the public services and what they import. */
function generateContract() {
  const folder = mkdtempSync(join(tmpdir(), "protos-"));
  try {
    run(join(programs, "python"), "-m", "sightline.protos", folder);
    const services = ["sightline/gateway", "sightline/common", "google/rpc/error_details.proto"];
    const paths = services.flatMap((name) => ["--path", join(folder, name)]);
    run(join(programs, "buf"), "generate", folder, "--template", here("buf.gen.yaml"), ...paths);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Write what to do about each reason, from the tables of docs/integrate/errors.md. */
function generateAdvice() {
  const page = readFileSync(join(root, "docs/integrate/errors.md"), "utf8");
  const advice = {};
  for (const [, reasons, text] of page.matchAll(/^\| ([A-Z_, ]+) \| [A-Z_, ]+ \| (.+) \|$/gm)) {
    for (const reason of reasons.split(", ")) advice[reason] = text.replace(/\[([^\]]+)\]\([^)]+\)/g, "$1");
  }
  const literal = JSON.stringify(advice, null, 2);
  const head = "/** What to do about an error, by its reason: docs/integrate/errors.md. */\n";
  writeFileSync(here("src/gen/advice.ts"), `${head}export const ADVICE: Readonly<Record<string, string>> = ${literal};\n`);
}

rmSync(here("src/gen"), { recursive: true, force: true });
rmSync(here("dist"), { recursive: true, force: true });
generateContract();
generateAdvice();
execFileSync("node", ["node_modules/typescript/bin/tsc", "--project", "."], { cwd: here(), stdio: "inherit" });
const script = 'import { sightlineEvents } from "./events.js"; Object.assign(self, { sightlineEvents });';
await build({
  stdin: { contents: script, resolveDir: here("dist") },
  outfile: here("dist/events.min.js"),
  bundle: true,
  minify: true,
  charset: "utf8",
  format: "iife",
  target: "es2022",
});
