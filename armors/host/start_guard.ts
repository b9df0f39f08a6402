/**
 * Start a replacement guard: a daemon has lost its own.
 *
 * @module
 */
import { parseRoleFlags } from "./role_flags.ts";
import { becomeGuard } from "./start_node.ts";

/** Run as the guard of a living daemon; returns while it runs. */
export async function startGuard(argv: readonly string[]): Promise<undefined> {
  return await becomeGuard(parseRoleFlags(argv), false);
}
