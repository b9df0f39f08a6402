/**
 * Admission: takes operators' requests. Before an application is accepted, the
 * execution armors of the candidate nodes are asked whether they can launch the
 * program; if none can, the request is refused with their reasons.
 *
 * @module
 */
import type { DataRecord } from "../../core/data.ts";
import { type Element, element, type Thread } from "../../core/element.ts";
import { OperationError } from "../../core/errors.ts";
import { op } from "../../core/micro_operation.ts";
import { executionOf, hasMajority } from "../shapes.ts";
import { parse } from "./application_change.ts";
import type { NodeView } from "./node_view.ts";

/** Answers to one question; forgotten some time after it was given up. */
type Gather = { readonly waiting: readonly string[]; readonly reasons: { readonly [node: string]: string }; readonly untilMs: number };
type Volatile = { readonly gathers: ReadonlyMap<string, Gather> };
type Admitting = Thread<Volatile>;

/** Execution armors have this long to look for a program. */
const lookWithinMs = 3_000;

/** First handler of every operator's operation. */
export function admission(): Element {
  const take = (_state: DataRecord, thread: Admitting): void => {
    thread.payload["operation"] = thread.op;
    const look = thread.op === "application.submit" ? [op("admission.room"), op("admission.look")] : [];
    thread.insert(op("nodes.read"), op("admission.check"), ...look, op("application.change"), op("table.commit"), op("cluster.changed"), op("view.tell"));
  };

  return element<DataRecord, Volatile>({
    name: "admission",
    version: 1,
    state: {},
    volatile: () => ({ gathers: new Map() }),
    blocking: ["admission.look"],
    handlers: {
      "application.submit": take,
      "application.stop": take,
      "application.start": take,
      "application.restart": take,
      "application.remove": take,
      // A new cluster's first word: its other nodes may yet join, so nobody is asked whether he can launch it.
      "configuration.submit": (_state, thread) => {
        thread.payload["operation"] = "application.submit";
        thread.insert(op("nodes.read"), op("admission.check"), op("application.change"), op("table.commit"), op("cluster.changed"));
      },
      "admission.check": (_state, thread) => {
        const nodes = thread.payload["nodes"] as unknown as readonly NodeView[];
        if (hasMajority(nodes)) return;
        const voters = nodes.filter(({ state, replaced }) => state !== "left" && !replaced);
        const alive = voters.filter(({ state }) => state === "alive");
        throw new OperationError("stale", `only ${alive.length} of ${voters.length} nodes are in reach: no change is accepted without a majority`);
      },
      // What is new has to be stored by a majority; the others have the ballast for it.
      "admission.room": (_state, thread) => {
        const nodes = thread.payload["nodes"] as unknown as readonly NodeView[];
        if (hasMajority(nodes.map((node) => (node.full ? { ...node, state: "suspect" } : node)))) return;
        const names = nodes.filter(({ full, state }) => full && state !== "left").map(({ name }) => name);
        throw new OperationError("refused", `the disk is full on ${names.join(", ")}: nothing new is taken before there is room`);
      },
      "admission.look": (_state, thread) => {
        if (thread.completion) {
          // Some may not have answered in time: what the others have said is said.
          const { reasons = {} } = thread.volatile.gathers.get(thread.payload["gathered"] as string) ?? {};
          delete thread.payload["gathered"];
          return judge(thread, reasons);
        }
        const application = parse((thread.payload["args"] as { application?: unknown }).application);
        const nodes = thread.payload["nodes"] as unknown as readonly NodeView[];
        if (application.node !== null && !nodes.some(({ name, state }) => name === application.node && state !== "left")) {
          throw new OperationError("refused", `there is no node "${application.node}": known are ${nodes.map(({ name }) => name).join(", ")}`);
        }
        const candidates = nodes.filter(({ name, state }) => state === "alive" && (!application.pin || name === application.node));
        const key = thread.block({ kind: "wait", timeoutMs: lookWithinMs });
        thread.payload["gathered"] = key;
        for (const { id } of candidates) {
          thread.send({
            ops: [op("program.look", executionOf(id)), op("program.looked", thread.self)],
            payload: { gather: key, node: id, application },
            lane: "system",
            deadlineMs: lookWithinMs,
          });
        }
        const gathers = [...thread.volatile.gathers].filter(([, { untilMs }]) => untilMs > thread.nowMs);
        const gather: Gather = { waiting: candidates.map(({ id }) => id), reasons: {}, untilMs: thread.nowMs + 2 * lookWithinMs };
        thread.setVolatile({ gathers: new Map([...gathers, [key, gather]]) });
        if (candidates.length === 0) thread.complete(key, { ok: true, value: null });
      },
      "program.looked": (_state, thread) => {
        const { gather: key, node, reason } = thread.payload as { gather: string; node: string; reason: string };
        const gather = thread.volatile.gathers.get(key);
        if (!gather) return;
        const waiting = gather.waiting.filter((id) => id !== node);
        const reasons = { ...gather.reasons, [node]: reason };
        thread.setVolatile({ gathers: new Map(thread.volatile.gathers).set(key, { ...gather, waiting, reasons }) });
        // One node that can launch it is enough; the others are asked when they are needed.
        if (waiting.length === 0 || reason === "") thread.complete(key, { ok: true, value: null });
      },
    },
  });
}

function judge(thread: Admitting, reasons: { readonly [node: string]: string }): void {
  const answers = Object.entries(reasons);
  if (answers.some(([, reason]) => reason === "")) return;
  const { command } = parse((thread.payload["args"] as { application?: unknown }).application);
  if (answers.length === 0) {
    throw new OperationError("unknown", "unknown: no execution armor answered whether it can launch the program; repeat the command");
  }
  const nodes = thread.payload["nodes"] as unknown as readonly NodeView[];
  const name = (id: string): string => nodes.find((node) => node.id === id)?.name ?? id;
  const why = answers.map(([id, reason]) => `${name(id)}: ${reason}`).join("; ");
  throw new OperationError("refused", `no node can launch "${command}": ${why}`);
}
