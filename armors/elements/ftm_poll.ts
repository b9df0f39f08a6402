/**
 * FTM poll: the heartbeat armor's task. Source: it "detects failures in the FTM
 * by periodically polling for liveness, and then initiates FTM recovery".
 *
 * @module
 */
import type { Data } from "../../core/data.ts";
import { type Element, element, type Thread } from "../../core/element.ts";
import { OperationError } from "../../core/errors.ts";
import { compareEpochs, type Epoch, epochZero } from "../../core/generation.ts";
import { timing } from "../../core/limits.ts";
import { op } from "../../core/micro_operation.ts";
import type { LivenessChange } from "./liveness_poll.ts";
import type { TakeoverRequest } from "./takeover.ts";
import type { Follow } from "./view_shape.ts";

/** What the last FTM told: enough to replace it. */
type State = Follow;

/** Subscribes to what the FTM says of itself and to what the poll finds. @param self Its node. */
export function ftmPoll(self: string): Element {
  const watch = (state: State, thread: Thread): void => {
    const address = state.nodes.find(({ id }) => id === state.ftm)?.address;
    if (!address) return;
    thread.payload["targets"] = [{
      id: "ftm",
      address,
      suspectMisses: timing.nodeSuspectMisses,
      failedMisses: timing.heartbeatMisses,
    }];
    thread.insert(op("liveness.watch"));
  };

  const recover = (state: State, thread: Thread, cause: string, gone: Epoch | null, avoid: readonly string[]): void => {
    const nodes = state.nodes.filter((node) => node.state !== "left").map(({ id }) => id);
    const failed = state.nodes.filter((node) => node.state === "failed").map(({ id }) => id);
    const dead = gone === null && avoid.length === 0 ? [...failed, state.ftm] : failed;
    // A planned absence outlives the FTM that was told of it.
    const absent = state.nodes.filter((node) => node.absent).map(({ id }) => id);
    const request: TakeoverRequest = { cause, nodes, seen: state.epoch, from: state.ftm, gone, dead, patient: false, avoid: [...new Set([...avoid, ...absent])] };
    thread.payload["takeover"] = request as unknown as Data;
    thread.insert(op("takeover.begin"));
  };

  return element<State>({
    name: "ftm_poll",
    version: 1,
    state: { epoch: epochZero, nodes: [], ftm: "" },
    handlers: {
      "armor.started": (state, thread) => watch(state, thread),
      "epoch.guard": (state, thread) => {
        const epoch = thread.payload["epoch"] as Epoch;
        if (compareEpochs(epoch, state.epoch) < 0) {
          throw new OperationError("stale-epoch", `orders of epoch ${epoch.number} are refused: ${state.epoch.number} was seen`);
        }
      },
      "heartbeat.follow": (state, thread) => {
        const at = thread.payload["at"];
        // A copy that is about to be removed would swallow what the one that stays has to know.
        if (typeof at === "string" && at !== self) throw new OperationError("elsewhere", "this is said to the heartbeat armor of another node");
        const { epoch, nodes, ftm: node } = thread.payload["follow"] as unknown as Follow;
        const ftm = node || state.ftm;
        const next = { epoch, nodes, ftm };
        if (compareEpochs(epoch, state.epoch) > 0 || ftm !== state.ftm) {
          thread.payload["ftm"] = { epoch, node: ftm };
          thread.payload["unwatch"] = ["ftm"];
          watch(next, thread);
          thread.insert(op("ftm.changed"), op("liveness.unwatch"));
        } else watch(next, thread);
        return next;
      },
      // The FTM's own daemon says that its process is gone.
      "ftm.failed": (state, thread) => {
        const gone = thread.payload["gone"] as Epoch;
        if (compareEpochs(gone, state.epoch) >= 0) recover(state, thread, "crashed", gone, []);
      },
      // A connection to its node has closed: look at once.
      "ftm.link-closed": (state, thread) => {
        if (thread.payload["subject"] !== state.ftm) return;
        thread.payload["probe"] = "ftm";
        thread.insert(op("liveness.probe"));
      },
      // Its node is to be absent: hand over first.
      "ftm.hand-over": (state, thread) => {
        const { gone, avoid } = thread.payload as unknown as { gone: Epoch; avoid: string[] };
        recover(state, thread, "planned absence", gone, avoid);
        return { ...state, nodes: state.nodes.map((node) => (avoid.includes(node.id) ? { ...node, absent: true } : node)) };
      },
      "liveness.changed": (state, thread) => {
        for (const { id, liveness } of thread.payload["changes"] as LivenessChange[]) {
          if (id !== "ftm" || liveness !== "failed") continue;
          recover(state, thread, "silent", null, []);
          thread.after("still", timing.takeoverRetryMs, "ftm.still-silent");
        }
      },
      "ftm.still-silent": (_state, thread) => thread.insert(op("liveness.read"), op("ftm.judge-silence")),
      "ftm.judge-silence": (state, thread) => {
        const heardMs = (thread.payload["heard"] as { [id: string]: number })["ftm"];
        if (heardMs !== undefined && heardMs < timing.takeoverRetryMs) return;
        recover(state, thread, "silent", null, []);
        thread.after("still", timing.takeoverRetryMs, "ftm.still-silent");
      },
      "ftm.changed": (_state, thread) => thread.cancel("still"),
    },
  });
}
