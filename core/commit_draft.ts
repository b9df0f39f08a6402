/**
 * Commit draft: a commit record in the making. The parts of the microkernel
 * write into it what they change; what can be long grows in place.
 *
 * @module
 */
import type { CommitRecord, Continuation } from "./checkpoint.ts";
import type { Lane } from "./message.ts";
import type { ArmorId } from "./micro_operation.ts";

/** A record that is not written yet. */
export type CommitDraft = { -readonly [K in keyof CommitRecord]: CommitRecord[K] } & {
  sent?: NonNullable<CommitRecord["sent"]>[number][];
  channels?: NonNullable<CommitRecord["channels"]>[number][];
  acked?: NonNullable<CommitRecord["acked"]>[number][];
  continuations?: Record<string, Continuation | null>;
};

/** The place of a message from another armor: what its commit says was handled. */
export type Origin = { readonly peer: ArmorId; readonly lane: Lane; readonly sequence: number };

/** Whether the draft says more than its number and generation. */
export function saysSomething(draft: CommitDraft): boolean {
  return Object.keys(draft).length > 2;
}
