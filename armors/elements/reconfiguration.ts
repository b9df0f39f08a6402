/**
 * Reconfiguration: what this armor is made of. The daemon sends
 * `armor.configure` after each registration; its commit is the first after a
 * restart and shows that the armor works. `element.add`, `element.replace` and
 * `element.remove` change the armor's elements while it runs; their sources are
 * this element's state, so that a restarted armor can make them again.
 *
 * @module
 */
import type { Data, DataRecord } from "../../core/data.ts";
import { type Element, element, type Thread } from "../../core/element.ts";
import { OperationError } from "../../core/errors.ts";
import { limits } from "../../core/limits.ts";
import { op } from "../../core/micro_operation.ts";
import type { Incarnation } from "../shapes.ts";
import { type ElementsChange, type ElementSet, type ElementSource, isBasic, isOld, type OwnElement, removedAfter, type RemovedElements, sourceKey, type SourceState, sourceState } from "./element_source.ts";

type State = SourceState & { readonly incarnation: Incarnation };

/** The elements that a loaded source makes, by its hash; `undefined`: not loaded in this process. */
export type ElementLibrary = (hash: string) => readonly Element[] | undefined;

/** How an armor comes by elements from outside. */
export type ElementSupply = {
  readonly library: ElementLibrary;
  /** What it is given when it begins without a checkpoint. */
  readonly given?: ElementSet;
};

const loadWithinMs = 10_000;

/** Keeps the incarnation under which the armor was last registered, and the elements it was given. */
export function reconfiguration({ library, given = { own: [], sources: {} } }: ElementSupply = { library: () => undefined }): Element {
  const put = (verb: "add" | "replace") => (state: State, thread: Thread): State | undefined => {
    const { element: { name, source }, numbered } = thread.payload as unknown as { element: ElementSource; numbered?: ElementsChange };
    if (!thread.completion) {
      refuseBasic(name);
      const { length } = source;
      if (length > limits.elementSourceMax) {
        throw new OperationError("refused", `the source of element "${name}" has ${length} characters: at most ${limits.elementSourceMax} are taken`);
      }
      thread.block({ kind: "element.load", args: { source }, timeoutMs: loadWithinMs });
      return;
    }
    const hash = loaded(thread, name);
    const made = library(hash)?.find((one) => one.name === name);
    if (!made) throw new OperationError("refused", `the source makes no element "${name}"`);
    const present = thread.describe().find((one) => one.name === name);
    const own = state.own.find((one) => one.name === name);
    const builtIn = own?.builtIn ?? present !== undefined;
    const answer = { ok: true, name, version: made.version, hash, builtIn };
    const entry: OwnElement = { name, hash, builtIn, ...(numbered && { change: numbered }) };
    const old = isOld(state, name, numbered);
    if (old || own?.hash === hash) {
      thread.payload["answer"] = { ...answer, changed: false };
      return old || !numbered ? undefined : { ...state, own: state.own.map((one) => (one === own ? entry : one)) };
    }
    if (verb === "replace" && present && !own) refuseNarrower(made, present.ops);
    if (!own && state.own.length >= limits.ownElementsMax) {
      throw new OperationError("refused", `"${thread.self}" has ${state.own.length} elements of its own: that is the limit`);
    }
    thread.reconfigure(verb === "add" ? { add: made } : { replace: made });
    thread.event({ kind: verb === "add" ? "element.added" : "element.replaced", subject: thread.self, element: name, version: made.version });
    thread.payload["answer"] = { ...answer, changed: true };
    const next = own ? state.own.map((one) => (one === own ? entry : one)) : [...state.own, entry];
    return withOwn({ ...state, [sourceKey(hash)]: source }, next, removedAfter(state, name, undefined));
  };

  return element<State>({
    name: "reconfiguration",
    version: 2,
    state: { ...sourceState(given), incarnation: { placement: 0, restart: 0 } } as State,
    migrate: (state) => ({ ...state, own: [] }) as unknown as State,
    blocking: ["element.add", "element.replace"],
    handlers: {
      "armor.configure": (state, thread) => ({ ...state, incarnation: thread.payload["incarnation"] as Incarnation }),
      "element.add": put("add"),
      "element.replace": put("replace"),
      "element.remove": (state, thread) => {
        const { element: { name: wanted }, numbered } = thread.payload as unknown as { element: { name?: Data }; numbered?: ElementsChange };
        const name = String(wanted);
        refuseBasic(name);
        const own = state.own.find((one) => one.name === name);
        const present = thread.describe().some((one) => one.name === name);
        const old = isOld(state, name, numbered);
        if (old || (!own && !present)) {
          thread.payload["answer"] = { ok: true, name, changed: false };
          return old || !numbered ? undefined : withOwn(state, state.own, removedAfter(state, name, numbered));
        }
        if (!own || own.builtIn) throw new OperationError("refused", `element "${name}" came with the armor: others count on it; replace it instead`);
        thread.reconfigure({ remove: name });
        thread.event({ kind: "element.removed", subject: thread.self, element: name });
        thread.payload["answer"] = { ok: true, name, changed: true };
        return withOwn(state, state.own.filter((one) => one !== own), removedAfter(state, name, numbered));
      },
      // From the daemon, what the application table says: changes that were acknowledged may be among what a checkpoint has lost.
      "elements.align": (state, thread) => {
        const { own, sources, removed = {} } = thread.payload["elements"] as unknown as ElementSet;
        const change = (verb: string, given: DataRecord, numbered: ElementsChange): void =>
          void thread.send({ ops: [op(`element.${verb}`, thread.self)], payload: { element: given, numbered }, lane: "system" });
        for (const { name, hash, change: numbered } of own) {
          if (!numbered || isOld(state, name, numbered)) continue;
          const present = thread.describe().some((one) => one.name === name);
          change(present ? "replace" : "add", { name, source: sources[hash]! }, numbered);
        }
        for (const [name, numbered] of Object.entries(removed)) if (!isOld(state, name, numbered)) change("remove", { name }, numbered);
      },
    },
  });
}

/** The state with these lists; sources that nothing on them needs are dropped. */
function withOwn(state: State, own: readonly OwnElement[], removed: { readonly removed?: RemovedElements }): State {
  const needed = new Set(own.map(({ hash }) => sourceKey(hash)));
  const kept = Object.entries(state).filter(([key]) => key !== "removed" && (!key.startsWith("source:") || needed.has(key)));
  return { ...Object.fromEntries(kept), own, ...removed } as unknown as State;
}

/** Hash of what the host has loaded; `refused` is the host's reason, in Armor's own words. */
function loaded({ completion }: Thread, name: string): string {
  const { hash, refused = "its host has failed" } = (completion?.ok ? completion.value : {}) as { hash?: string; refused?: string };
  if (hash !== undefined) return hash;
  const late = completion?.ok === false && completion.error === "timeout";
  throw new OperationError("refused", `element "${name}" cannot be loaded: ${late ? "its code did not answer in time" : refused}`);
}

function refuseBasic(name: string): void {
  if (isBasic(name)) throw new OperationError("refused", `element "${name}" is one of the basic five that every armor has: it stays`);
}

/** Elements that came with the armor count on one another's ops. */
function refuseNarrower(made: Element, ops: readonly string[]): void {
  const missing = ops.find((op) => !Object.hasOwn(made.handlers, op));
  if (missing !== undefined) {
    throw new OperationError("refused", `element "${made.name}" came with the armor: what replaces it must subscribe to its op "${missing}" too`);
  }
}
