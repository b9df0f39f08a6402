/**
 * Rule 1 of the safety list: an acknowledged change is not lost. An operation
 * without an answer may have taken effect or not; what was acknowledged has.
 *
 * The one exception: of two nodes that acted alone, the changes of one side to an
 * application give way when they meet. Only what one of them did not have yet
 * when it was acknowledged may be lost, and only if `application.superseded` names
 * that side's last change.
 *
 * @module
 */

/** What the table may say of one application: `absent`, `running` or `stopped`. */
export type Outcome = "absent" | "running" | "stopped";

/** An operation and what its operator was told. */
export interface Told {
  readonly operation: string;
  /** `undefined`: nothing. */
  readonly done: true | undefined;
  readonly revision: number | undefined;
  /** Number of the epoch in which it was acknowledged, or asked for in vain, where only one of two nodes had it; else 0. */
  readonly aloneIn: number;
}

/** A change that gave way, as an event names it. */
export interface Superseded {
  readonly epoch: number;
  readonly revision: number;
}

/** Follows one application by what its operator was told. */
export class Acknowledged {
  readonly #told: (Told | "absent")[] = [];

  /** What was refused said that there is no such application. */
  noteAbsent(): void {
    this.#told.push("absent");
  }

  /** An operation was done, or was not answered. */
  note(told: Told): void {
    this.#told.push(told);
  }

  /** What may be true now, and the last revision acknowledged since the application was submitted. */
  expected(superseded: readonly Superseded[]): { readonly possible: ReadonlySet<Outcome>; readonly revision: number } {
    let possible: Set<Outcome> = new Set(["absent"]);
    let revision = 0;
    for (const told of this.#told) {
      if (told === "absent") {
        possible = new Set(possible.has("absent") ? ["absent"] : []);
        revision = 0;
        continue;
      }
      const lost = superseded.some((named) => gaveWay(told, named));
      const after = new Set<Outcome>();
      for (const before of possible) {
        const next = effect(told.operation, before);
        if (next !== undefined) after.add(next);
        if (told.done === undefined || lost) after.add(before);
        // On its side it may have been there still; that this side's change won is told of by what gave way.
        const there = told.done === undefined && told.aloneIn > 0 && superseded.length > 0 ? effect(told.operation, "running") : undefined;
        if (there !== undefined) after.add(there);
      }
      possible = after;
      if (told.operation === "application.remove" || superseded.length > 0) revision = 0;
      else if (told.done && told.revision !== undefined) revision = told.revision;
    }
    return { possible, revision };
  }
}

/** It was that side's last change, or one before it. */
function gaveWay({ aloneIn, revision = Infinity }: Told, named: Superseded): boolean {
  if (aloneIn === 0) return false;
  return aloneIn < named.epoch || (aloneIn === named.epoch && (revision === Infinity || revision <= named.revision));
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
