/**
 * Epoch promise: a daemon's word that it obeys no FTM of a lower epoch. The
 * promise is synced before it is answered (the daemon's durability class). A
 * daemon that still hears the FTM refuses to vote it out, unless the FTM's own
 * daemon testifies that its process is gone.
 *
 * @module
 */
import type { Data } from "../../core/data.ts";
import { type Element, element, type Thread } from "../../core/element.ts";
import { OperationError } from "../../core/errors.ts";
import { compareEpochs, type Epoch, epochZero } from "../../core/generation.ts";
import { timing } from "../../core/limits.ts";
import { op } from "../../core/micro_operation.ts";
import { ftmGeneration, type NodeRegistration, type NodeReport } from "../shapes.ts";
import type { Heard } from "./liveness_poll.ts";
import type { InstallOrder } from "./local_armors.ts";

/** Who is FTM, as far as this daemon knows. */
export type FtmLocation = { readonly epoch: Epoch; readonly node: string };

/** `spent`: the last epoch in which an FTM may have been started on this node without its knowing any more. */
type State = { readonly promised: Epoch; readonly ftm: FtmLocation | null; readonly spent?: Epoch };

/** More takeovers than can have been promised since the last commit that a damaged checkpoint still shows. */
const epochsAfterDamage = 1_000;

/** Payload field `vote` of a promise. */
export type Vote =
  | { readonly promised: true; readonly epoch: Epoch }
  | { readonly promised: false; readonly epoch: Epoch; readonly because: "older" }
  | {
    readonly promised: false;
    readonly epoch: Epoch;
    readonly because: "hears-ftm";
    /** Whom it hears, and where: whoever asks may have missed an FTM. */
    readonly ftm: FtmLocation | null;
    readonly address: string | null;
  };

