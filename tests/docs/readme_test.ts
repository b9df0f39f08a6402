/**
 * README.md tells the truth: its walk-through is executed as it stands, and its
 * systemd unit is one.
 *
 * Blocks fenced as `sh test` run one after another in one shell. A comment
 * `<!-- until: COMMAND -->` between them waits until the command succeeds, as a
 * reader would by looking. Ports are replaced by free ones.
 *
 * time limit: 120 s
 */
import { afterAll, describe, expect, test } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, readdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { cleanEnvironment } from "../../armors/environment.ts";
import { standardPath } from "../../armors/host/program_lookup.ts";
import { root } from "../../build/tools.mjs";
import { killNode, removeNode } from "../../cli/demo/node_processes.ts";
import { freePorts } from "../../cli/demo/ports.ts";
import { armorBinary } from "../runtime/binary.ts";

const readme = readFileSync(join(root, "README.md"), "utf8");

/** Every `sh test` block, and every wait, in order. */
const steps = [...readme.matchAll(/^```sh test\n([\s\S]*?)^```$|^<!-- until: (.*?) -->$/gm)].map(([, block, wait]) => ({ block, wait }));

/** What the walk-through uses; the web server is looked up as Armor does. */
const missing = [
  ...["bash", "curl", "awk", "pgrep"].filter((tool) => spawnSync("sh", ["-c", `command -v ${tool}`]).status !== 0),
  ...(spawnSync("sh", ["-c", "python3 -c 'import http.server'"], { env: { PATH: standardPath } }).status === 0 ? [] : ["python3"]),
];
if (missing.length > 0) console.log(`skipped: walk-through of README.md: ${missing.join(", ")} not installed`);

const folder = realpathSync(mkdtempSync(join(tmpdir(), "armor-readme-")));
const place = join(folder, "try");

afterAll(async () => {
  for (const name of readdirSync(folder).includes("try") ? readdirSync(place) : []) {
    if (!/^n\d$/.test(name)) continue;
    await killNode(join(place, name));
    removeNode(join(place, name));
  }
  rmSync(folder, { recursive: true, force: true });
});

/** The walk-through as one script that stops at the first wait that is in vain. */
function script(ports: readonly number[]): string {
  const used = [...new Set(steps.flatMap(({ block = "" }) => [...block.matchAll(/127\.0\.0\.1:(\d+)|http\.server (\d+)/g)].map(([, a, b]) => (a ?? b)!)))];
  const lines = steps.map(({ block, wait }, index) => block ?? `until_true ${index} ${quote(wait!)}\n`);
  const text = `# Waits as a reader does, up to 20 s.
until_true() {
  for _ in $(seq 200); do
    if (eval "$2") >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  echo "NEVER: $2"
  armor status
  armor events
  exit 9
}
${lines.join("")}echo "THE END"
`;
  return used.reduce((said, port, index) => said.replaceAll(port, String(ports[index])), text);
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

async function run(file: string, path: string): Promise<{ readonly status: number | null; readonly output: string }> {
  const outputFile = join(folder, "output");
  const output = openSync(outputFile, "a");
  const env = { ...cleanEnvironment(process.env), PATH: `${path}:${process.env["PATH"]}`, ARMOR_DATA_DIR: "", NO_COLOR: "1" };
  const child = spawn("bash", [file], { cwd: place, env, stdio: ["ignore", output, output] });
  closeSync(output);
  const timer = setTimeout(() => child.kill("SIGKILL"), 90_000);
  const status = await new Promise<number | null>((resolve) => child.on("exit", resolve));
  clearTimeout(timer);
  return { status, output: readFileSync(outputFile, "utf8") };
}

describe("README.md", () => {
  test("names the two commands, and they exist", () => {
    const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    for (const name of ["demo", "test"]) {
      expect(readme).toContain(name === "test" ? "npm test " : `npm run ${name} `);
      expect(scripts[name]).toBeDefined();
    }
  });

  test.skipIf(missing.length > 0)("has a walk-through that goes as it says", async () => {
    expect(steps.length).toBeGreaterThan(15);
    const bin = join(folder, "bin");
    mkdirSync(bin);
    mkdirSync(place);
    symlinkSync(await armorBinary(), join(bin, "armor"));
    const file = join(folder, "walk-through.sh");
    writeFileSync(file, script(await freePorts(4)));
    const { status, output } = await run(file, bin);
    expect(status, output).toBe(0);
    for (const said of ['application "web" accepted', "the program has noticed nothing", "THE END"]) expect(output).toContain(said);
    expect(output).not.toMatch(/^armor: |command not found|syntax error/m);
  }, 100_000);

  const analyze = spawnSync("systemd-analyze", ["--version"]).status === 0;
  if (!analyze) console.log("skipped: systemd unit of README.md: systemd-analyze is not installed");
  test.skipIf(!analyze)("has a systemd unit without mistakes", async () => {
    const [, unit = ""] = /^```ini\n([\s\S]*?)^```$/m.exec(readme) ?? [];
    for (const line of ["Type=simple", "KillMode=process", "Restart=always"]) expect(unit).toContain(`\n${line}\n`);
    const file = join(folder, "armor-readme.service");
    writeFileSync(file, unit.replace("/usr/local/bin/armor", await armorBinary()));
    const { status, stdout, stderr } = spawnSync("systemd-analyze", ["verify", file], { encoding: "utf8", timeout: 20_000 });
    // It complains of other units of the machine too.
    const ours = `${stdout}${stderr}`.split("\n").filter((line) => line.includes("armor-readme"));
    expect(ours).toEqual([]);
    expect(status).toBe(0);
  }, 30_000);
});
