/**
 * `armor inject FAULT TARGET`
 *
 * @module
 */
import { type FaultOrder, type FaultTarget, type Fault, faults, type Traffic, wrongOrder } from "../armors/fault_order.ts";
import { UsageError } from "../core/errors.ts";
import { type CommandDefinition, CommandError, jsonDocument, parseInteger, printable } from "./command.ts";
import { hanging } from "./hanging.ts";
import type { StatusDocument } from "./status_document.ts";

const timeoutMs = 10_000;
/** For what is just being recovered, perhaps on another node: as long as that takes. */
const absentMs = 5_000;
const lookEveryMs = 200;

/** Injects a fault, for tests of the cluster by its operator. */
export const injectCommand: CommandDefinition = {
  name: "inject",
  group: "Tools:",
  summary: "inject a fault: kill, hang, cut off, corrupt, …",
  description:
    `Injects a fault into a running cluster, to see it recover. The daemon of the target's node must have been started with --allow-injection. TARGET is ftm, heartbeat, daemon@NODE, execution@NODE, guard@NODE or the name of an armor of your own; a node; an application or one of its instances (NAME.0). Returns when the fault is there. FAULT is one of:\n${Object.entries(faults).map(([name, { text }]) => hanging(`  ${name.padEnd(18)}  `, text)).join("\n")}`,
  operands: [
    { name: "FAULT", description: "what is to happen" },
    { name: "TARGET", description: "armor, node, application or instance" },
  ],
  options: [
    { flags: "--for MS", description: "how long a fault lasts that lasts, in milliseconds (default: 2000)" },
    { flags: "--seed N", description: "decides what is hit where chance has a part (default: 1)" },
    { flags: "--percent N", description: "how much of what travels is hit, of drop, delay, duplicate and corrupt (default: 50)" },
    { flags: "--what KIND", description: "messages, heartbeats or all, of the same faults (default: all)" },
    { flags: "--by MS", description: "longest delay, or how far the clock jumps, in milliseconds; may be negative (default: 1000)" },
    { flags: "--element NAME", description: "element whose state corrupt-state hits" },
  ],
  connects: true,
  examples: ["armor inject kill ftm", "armor inject partition n2 --for 5000", "armor inject drop n1 --percent 30 --what heartbeats", "armor inject corrupt-state ftm --element placement --seed 7"],
  async run(input, terminal) {
    const [fault = "", name = ""] = input.operands;
    const number = (option: string, standard: number, min: number, max: number): number => {
      const text = input.text(option);
      return text === undefined ? standard : parseInteger(text, `--${option}`, min, max);
    };
    const by = input.text("by");
    const ordered = {
      fault: fault as Fault,
      forMs: number("for", 2_000, 1, 600_000),
      seed: number("seed", 1, 0, 0xffff_ffff),
      percent: number("percent", 50, 1, 100),
      traffic: (input.text("what") ?? "all") as Traffic,
      byMs: by?.startsWith("-") ? -parseInteger(by.slice(1), "--by", 0, 600_000) : number("by", 1_000, 0, 600_000),
      element: input.text("element") ?? null,
    };
    if (!Object.hasOwn(faults, fault)) throw new UsageError(wrongOrder({ ...ordered, node: "", target: { kind: "node" } })!);
    const { connectDaemon } = await import("./daemon_client.ts");
    const daemon = await connectDaemon(input, terminal);
    const texts: string[] = [];
    const attempt = async (): Promise<void> => {
      const status = (await daemon.json({ method: "GET", path: "/v1/status", timeoutMs })) as StatusDocument;
      const found = findTargets(name, status);
      if (found.length === 0) throw new CommandError("refused", `"${printable(name)}" is no armor, node, application or instance here: see armor status`);
      const orders = found.map(({ node, target }): FaultOrder => ({ ...ordered, node, target }));
      const wrong = orders.map(wrongOrder).find((text) => text !== undefined);
      if (wrong !== undefined) throw new UsageError(wrong);
      for (const body of orders) {
        const answer = (await daemon.json({ method: "POST", path: "/v1/faults", body, timeoutMs, silence: "no answer; the fault may be there" })) as { readonly text?: string };
        texts.push(String(answer.text));
      }
    };
    const endMs = performance.now() + Math.min(absentMs, terminal.waitMsMax ?? absentMs);
    for (;;) {
      try {
        await attempt();
        break;
      } catch (error) {
        const isAbsent = error instanceof CommandError && error.code === "absent";
        if (!isAbsent || texts.length > 0 || performance.now() >= endMs) throw error;
        await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
      }
    }
    terminal.out(input.json ? jsonDocument({ ok: true, changed: true, text: texts.join("; ") }) : `${texts.map((text) => printable(text)).join("\n")}\n`);
  },
};

/** Where a target is. An application is all its instances that run. */
export function findTargets(name: string, status: StatusDocument): { readonly node: string; readonly target: FaultTarget }[] {
  const { nodes = [], armors = [], applications = [] } = status;
  const idOf = (node: string | null): string | undefined => nodes.find((one) => one.name === node || one.id === node)?.id;
  const [role, at] = name.split("@");
  if (at !== undefined) {
    const node = idOf(at);
    return node !== undefined && /^(daemon|execution|guard)$/.test(role!) ? [{ node, target: { kind: "armor", id: `${role}@${node}` } }] : [];
  }
  const armor = armors.find((one) => one.id === name || one.name === name);
  const armorNode = armor && idOf(armor.node);
  if (armor && armorNode !== undefined) return [{ node: armorNode, target: { kind: "armor", id: armor.id } }];
  const own = nodes.find((one) => one.name === name);
  if (own) return [{ node: own.id, target: { kind: "node" } }];
  return applications.flatMap(({ name: application, instances = [] }) =>
    instances.flatMap(({ id, node }) => {
      const on = idOf(node);
      return (application === name || id === name) && on !== undefined ? [{ node: on, target: { kind: "instance" as const, id } }] : [];
    })
  );
}

