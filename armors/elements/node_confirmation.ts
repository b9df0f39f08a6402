/**
 * Node confirmation: before a silent node is declared failed, the daemons of
 * other nodes are asked to try it. One that hears it is enough to spare it. After
 * a takeover those that have just tried it in vain are not asked again.
 *
 * @module
 */
import type { DataRecord } from "../../core/data.ts";
import { type Element, element } from "../../core/element.ts";
import { timing } from "../../core/limits.ts";
import { op } from "../../core/micro_operation.ts";
import { daemonOf } from "../shapes.ts";
import type { Heard } from "./liveness_poll.ts";
import type { NodeView } from "./node_view.ts";
import type { FtmBegin } from "./takeover.ts";

type Round = { readonly waiting: readonly string[]; readonly round: number; readonly sinceMs: number };
type Volatile = { readonly rounds: ReadonlyMap<string, Round>; readonly round: number };

/** A node that others still hear is looked at again after this pause. */
const againMs = 1_000;

/**
 * The FTM's poll for second opinions.
 *
 * @param self The FTM's own node.
 */
export function nodeConfirmation(self: string): Element {
  return element<DataRecord, Volatile>({
    name: "node_confirmation",
    version: 1,
    state: {},
    volatile: () => ({ rounds: new Map(), round: 0 }),
    handlers: {
      // A daemon's connection to that node has closed: ask everybody at once.
      "node.link-closed": (_state, thread) => {
        thread.payload["subjects"] = [thread.payload["subject"]!];
        thread.payload["withinMs"] = timing.probeWithinMs;
        thread.insert(op("node.confirm"));
      },
      "node.confirm": (_state, thread) => thread.insert(op("nodes.read"), op("node.ask-others")),
      "node.ask-others": (_state, thread) => {
        const nodes = thread.payload["nodes"] as unknown as readonly NodeView[];
        const rounds = new Map(thread.volatile.rounds);
        let { round } = thread.volatile;
        const withinMs = (thread.payload["withinMs"] ?? timing.nodeConfirmMs) as number;
        for (const subject of thread.payload["subjects"] as string[]) {
          const node = nodes.find(({ id }) => id === subject);
          // An FTM that runs is proof enough of its own node, which it does not poll.
          if (!node || subject === self || rounds.has(subject) || node.state === "left" || node.state === "failed") continue;
          round += 1;
          const reports = (thread.payload["begin"] as unknown as FtmBegin | undefined)?.reports ?? [];
          const tried = (id: string): boolean => reports.some(({ node: by, silent = [] }) => by === id && silent.includes(subject));
          const others = nodes.filter(({ id, state }) => id !== subject && state === "alive" && !tried(id)).map(({ id }) => id);
          for (const other of others) {
            thread.send({
              ops: [op("node.probe", daemonOf(other)), op("node.probed", thread.self)],
              payload: { subject, address: node.address, round, voter: other, withinMs },
              lane: "system",
              deadlineMs: timing.nodeConfirmMs * 2,
            });
          }
          rounds.set(subject, { waiting: others, round, sinceMs: thread.nowMs });
          thread.after(`round ${subject}`, others.length > 0 ? withinMs + 200 : 0, "node.round-over", { subject });
        }
        thread.setVolatile({ rounds, round });
      },
      "node.probed": (_state, thread) => {
        const { subject, round, voter, answered } = thread.payload as unknown as {
          subject: string;
          round: number;
          voter: string;
          answered: boolean;
        };
        const current = thread.volatile.rounds.get(subject);
        if (!current || current.round !== round) return;
        const rounds = new Map(thread.volatile.rounds);
        const waiting = current.waiting.filter((id) => id !== voter);
        if (answered) {
          rounds.delete(subject);
          thread.cancel(`round ${subject}`);
          thread.after(`again ${subject}`, againMs, "node.still-silent", { subject });
        } else {
          rounds.set(subject, { ...current, waiting });
          if (waiting.length === 0) thread.after(`round ${subject}`, 0, "node.round-over", { subject });
        }
        thread.setVolatile({ ...thread.volatile, rounds });
      },
      // It has said hello: what was found out before is old.
      "node.spare": (_state, thread) => {
        const subject = thread.payload["subject"] as string;
        thread.cancel(`round ${subject}`);
        thread.cancel(`again ${subject}`);
        const rounds = new Map(thread.volatile.rounds);
        if (rounds.delete(subject)) thread.setVolatile({ ...thread.volatile, rounds });
      },
      "node.still-silent": (_state, thread) => thread.insert(op("liveness.read"), op("node.judge-again")),
      "node.judge-again": (_state, thread) => {
        const subject = thread.payload["subject"] as string;
        const silentMs = (thread.payload["heard"] as Heard)[`guard@${subject}`];
        if (silentMs !== undefined && silentMs < againMs) return;
        thread.payload["subjects"] = [subject];
        thread.insert(op("node.confirm"));
      },
      "node.round-over": (_state, thread) => {
        const subject = thread.payload["subject"] as string;
        const rounds = new Map(thread.volatile.rounds);
        const round = rounds.get(subject);
        if (!round) return;
        rounds.delete(subject);
        thread.setVolatile({ ...thread.volatile, rounds });
        thread.after(`again ${subject}`, againMs, "node.still-silent", { subject });
        thread.payload["sinceMs"] = round.sinceMs;
        thread.insert(op("liveness.read"), op("node.silence"));
      },
      "node.silence": (_state, thread) => {
        const subject = thread.payload["subject"] as string;
        const silentMs = (thread.payload["heard"] as Heard)[`guard@${subject}`] ?? -1;
        // The FTM itself has heard it meanwhile. Nothing would tell it again that a node it called failed is alive.
        if (silentMs >= 0 && thread.nowMs - silentMs > (thread.payload["sinceMs"] as number)) return;
        thread.payload["silentMs"] = silentMs;
        thread.insert(op("node.confirmed-failed"));
      },
    },
  });
}
