/**
 * A campaign's lines of NDJSON as tables in Markdown, and a plot.
 *
 * @module
 */
import { cpus, totalmem } from "node:os";
import { type Injection, type Outcome, phases } from "./record.ts";

const outcomes: readonly Outcome[] = ["no effect", "recovered", "application restarted", "in doubt", "system failure"];
/** In these a fault is alone, so that what happens is its own. */
const alone = new Set(["start-up", "registration", "submission", "steady state", "completion"]);

/** The smallest value that this part of all do not exceed. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]!;
}

/** All tables. `commit`: of the executable. */
export function markdown(all: readonly Injection[], date: string, commit: string): string {
  const failures = all.filter(({ outcome }) => outcome === "system failure");
  const seeds = [...new Set(all.map(({ seed }) => seed))].sort((a, b) => a - b);
  const livesOf = (group: readonly Injection[]): number => new Set(group.map(({ seed, life }) => `${seed}/${life}`)).size;
  return [
    "# Campaign on real processes",
    "",
    `Written by \`npm run campaign -- --report\` on ${date}: ${cpus().length} × ${cpus()[0]?.model.replace(/\s+/g, " ").trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB; several clusters at once, so times are pessimistic.`,
    "What is injected, and what counts as a system failure, is in [docs/PROOF.md](../docs/PROOF.md#real-processes).",
    "",
    `**${all.length} injections, ${failures.length} system failures**, in ${livesOf(all)} clusters; executable of commit ${commit}; seeds ${seeds.join(", ")}.`,
    "",
    table(["Seed", "Clusters", "n", ...outcomes], seeds.map((seed) => {
      const group = all.filter((one) => one.seed === seed);
      const [name, ...counts] = counted(String(seed), group);
      return [name!, String(livesOf(group)), ...counts];
    })),
    "",
    "## Outcomes",
    "",
    table(["Phase", "n", ...outcomes], phases.map((phase) => counted(phase, all.filter((one) => one.phase === phase)))),
    "",
    table(["Nodes", "n", ...outcomes], [1, 2, 3].map((nodes) => counted(String(nodes), all.filter((one) => one.nodes === nodes)))),
    "",
    "*Recovered*: something of Armor was replaced, and no program noticed. *In doubt*: nothing was restarted but what was hit, and messages on",
    "their way to or from it were named in `armor.rewound`: they may have had effects that are gone. With two faults the outcome is that of both.",
    "",
    "## By target and fault",
    "",
    "Faults that came alone. Median and 95th percentile, in ms, from the injection to the event that tells of it, and until everything was as specified",
    "(for a pause, a partition or what is done to messages: including the time it lasted).",
    "",
    table(["Target", "Fault", "n", "Detected by", "Detected", "Settled", ...outcomes], groups(all).map(([target, fault, group]) => row(target, fault, group))),
    "",
    "![Time until everything was as specified](campaign.svg)",
    "",
    ...(failures.length === 0 ? [] : ["## System failures", "", table(["Seed", "Cluster", "Nodes", "Phase", "Target", "Fault", "What was wrong"], failures.map(failureRow)), ""]),
  ].join("\n");
}

function groups(all: readonly Injection[]): [string, string, Injection[]][] {
  const found = new Map<string, Injection[]>();
  for (const one of all) {
    if (!alone.has(one.phase)) continue;
    const key = `${one.target}\n${one.fault}`;
    found.set(key, [...(found.get(key) ?? []), one]);
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, group]) => [...(key.split("\n") as [string, string]), group]);
}

function counted(name: string, group: readonly Injection[]): string[] {
  return [name, String(group.length), ...outcomes.map((outcome) => String(group.filter((one) => one.outcome === outcome).length))];
}

function row(target: string, fault: string, group: readonly Injection[]): string[] {
  const times = (values: readonly (number | null)[]): string => {
    const known = values.filter((value) => value !== null);
    return known.length === 0 ? "–" : `${quantile(known, 0.5)} (${quantile(known, 0.95)})`;
  };
  const detectors = new Map<string, number>();
  for (const { detectedBy } of group) if (detectedBy !== null) detectors.set(detectedBy, (detectors.get(detectedBy) ?? 0) + 1);
  const [most] = [...detectors].sort((a, b) => b[1] - a[1]);
  const by = most === undefined ? "nobody" : `${most[0]} ${Math.round((100 * most[1]) / group.length)} %`;
  const [, n, ...counts] = counted("", group);
  return [target, fault, n!, by, times(group.map(({ detectionMs }) => detectionMs)), times(group.map(({ recoveredMs }) => recoveredMs)), ...counts];
}

function failureRow({ seed, life, nodes, phase, target, fault, wrong = "" }: Injection): string[] {
  const text = wrong.replace(/^Not within 30 s: everything is as specified; /, "").replace(/ after \{.*/, "").replace(/\/tmp\/[^ ]*\//g, "").replaceAll("|", "/");
  return [String(seed), String(life), String(nodes), phase, target, fault, text.slice(0, 120)];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

const plot = { left: 250, width: 640, rowHeight: 17, top: 46, minMs: 5, maxMs: 30_000 } as const;

/** Of each target and fault: 5th to 95th percentile as a line, the middle half as a box, the median as a tick; logarithmic. */
export function svg(all: readonly Injection[]): string {
  const rows = groups(all).map(([target, fault, group]) => ({ name: `${target}: ${fault}`, times: group.map(({ recoveredMs }) => recoveredMs).filter((ms) => ms !== null) })).filter(({ times }) => times.length > 0);
  const x = (ms: number): number => {
    const part = Math.log(Math.max(ms, plot.minMs) / plot.minMs) / Math.log(plot.maxMs / plot.minMs);
    return Math.round(10 * (plot.left + part * plot.width)) / 10;
  };
  const height = plot.top + rows.length * plot.rowHeight + 12;
  const ticks = [10, 100, 1_000, 10_000].map((ms) =>
    `<line x1="${x(ms)}" y1="${plot.top - 8}" x2="${x(ms)}" y2="${height - 8}" stroke="#ddd"/><text x="${x(ms)}" y="${plot.top - 14}" text-anchor="middle">${ms < 1_000 ? `${ms} ms` : `${ms / 1_000} s`}</text>`
  );
  const marks = rows.map(({ name, times }, index) => {
    const y = plot.top + index * plot.rowHeight + 6;
    const [low, first, middle, third, high] = [0.05, 0.25, 0.5, 0.75, 0.95].map((part) => x(quantile(times, part))) as [number, number, number, number, number];
    return `<text x="${plot.left - 10}" y="${y + 4}" text-anchor="end">${name} (${times.length})</text>` +
      `<line x1="${low}" y1="${y}" x2="${high}" y2="${y}" stroke="#888"/>` +
      `<rect x="${first}" y="${y - 4}" width="${Math.max(1, Math.round(10 * (third - first)) / 10)}" height="8" fill="#9cc4e4"/>` +
      `<line x1="${middle}" y1="${y - 5}" x2="${middle}" y2="${y + 5}" stroke="#1f4e79" stroke-width="2"/>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${plot.left + plot.width + 20}" height="${height}" font-family="sans-serif" font-size="11">
<rect width="100%" height="100%" fill="white"/>
<text x="${plot.left}" y="16" font-size="13">Time until everything was as specified, by target and fault (number of injections)</text>
${[...ticks, ...marks].join("\n")}
</svg>
`;
}
