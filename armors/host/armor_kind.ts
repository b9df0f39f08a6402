/**
 * Kinds of armors, as far as their hosts differ.
 *
 * @module
 */
import type { Data } from "../../core/data.ts";
import type { HostCommand } from "../../core/effects.ts";
import type { Element } from "../../core/element.ts";
import type { Payload } from "../../core/payload.ts";
import type { ElementSet } from "../elements/element_source.ts";
import type { ElementSupply } from "../elements/reconfiguration.ts";
import { compareVersions } from "../elements/table_version.ts";
import type { FtmBegin } from "../elements/takeover.ts";
import { elementsKey, executionOf, type Role } from "../shapes.ts";
import type { Registered } from "./local_link.ts";

/** What an armor is, before any of its elements is loaded. */
export interface ArmorTraits {
  readonly armor: string;
  /** The FTM's state is kept by the daemons. */
  readonly keepsCheckpoint: boolean;
  readonly asksOtherNodes: boolean;
  /** Without what its order hands over once it must not act: it would be nobody's FTM. */
  readonly needsBegin: boolean;
  /** What it is made of from outside, where it begins without a checkpoint, is in the daemon's answer. */
  readonly given: (answer: Registered) => ElementSet | undefined;
}

/** What an armor's own host adds to the loop: elements, and commands and blocking work of its kind. */
export interface ArmorKind extends ArmorTraits {
  /** What it is made of before anything from outside. */
  readonly elements: (supply: ElementSupply) => readonly Element[];
  /** Perform a command that only this kind knows. */
  readonly command?: (command: HostCommand, local: (op: string, payload?: Payload) => void) => void;
  readonly work?: (kind: string, args: Data) => Promise<Data>;
}

/**
 * The traits of a role.
 *
 * @param own Id of an armor of one's own.
 */
export function traitsOf(role: Exclude<Role, "daemon">, node: string, own: string = ""): ArmorTraits {
  const given = (answer: Registered): ElementSet | undefined => answer.given ?? undefined;
  if (role === "ftm") return { armor: "ftm", keepsCheckpoint: false, asksOtherNodes: true, needsBegin: true, given: ftmElements };
  if (role === "heartbeat") return { armor: "heartbeat", keepsCheckpoint: true, asksOtherNodes: true, needsBegin: false, given };
  return { armor: role === "own" ? own : executionOf(node), keepsCheckpoint: true, asksOtherNodes: false, needsBegin: false, given };
}

/** The FTM keeps no checkpoint: what it was given is in the application table it starts from. */
function ftmElements({ begin }: Registered): ElementSet | undefined {
  const { reports = [] } = (begin ?? {}) as unknown as Partial<FtmBegin>;
  const tables = reports.map(({ table }) => table).sort((a, b) => compareVersions(b.version, a.version));
  return tables[0]?.entries[elementsKey("ftm")] as unknown as ElementSet | undefined;
}
