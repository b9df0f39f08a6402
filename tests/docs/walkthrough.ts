/**
 * Executing a page: blocks fenced as `sh test` run one after another in one
 * shell. A comment `<!-- until: COMMAND -->` between them waits until the
 * command succeeds, as a reader would by looking. Ports are replaced by free
 * ones. Blocks fenced as `sh by hand` are not run: they need other machines, or
 * very long.
 *
 * @module
 */
import { spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, readlinkSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { cleanEnvironment } from "../../armors/environment.ts";
import { root } from "../../build/tools.mjs";
import { standardPath } from "../../armors/host/program_lookup.ts";
import { killNode, removeNode } from "../../cli/demo/node_processes.ts";
import { findByArguments, kill } from "../../armors/host/process_table.ts";
import { freePorts } from "../../cli/demo/ports.ts";
import { armorBinary } from "../runtime/binary.ts";

type Step = { readonly block: string | undefined; readonly wait: string | undefined };

/** One page on its way. */
export class Walkthrough {
  /** Every block and every wait, in order. */
  readonly steps: readonly Step[];
  /** Of this page's files. */
  readonly folder: string;

  constructor(page: string) {
    this.steps = [...page.matchAll(/^```sh test\n([\s\S]*?)^```$|^<!-- until: (.*?) -->$/gm)].map(([, block, wait]) => ({ block, wait }));
    this.folder = realpathSync(mkdtempSync(join(tmpdir(), "armor-page-")));
  }

  /** @returns Which of these are not installed; programs that Armor starts are looked up as it does. */
  static missing(tools: readonly string[], started: readonly string[]): string[] {
    const lacks = (tool: string, env?: { readonly PATH: string }): boolean => spawnSync("sh", ["-c", `command -v ${tool}`], env ? { env } : {}).status !== 0;
    return [...tools.filter((tool) => lacks(tool)), ...started.filter((tool) => lacks(tool, { PATH: standardPath }))];
  }

  /** Run everything as one script that stops at the first wait that is in vain. */
  async run(timeoutMs: number): Promise<{ readonly status: number | null; readonly output: string }> {
    const place = join(this.folder, "try");
    const bin = join(this.folder, "bin");
    mkdirSync(bin);
    mkdirSync(place);
    symlinkSync(await armorBinary(), join(bin, "armor"));
    const file = join(this.folder, "walk-through.sh");
    writeFileSync(file, await this.#script());
    const outputFile = join(this.folder, "output");
    const output = openSync(outputFile, "a");
    const env = { ...cleanEnvironment(process.env), PATH: `${bin}:${process.env["PATH"]}`, ARMOR_DATA_DIR: "", EXAMPLES: join(root, "examples"), NO_COLOR: "1" };
    const child = spawn("bash", [file], { cwd: place, env, stdio: ["ignore", output, output] });
    closeSync(output);
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    const status = await new Promise<number | null>((resolve) => child.on("exit", resolve));
    clearTimeout(timer);
    return { status, output: readFileSync(outputFile, "utf8") };
  }

  /** End what the page has started, and remove its files. */
  async end(): Promise<void> {
    const place = join(this.folder, "try");
    // Started in this folder, a guard has the name of its node's folder as the page writes it; it would start again what is ended below.
    for (const pid of findByArguments((argv) => argv.includes("--role"))) if (isIn(place, pid)) kill(pid, "SIGKILL");
    for (const name of existsSync(place) ? readdirSync(place) : []) {
      if (!/^n\d$/.test(name)) continue;
      await killNode(join(place, name));
      removeNode(join(place, name));
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #script(): Promise<string> {
    const used = [...new Set(this.steps.flatMap(({ block = "" }) => [...block.matchAll(/127\.0\.0\.1:(\d+)|http\.server (\d+)/g)].map(([, a, b]) => (a ?? b)!)))];
    const ports = await freePorts(used.length);
    const lines = this.steps.map(({ block, wait }, index) => block ?? `until_true ${index} ${quote(wait!)}\n`);
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
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function isIn(folder: string, pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/cwd`).startsWith(folder);
  } catch {
    return false; // it has ended
  }
}
