/**
 * Rule 1 of the safety list: an acknowledged change is not lost. An operation
 * without an answer may have taken effect or not; what was acknowledged has.
 *
 * @module
 */

/** What the table may say of one application: `absent`, `running` or `stopped`. */
export type Outcome = "absent" | "running" | "stopped";

/** Follows one application by what its operator was told. */
export class Acknowledged {
  /** What may be true now. */
  possible: Set<Outcome> = new Set(["absent"]);
  /** The last revision acknowledged since the application was submitted. */
  revision = 0;

  /** What was refused said that there is no such application. */
  noteAbsent(): void {
    this.possible = new Set(this.possible.has("absent") ? ["absent"] : []);
    this.revision = 0;
  }

  /** An operation was done, or was not answered (`undefined`). */
  note(operation: string, done: true | undefined, revision: number | undefined): void {
    const after = new Set<Outcome>();
    for (const before of this.possible) {
      const next = effect(operation, before);
      if (next !== undefined) after.add(next);
      if (done === undefined) after.add(before);
    }
    this.possible = after;
    if (done && operation === "application.remove") this.revision = 0;
    else if (done && revision !== undefined) this.revision = revision;
    else if (done === undefined && operation === "application.remove") this.revision = 0;
  }
}

function effect(operation: string, before: Outcome): Outcome | undefined {
  switch (operation) {
    case "application.submit":
      return before === "absent" ? "running" : before;
    case "application.remove":
      // One that was removed before is: said again, it is as wanted.
      return "absent";
    case "application.stop":
      return before === "absent" ? undefined : "stopped";
    default:
      return before === "absent" ? undefined : "running";
  }
}
