/**
 * Why a process could not start, and what its exit status says of that to
 * whoever watches it.
 *
 * @module
 */
import { ArmorError, CheckpointError } from "../../core/errors.ts";
import { diskStatus } from "./hand_record.ts";

/** Exit status of a process that ended by a mistake of ours. */
export const mistakeStatus = 70;

/**
 * What is not the operator's to mend, or may be mended meanwhile: a full disk.
 *
 * @returns The status with which it is started again; `undefined`: it has to be told in one line, and makes no sense to be tried again.
 */
export function againAfter(error: unknown): number | undefined {
  if (error instanceof CheckpointError) return error.code === "version" ? undefined : diskStatus;
  return error instanceof ArmorError ? undefined : mistakeStatus;
}
