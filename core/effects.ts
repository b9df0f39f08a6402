/**
 * What one step of the microkernel asks of the host, in field order. The
 * checkpoint must have reached the armor's durability class before anything
 * else is done: a restarted armor must not forget what its peers already know.
 *
 * @module
 */
import type { Data, DataRecord } from "./data.ts";
import type { CommitRecord } from "./checkpoint.ts";
import type { Frame } from "./frame.ts";

/** Effects of one step. */
export interface Effects {
  /** One record per committed segment, in order; empty when nothing durable changed. */
  readonly commits: readonly CommitRecord[];
  /** Messages and channel set-up to other armors. */
  readonly sends: readonly Frame[];
  /** Acknowledgements; never before the commit they speak of. */
  readonly acks: readonly Frame[];
  /** Blocking work to be started; answered by a `work-done` event with the same key. */
  readonly work: readonly { readonly key: string; readonly kind: string; readonly args: Data }[];
  /** Everything else the host does. */
  readonly commands: readonly HostCommand[];
  /** When the microkernel wants its next `tick`; `undefined`: no need. */
  readonly wakeAtMs: number | undefined;
}

/**
 * A request to the host without a durable answer. `kind` says what; the kinds an
 * armor's host understands are listed with that host.
 */
export interface HostCommand {
  /** Dotted: `program.launch`. */
  readonly kind: string;
  /** What the host needs to do it. */
  readonly args: DataRecord;
}

/** What a segment that failed tells the armor's own log; texts of engines stay here. */
export interface Diagnostic {
  readonly op: string;
  readonly element: string;
  readonly code: string;
  readonly error?: unknown;
}
