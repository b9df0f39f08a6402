/**
 * Live elements: the elements of an armor with the state the microkernel owns
 * for them, durable and volatile. They change by commits only.
 *
 * @module
 */
import type { Snapshot } from "./checkpoint.ts";
import type { CommitDraft } from "./commit_draft.ts";
import type { Data, DataRecord } from "./data.ts";
import { difference, type DurableState } from "./durable_state.ts";
import type { Element, ElementDescription } from "./element.ts";
import { InvariantError } from "./invariant.ts";
import type { ReconfigurationPlan } from "./reconfiguration.ts";
import { StateSeals } from "./state_seals.ts";
import { SubscriptionList } from "./subscription_list.ts";

/** Elements, their subscriptions and states. */
export class LiveElements {
  #subscriptions = new SubscriptionList();
  readonly #states = new Map<string, DataRecord>();
  readonly #volatiles = new Map<string, unknown>();
  readonly #seals = new StateSeals();

  /** @param durable What a checkpoint holds: an element finds its state there, migrated if its version has changed. */
  constructor(elements: readonly Element[], durable: DurableState | undefined) {
    for (const element of elements) {
      this.#subscriptions.add(element);
      const saved = durable?.elements.get(element.name);
      let state = element.state;
      if (saved) state = saved.version === element.version ? saved.state : element.migrate?.(saved.state, saved.version) ?? element.state;
      this.#states.set(element.name, state);
      this.#volatiles.set(element.name, element.volatile?.());
      this.#seals.broken(state);
    }
  }

  /** Which element takes which op. */
  get subscriptions(): SubscriptionList {
    return this.#subscriptions;
  }

  /** Durable states by element. */
  get states(): ReadonlyMap<string, DataRecord> {
    return this.#states;
  }

  /** Volatile parts by element. */
  get volatiles(): ReadonlyMap<string, unknown> {
    return this.#volatiles;
  }

  /** Elements with their versions and ops. */
  describe(): ElementDescription[] {
    return this.#subscriptions.describe();
  }

  /** Versions and states, as a snapshot keeps them. */
  snapshot(): Snapshot["elements"] {
    const elements: Record<string, { version: number; state: DataRecord }> = {};
    for (const { name, version } of this.#subscriptions.elements()) elements[name] = { version, state: this.#states.get(name)! };
    return elements;
  }

  /**
   * Run every element's `check`, or that of one, over committed state, and look whether any of it has changed in place.
   *
   * @throws {InvariantError} If committed state is wrong: nothing is left to undo.
   */
  audit(only?: string): void {
    for (const element of this.#subscriptions.elements()) {
      const { name } = element;
      if (only !== undefined && name !== only) continue;
      const [state, volatile] = [this.#states.get(name)!, this.#volatiles.get(name)];
      const wrong = element.check?.(state, volatile);
      if (wrong !== undefined) throw corrupt(name, wrong);
      this.#unbroken(name, state);
      this.#unbroken(name, volatile);
    }
  }

  /**
   * Take the states a segment has left; the draft gets what differs.
   *
   * @throws {InvariantError} If what is to be replaced has changed in place: what follows from it must not be written.
   */
  stageStates(states: ReadonlyMap<string, DataRecord>, volatiles: ReadonlyMap<string, unknown>, draft: CommitDraft): void {
    const set: Record<string, Record<string, Data>> = {};
    const unset: Record<string, string[]> = {};
    for (const [name, after] of states) {
      const before = this.#states.get(name) ?? {};
      const changes = difference(before, after);
      for (const state of [before, after]) {
        if (this.#seals.broken(state, false) !== undefined) throw corrupt(name, inPlace(""));
        for (const key of [...Object.keys(changes.set), ...changes.unset]) this.#unbroken(name, state[key]);
      }
      if (Object.keys(changes.set).length > 0) set[name] = changes.set;
      if (changes.unset.length > 0) unset[name] = changes.unset;
      this.#states.set(name, after);
    }
    if (Object.keys(set).length > 0) draft.set = set;
    if (Object.keys(unset).length > 0) draft.unset = unset;
    for (const [name, value] of volatiles) this.#volatiles.set(name, value);
  }

  /** Take the new list of elements; what a removed one held goes. */
  stagePlan({ name, version, subscriptions }: ReconfigurationPlan, draft: CommitDraft): void {
    this.#subscriptions = subscriptions;
    if (version === undefined) {
      draft.removed = [name];
      this.#states.delete(name);
      this.#volatiles.delete(name);
    } else draft.versions = { [name]: version };
  }

  #unbroken(name: string, value: unknown): void {
    const path = this.#seals.broken(value);
    if (path !== undefined) throw corrupt(name, inPlace(path));
  }
}

const corrupt = (name: string, wrong: string): InvariantError => new InvariantError(`state of element "${name}" is corrupt: ${wrong}`);
const inPlace = (path: string): string => `it has changed in place${path === "" ? "" : `, at ${path.slice(1)}`}`;
