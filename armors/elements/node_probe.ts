/**
 * Node probe: a second opinion. Before the FTM declares a node failed it asks
 * the other daemons to try that node themselves, by UDP and over their
 * connection to its daemon. What a daemon has found out by itself goes with its
 * promise, so that a new FTM need not ask.
 *
 * @module
 */
import type { DataRecord } from "../../core/data.ts";
import { type Element, element } from "../../core/element.ts";
import { timing } from "../../core/limits.ts";
import { op } from "../../core/micro_operation.ts";
import type { NodeReport } from "../shapes.ts";
import type { FtmLocation } from "./epoch_promise.ts";

/** When nodes were found silent, and when the closing of a connection to them was told. */
type Volatile = { readonly silent: ReadonlyMap<string, number>; readonly told: ReadonlyMap<string, number> };

/** A hint is worth nothing once the polls have found out themselves; so is what it has led to. */
const hintMs = 1_000;
/**
 * A connection that closes again within this time is not told of again: over a bad way
 * hints that wait to be sent close the next connection too, and grow ever more.
 */
const tellAgainMs = 500;

/** `node.probe` blocks while the host tries; writes payload field `answered`. */
export function nodeProbe(): Element {
  return element<DataRecord, Volatile>({
    name: "node_probe",
    version: 1,
    state: {},
    volatile: () => ({ silent: new Map(), told: new Map() }),
    blocking: ["node.probe"],
    handlers: {
      // A connection to another daemon has closed: those who watch that node look at once.
      "link.closed": (_state, thread) => thread.insert(op("epoch.read"), op("link.report")),
      "link.report": (_state, thread) => {
        const node = thread.payload["node"] as string;
        const { ftm } = thread.payload["epochs"] as { ftm: FtmLocation | null };
        if (!ftm || thread.nowMs - (thread.volatile.told.get(node) ?? -Infinity) < tellAgainMs) return;
        const lately = [...thread.volatile.told].filter(([, atMs]) => thread.nowMs - atMs < tellAgainMs);
        thread.setVolatile({ ...thread.volatile, told: new Map([...lately, [node, thread.nowMs]]) });
        const hint = { payload: { subject: node }, lane: "system", deadlineMs: hintMs } as const;
        if (ftm.node !== node) return void thread.send({ ops: [op("node.link-closed", "ftm")], ...hint });
        thread.send({ ops: [op("ftm.link-closed", "heartbeat")], ...hint });
        thread.payload["probe"] = "ftm";
        thread.insert(op("liveness.probe"));
      },
      // From the host: the look that a closed connection began is over, or there is a connection again.
      "node.looked": (_state, thread) => {
        const { node, answered } = thread.payload as { node: string; answered: boolean };
        const silent = new Map(thread.volatile.silent);
        if (answered ? silent.delete(node) : silent.set(node, thread.nowMs)) thread.setVolatile({ ...thread.volatile, silent });
      },
      "armors.report": (_state, thread) => {
        const silent = [...thread.volatile.silent].filter(([, atMs]) => thread.nowMs - atMs < hintMs).map(([node]) => node);
        if (silent.length > 0) thread.payload["report"] = { ...(thread.payload["report"] as NodeReport), silent };
      },
      "node.probe": (_state, thread) => {
        const { subject = "", address = "", withinMs = timing.nodeConfirmMs, except } = thread.payload;
        if (!thread.completion) {
          const args = { node: subject, address, withinMs, ...(except !== undefined && { except }) };
          thread.block({ kind: "node.probe", args, timeoutMs: timing.nodeConfirmMs * 2 });
          return;
        }
        thread.payload["answered"] = thread.completion.ok && thread.completion.value === true;
      },
    },
  });
}
