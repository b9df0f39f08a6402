/**
 * Rule 4 of the safety list: a daemon that has promised an epoch obeys no older
 * one, and its promise survives whatever happens to it.
 *
 * @module
 */
import { decode } from "../../../core/codec.ts";
import { compareEpochs, type Epoch } from "../../../core/generation.ts";
import type { Message } from "../../../core/message.ts";
import type { Vote } from "../../../armors/elements/epoch_promise.ts";
import type { Checker, Fail, Life } from "./checker.ts";

const answer = "takeover.promised";

/** Watches promises as they leave, and orders as they are obeyed. */
export function promisesKept(fail: Fail): Checker {
  const promised = new Map<string, Epoch>();
  const look = ({ kernel }: Life): void => {
    const before = promised.get(kernel.armor);
    const state = kernel.state("epoch_promise") as { promised: Epoch } | undefined;
    if (before && state && compareEpochs(state.promised, before) < 0) {
      fail("promises kept", `${kernel.armor} has forgotten its promise of epoch ${before.number} of ${before.node}`);
    }
  };
  return {
    // Where files were damaged, in this life or in one that died over it, the promise is known from elsewhere: before anything reaches the daemon.
    stepped: (life, event) => {
      if (event.kind !== "start" && !(event.kind === "local" && event.op === "clock.wall")) look(life);
    },
    sent: (_life, frame) => {
      if (frame.type !== "data" || !frame.from.startsWith("daemon@") || !Buffer.from(frame.body.buffer, frame.body.byteOffset, frame.body.length).includes(answer)) return;
      const { ops, payload } = decode(frame.body) as Message;
      const vote = payload["vote"] as Vote | undefined;
      if (ops[0]?.name !== answer || !vote?.promised) return;
      const before = promised.get(frame.from);
      if (!before || compareEpochs(vote.epoch, before) > 0) promised.set(frame.from, vote.epoch);
    },
    handling: ({ kernel }, op, { payload }) => {
      if (!kernel.armor.startsWith("daemon@") || op === "ftm.begin") return;
      const epoch = payload["epoch"] as Epoch | undefined;
      const before = promised.get(kernel.armor);
      if (epoch && before && compareEpochs(epoch, before) < 0) {
        fail("promises kept", `${kernel.armor} obeys ${op} of epoch ${epoch.number} of ${epoch.node} after it promised ${before.number} of ${before.node}`);
      }
    },
  };
}
