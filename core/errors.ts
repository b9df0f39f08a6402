/**
 * Errors that callers can tell apart by a stable `code`.
 *
 * @module
 */

/** Base of every error Armor throws on purpose. Test `code`, never the text. */
export class ArmorError<Code extends string = string> extends Error {
  override readonly name: string = "ArmorError";
  /**
   * @param code Stable, machine-readable reason.
   * @param message One line: action first, values quoted, no final period.
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
 */
export class OperationError extends ArmorError {
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
