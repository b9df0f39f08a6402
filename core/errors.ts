/**
 * Errors that callers can tell apart by a stable `code`.
 *
 * @module
 */

/**
 * Base of every error Armor throws on purpose. Test `code`, never the text.
 *
 * @example
 * ```ts
 * import { ArmorError } from "./errors.ts";
 * const error = new ArmorError("locked", 'Cannot start: "web" runs already');
 * console.assert(error.code === "locked");
 * ```
 */
export class ArmorError<Code extends string = string> extends Error {
  /** Name of the class. */
  override readonly name: string = "ArmorError";
  /**
   * Make an error; its class says who may be interested.
   *
   * @param code Stable, machine-readable reason.
   * @param message One line: action first, values quoted, no final period.
   * @param options `cause`: the error underneath.
   */
  constructor(readonly code: Code, message: string, options?: { cause?: unknown }) {
    super(message, options);
  }
}

/**
 * Thrown by an element's handler to refuse an operation: the segment is undone
 * and the message goes back to its origin as `armor.op-failed` with this code
 * and text. Any other exception is reported as `handler-threw` without its text,
 * because texts of engines differ.
 *
 * @example
 * ```ts
 * import { OperationError } from "./errors.ts";
 * const handler = (state: { left: number }): void => {
 *   if (state.left === 0) throw new OperationError("refused", "nothing is left");
 * };
 * handler({ left: 1 });
 * ```
 */
export class OperationError extends ArmorError {
  /** Name of the class. */
  override readonly name = "OperationError";
}

/** Why a checkpoint could not be read or written. */
export class CheckpointError extends ArmorError<
  "disk_full" | "write_failed" | "damaged" | "unreadable" | "version"
> {
  override readonly name = "CheckpointError";
}

/** A refusal the operator must see: one line on stderr and the exit status. */
export class UsageError extends ArmorError<"usage"> {
  override readonly name = "UsageError";
  constructor(message: string) {
    super("usage", message);
  }
}
