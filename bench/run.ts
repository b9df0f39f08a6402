/**
 * `npm run bench`: every measurement on this machine, then bench/RESULTS.md.
 * With names of measurements only those, printed and not written:
 * `npm run bench -- start idle`.
 *
 * On a machine that others keep busy, figures like those of a quiet one come from
 * `sudo chrt -r 5 npm run bench`: everything that is measured inherits it.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { compile } from "../build/compile.ts";
import { type Measurement, Missing, median, type Row } from "./harness.ts";

/** In this order: the ones that want a quiet machine first. */
const measurements: { readonly [name: string]: { readonly title: string; readonly load: () => Promise<{ measure: Measurement }> } } = {
  start: { title: "Start", load: () => import("./start.ts") },
  idle: { title: "An idle node", load: () => import("./idle.ts") },
  application: { title: "Applications", load: () => import("./application.ts") },
  armors: { title: "Armors, daemon, guard", load: () => import("./armors.ts") },
  planned_restart: { title: "Planned absence", load: () => import("./planned_restart.ts") },
  node_cut: { title: "Nodes cut off", load: () => import("./node_cut.ts") },
  own_armors: { title: "Armors of one's own", load: () => import("./own_armors.ts") },
  replacements: { title: "Elements replaced while an armor runs", load: () => import("./replacements.ts") },
  overhead: { title: "What supervision costs a program", load: () => import("./overhead.ts") },
  starved: { title: "A starved machine", load: () => import("./starved.ts") },
  node_killed: { title: "Nodes that die", load: () => import("./node_killed.ts") },
  two_nodes: { title: "Two nodes", load: () => import("./two_nodes.ts") },
  acknowledged: { title: "Acknowledged submissions", load: () => import("./acknowledged.ts") },
  power_cut: { title: "Power cuts", load: () => import("./power_cut.ts") },
  busy: { title: "Busy machines", load: () => import("./busy.ts") },
  kernel: { title: "Microkernel, per message", load: () => import("./kernel.ts") },
};

const wanted = process.argv.slice(2);
const unknown = wanted.find((name) => !Object.hasOwn(measurements, name) && name !== "transports");
if (unknown !== undefined) {
  console.error(`bench: unknown measurement "${unknown}": use ${Object.keys(measurements).join(", ")} or transports`);
  process.exit(2);
}
const isWanted = (name: string): boolean => wanted.length === 0 || wanted.includes(name);

process.env["ARMOR_BINARY"] ||= await compile();
const loadBefore = loadavg()[0]!;
const sections: string[] = [];
let failed = false;
for (const [name, { title, load }] of Object.entries(measurements)) {
  if (!isWanted(name)) continue;
  console.error(`${name}:`);
  try {
    const rows = await (await load()).measure();
    const section = `## ${title}\n\n${table(rows)}`;
    console.log(`\n${section}`);
    sections.push(section);
  } catch (error) {
    if (error instanceof Missing) sections.push(`## ${title}\n\nNot measured: needs ${error.message}.\n`);
    else {
      failed = true;
      console.error(error);
      sections.push(`## ${title}\n\nFailed: ${(error as Error).message.split("\n")[0]}\n`);
    }
  }
}
if (isWanted("transports")) {
  console.error("transports:");
  const { stdout } = spawnSync(process.execPath, [join(import.meta.dirname, "transports.ts")], { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  console.log(`\n${stdout}`);
  sections.push(`## Transports\n\nLoopback, the other end a process of its own. Peers, 256 bytes between processes: bare TCP echo 118 µs, Erlang distribution call 176 µs, NATS request 348 µs, gRPC stream (Bun) 162 µs.\n\n\`\`\`text\n${stdout.trim()}\n\`\`\`\n`);
}
if (wanted.length === 0) {
  writeFileSync(join(import.meta.dirname, "RESULTS.md"), `${head()}\n${sections.join("\n")}`);
  console.error("written: bench/RESULTS.md");
}
process.exit(failed ? 1 : 0);

function head(): string {
  const processor = cpus()[0]?.model.trim() ?? "unknown";
  const system = /^PRETTY_NAME="?(.*?)"?$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? process.platform;
  return `# Results

Written by \`npm run bench\` on ${new Date().toISOString().slice(0, 10)}: ${cpus().length} × ${processor}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${system}, Linux ${release()}; load ${loadBefore.toFixed(2)} before the run${isRealTime() ? ", all processes scheduled in real time (`chrt -r 5`) because others used the machine" : ""}.

Times are from the signal, or the pulled link, to what is seen from outside. Median (smallest–largest), n = number of runs.
A target is compared with the median where it says so, else with the largest value. Figures of the peers were measured on a machine like
this one; absolute times move with the machine, so compare ratios only with a run of both sides.
`;
}

/** Whether this process, and so everything it starts, goes before the other processes of the machine. */
function isRealTime(): boolean {
  const policy = readFileSync("/proc/self/stat", "latin1").split(") ")[1]!.split(" ")[38];
  return policy === "1" || policy === "2";
}

function table(rows: readonly Row[]): string {
  const lines = rows.map((row) => {
    const { what, method, target, unit, values, peers = "", holds } = row;
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const middle = median(values);
    const figure = values.length === 1 ? `${number(middle)} ${unit}` : `${number(middle)} ${unit} (${number(low)}–${number(high)}), n = ${values.length}`;
    return `| ${[what, target?.text ?? "–", `${figure}${holds ? `; ${holds.text}` : ""}`, verdict(row), method, peers].join(" | ")} |`;
  });
  return `| What | Target | Reached | | Method | Peers |\n|---|---|---|---|---|---|\n${lines.join("\n")}\n`;
}

function verdict({ target, values, holds }: Row): string {
  if (target === undefined && holds === undefined) return "";
  const value = target?.of === "median" ? median(values) : Math.max(...values);
  return (target === undefined || value <= target.max) && holds?.ok !== false ? "holds" : "**missed**";
}

function number(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString("en");
  return value.toFixed(value >= 10 ? 1 : 2).replace(/\.?0+$/, "");
}
