/**
 * Faults that can be injected, and the order for one: what the command line
 * sends and a daemon takes.
 *
 * @module
 */

/** What a fault hits. */
export type FaultTarget =
  /** `daemon@NODE`, `execution@NODE`, `guard@NODE`, `ftm`, `heartbeat` or an armor of one's own, by id. */
  | { readonly kind: "armor"; readonly id: string }
  /** Every process of one instance. */
  | { readonly kind: "instance"; readonly id: string }
  /** Everything on the node, or its ways to other nodes. */
  | { readonly kind: "node" };

/** Messages, heartbeats, or both; of the faults that change what travels. */
export const traffics = ["messages", "heartbeats", "all"] as const;

/** One of {@link traffics}. */
export type Traffic = (typeof traffics)[number];

/** The order, as it travels. */
export type FaultOrder = {
  readonly fault: Fault;
  /** Id of the node that has to do it. */
  readonly node: string;
  readonly target: FaultTarget;
  /** How long it lasts, of those that last. */
  readonly forMs: number;
  readonly seed: number;
  /** Of what travels, how much is hit. */
  readonly percent: number;
  readonly traffic: Traffic;
  /** Of `delay`: at most this long. Of `clock-jump`: how far. */
  readonly byMs: number;
  /** Of `corrupt-state`: name of the element. */
  readonly element: string | null;
};

/** Every fault: what it takes, and what it does. */
export const faults = {
  kill: { targets: ["armor", "instance", "node"], lasts: false, text: "end the processes by SIGKILL" },
  hang: { targets: ["armor", "instance", "node"], lasts: true, text: "stop the processes; they go on after --for, if they still live" },
  resume: { targets: ["armor", "instance", "node"], lasts: false, text: "let stopped processes go on, and end every lasting fault of the node" },
  cpu: { targets: ["armor", "instance", "node"], lasts: true, text: "leave the processes a tenth of a processor; a node: keep all its processors busy" },
  partition: { targets: ["node"], lasts: true, text: "cut the node off: no message and no heartbeat to or from other nodes" },
  "disk-full": { targets: ["node"], lasts: true, text: "fill the file system of the data folder; refused on one larger than 256 MiB" },
  "corrupt-state": { targets: ["armor"], lasts: false, text: "flip a bit in the live state of --element, at once and in place" },
  "corrupt-checkpoint": { targets: ["armor"], lasts: false, text: "flip a bit in one of the armor's newest checkpoint files" },
  drop: { targets: ["armor", "node"], lasts: true, text: "lose --percent of what travels" },
  delay: { targets: ["armor", "node"], lasts: true, text: "hold --percent of what travels back for up to --by, so that later overtakes earlier" },
  duplicate: { targets: ["armor", "node"], lasts: true, text: "deliver --percent of what travels twice" },
  corrupt: { targets: ["armor", "node"], lasts: true, text: "flip a bit in --percent of the heartbeats; break connections between nodes as TLS does for messages" },
  "clock-jump": { targets: ["armor"], lasts: false, text: "move the clock of the armor's process by --by for good; if negative, it stands still that long" },
} as const satisfies { readonly [fault: string]: { readonly targets: readonly FaultTarget["kind"][]; readonly lasts: boolean; readonly text: string } };

/** One of {@link faults}. */
export type Fault = keyof typeof faults;

/** Longest time a fault may last: nobody is to forget one in a running cluster. */
export const faultMsMax = 600_000;

/** @returns What is wrong with an order; nothing if it can be carried out. */
export function wrongOrder(order: FaultOrder): string | undefined {
  const { fault, target, forMs, seed, percent, byMs, element, traffic } = order;
  if (typeof fault !== "string" || !Object.hasOwn(faults, fault)) return `unknown fault ${JSON.stringify(fault)}: use ${Object.keys(faults).join(", ")}`;
  const { targets } = faults[fault];
  if (!(targets as readonly string[]).includes(target?.kind)) return `${fault} hits ${targets.join(" or ")}, not ${JSON.stringify(target?.kind)}`;
  if (target.kind !== "node" && typeof target.id !== "string") return "the target has no id";
  if (fault === "clock-jump" && target.kind === "armor" && target.id.startsWith("guard@")) return "clock-jump hits armors, and the guard is none";
  if (!Number.isSafeInteger(forMs) || forMs < 1 || forMs > faultMsMax) return `--for must be from 1 to ${faultMsMax} ms`;
  if (!Number.isSafeInteger(seed) || seed < 0 || seed > 0xffff_ffff) return "--seed must be a whole number from 0 to 4294967295";
  if (!Number.isSafeInteger(percent) || percent < 1 || percent > 100) return "--percent must be from 1 to 100";
  if (!Number.isSafeInteger(byMs) || Math.abs(byMs) > faultMsMax) return `--by must be from -${faultMsMax} to ${faultMsMax} ms`;
  if (!traffics.includes(traffic)) return `--what must be ${traffics.join(", ")}`;
  if (fault === "corrupt-state" && (typeof element !== "string" || element === "")) return "corrupt-state needs --element NAME: see armor status --json";
  return undefined;
}
