/**
 * The order with which a daemon starts an armor, as the armor's flags say it.
 *
 * @module
 */
import { ArmorError } from "../../core/errors.ts";
import type { Generation } from "../../core/generation.ts";
import type { Role } from "../shapes.ts";
import type { RoleOptions } from "./role_flags.ts";

/** How an armor is started. */
export interface ArmorOrder {
  readonly role: Role;
  /** Absent: started by hand; the daemon says under which it runs. */
  readonly generation: Generation | undefined;
  /** It was started before under this order. */
  readonly again: boolean;
  /** The process before this one ended by its own doing. */
  readonly ownEnd: boolean;
}

/** @throws {ArmorError} `"usage"` if the generation is none. */
export function armorOrder(role: Role, { epoch, incarnation, ended }: RoleOptions): ArmorOrder {
  return {
    role,
    generation: epoch === undefined ? undefined : parseGeneration(epoch),
    again: incarnation !== undefined && !incarnation.endsWith(".0"),
    ownEnd: ended === "own",
  };
}

/** The daemon's notation: `EPOCH.NODE.COUNTER`. */
function parseGeneration(text: string): Generation {
  const match = /^(\d+)\.([^.]+)\.(\d+)$/.exec(text);
  if (!match) throw new ArmorError("usage", `--epoch ${JSON.stringify(text)} is not of the form EPOCH.NODE.COUNTER`);
  return { epoch: Number(match[1]), node: match[2]!, counter: Number(match[3]) };
}