/** The daemon's vote, and the guard of every order that carries an epoch. */
export function epochPromise(node: string): Element {
  const follow = (state: State, thread: Thread, ftm: FtmLocation): State => {
    thread.payload["ftm"] = ftm;
    thread.insert(op("ftm.changed"));
    thread.cancel("unredeemed");
    return { ...state, promised: ftm.epoch, ftm };
  };
  /** A takeover that found too few promises leaves behind those that were given. */
  const lookLater = (thread: Thread): void => thread.after("unredeemed", timing.takeoverRetryMs, "epoch.unredeemed");
  /** It still hears the FTM, and the FTM's own daemon does not testify that its process is gone. */
  const hears = (state: State, thread: Thread): boolean => {
    const heardMs = (thread.payload["heard"] as Heard)["ftm"];
    const gone = thread.payload["gone"] as Epoch | null;
    const testified = gone !== null && state.ftm !== null && compareEpochs(gone, state.ftm.epoch) >= 0;
    return heardMs !== undefined && heardMs < timing.ftmHeardMs && !testified;
  };
  const refusal = ({ promised, ftm }: State, thread: Thread): Vote => {
    const table = thread.payload["table"] as { readonly [key: string]: Data };
    const registration = ftm && table[`node:${ftm.node}`] as NodeRegistration | undefined;
    return { promised: false, epoch: promised, because: "hears-ftm", ftm, address: registration?.address ?? null };
  };

  return element<State>({
    name: "epoch_promise",
    version: 1,
    state: { promised: epochZero, ftm: null },
    check: ({ promised, ftm }) => (ftm && compareEpochs(ftm.epoch, promised) > 0 ? "it obeys an FTM of a higher epoch than it has promised" : undefined),
    handlers: {
      "armor.started": (state, thread) => {
        if (!state.ftm) return;
        // The life before may have found this node's FTM gone, and died before anybody was asked for another.
        if (compareEpochs(state.promised, state.ftm.epoch) > 0 || state.ftm.node === node) lookLater(thread);
        thread.payload["ftm"] = state.ftm;
        thread.insert(op("ftm.changed"));
      },
      // A promise may be among what is lost. The host has kept it elsewhere; if not, whoever leads next starts above what can have been promised.
      "checkpoint.restored": (state, thread) => {
        if (thread.payload["complete"] !== false) return;
        if (thread.payload["memory"]) return thread.insert(op("armors.report"), op("epoch.recall"));
        const seen = Math.max(state.promised.number, (thread.payload["epochSeen"] as number | undefined) ?? 0);
        lookLater(thread);
        return { ...state, promised: { number: seen + epochsAfterDamage, node } };
      },
      "epoch.recall": (state, thread) => {
        const memory = thread.payload["memory"] as State;
        const promised = compareEpochs(memory.promised, state.promised) > 0 ? memory.promised : state.promised;
        // An FTM of this node that is not among the armors that were restored is not known here any more: it ends, and another is elected.
        const ftm = memory.ftm?.node === node && !isAmong(thread.payload["report"] as NodeReport, memory.ftm.epoch) ? null : memory.ftm;
        const next = ftm ? follow(state, thread, ftm) : { ftm };
        if (ftm && compareEpochs(promised, ftm.epoch) > 0) lookLater(thread);
        return { ...next, promised, spent: memory.promised };
      },
      // It obeys the FTM no more, and the FTM, which it hears, does not know: there has to be another one, above the promise.
      "epoch.unredeemed": (_state, thread) => thread.insert(op("liveness.read"), op("armors.report"), op("epoch.remind")),
      "epoch.remind": (state, thread) => {
        if (!state.ftm) return;
        const isGone = state.ftm.node === node && !(thread.payload["report"] as NodeReport).armors.some(({ armor }) => armor === "ftm");
        if (!isGone && compareEpochs(state.promised, state.ftm.epoch) <= 0) return;
        lookLater(thread);
        // Nobody else watches that an FTM of this node that has ended, as with the promise, has a successor.
        if (isGone) {
          thread.payload["gone"] = state.ftm.epoch;
          return thread.insert(op("ftm.lost"));
        }
        const heardMs = (thread.payload["heard"] as Heard)["ftm"];
        if (heardMs === undefined || heardMs > timing.ftmHeardMs) return;
        thread.send({ ops: [op("epoch.announced", "ftm")], payload: { promised: state.promised }, lane: "system", deadlineMs: timing.takeoverRetryMs });
      },
      // Asked before anything is promised, so that a cut-off minority does not drive epochs up.
      "epoch.poll": (_state, thread) => {
        thread.insert(op("liveness.read"), op("table.read"), op("epoch.would"));
      },
      "epoch.would": (state, thread) => {
        const vote: Vote = hears(state, thread) ? refusal(state, thread) : { promised: true, epoch: state.promised };
        thread.payload["vote"] = vote;
        delete thread.payload["table"];
      },
      // This daemon wanted to replace an FTM that has a successor: it was away when that announced itself.
      "takeover.polled": (state, thread) => {
        const vote = thread.payload["vote"] as unknown as Vote;
        if (vote.promised || vote.because !== "hears-ftm" || !vote.ftm) return;
        const newer = compareEpochs(vote.ftm.epoch, state.ftm?.epoch ?? epochZero);
        const askedAround = thread.payload["round"] === "";
        if (askedAround && vote.address === null) return;
        if (askedAround && newer === 0 && vote.ftm.node !== node) {
          thread.command({ kind: "routes.nodes", args: { nodes: { [vote.ftm.node]: vote.address } } });
          thread.payload["address"] = vote.address;
          return thread.insert(op("ftm.located"));
        }
        if (newer <= 0) return;
        if (compareEpochs(vote.ftm.epoch, state.promised) < 0) {
          // Promised before this daemon, which may have been out of the cluster, heard of it: it cannot obey that one, and says so.
          if (vote.address === null) return;
          const { node: at, epoch } = vote.ftm;
          thread.command({ kind: "routes.nodes", args: { nodes: { [at]: vote.address } } });
          thread.command({ kind: "routes.armors", args: { armors: { ftm: at }, ftm: ftmGeneration(epoch) } });
          thread.send({ ops: [op("epoch.announced", "ftm")], payload: { promised: state.promised, promiser: node }, lane: "system", deadlineMs: timing.takeoverRetryMs });
          return;
        }
        thread.payload["address"] = vote.address;
        return follow(state, thread, vote.ftm);
      },
      "epoch.prepare": (_state, thread) => {
        thread.insert(op("liveness.read"), op("table.read"), op("epoch.vote"));
      },
      "epoch.vote": (state, thread) => {
        const epoch = thread.payload["epoch"] as Epoch;
        const refused = refusal(state, thread);
        delete thread.payload["table"];
        if (compareEpochs(epoch, state.promised) <= 0) {
          thread.payload["vote"] = { promised: false, epoch: state.promised, because: "older" };
          return;
        }
        if (hears(state, thread)) {
          thread.payload["vote"] = refused;
          return;
        }
        thread.payload["vote"] = { promised: true, epoch };
        thread.payload["report"] = { node, armors: [], table: { version: { epoch: epochZero, sequence: 0 }, lineage: [], entries: {} }, allowElements: false } satisfies NodeReport as Data;
        thread.insert(op("armors.report"), op("table.report"), op("ftm.fence"));
        lookLater(thread);
        return { ...state, promised: epoch };
      },
      "epoch.announce": (state, thread) => {
        const ftm = thread.payload["ftm"] as FtmLocation;
        if (compareEpochs(ftm.epoch, state.promised) < 0) {
          thread.payload["promised"] = state.promised;
          return;
        }
        if (state.ftm && compareEpochs(ftm.epoch, state.ftm.epoch) === 0) {
          // This node was held dead meanwhile: the FTM has forgotten its armors.
          thread.insert(op("armors.tell"));
          return;
        }
        return follow(state, thread, ftm);
      },
      // By the FTM here, before it ends: somebody has promised that epoch who will not be asked when its successor is elected.
      "epoch.raise": (state, thread) => {
        const promised = thread.payload["promised"] as Epoch;
        return compareEpochs(promised, state.promised) > 0 ? { ...state, promised } : undefined;
      },
      "epoch.guard": (state, thread) => {
        const epoch = thread.payload["epoch"] as Epoch;
        if (compareEpochs(epoch, state.promised) < 0) {
          throw new OperationError("stale-epoch", `orders of epoch ${epoch.number} are refused: ${state.promised.number} was promised`);
        }
        const install = thread.payload["install"] as InstallOrder | undefined;
        if (install?.role === "ftm" && state.spent && compareEpochs(epoch, state.spent) <= 0) {
          throw new OperationError("stale-epoch", `no FTM is started in epoch ${epoch.number}: there may have been one here before the node's state was damaged`);
        }
      },
      "epoch.read": (state, thread) => {
        thread.payload["epochs"] = state;
      },
    },
  });
}

/** Whether the FTM of this epoch is an armor of the node. */
function isAmong({ armors }: NodeReport, epoch: Epoch): boolean {
  return armors.some(({ armor, generation }) => armor === "ftm" && generation?.epoch === epoch.number && generation.node === epoch.node);
}
