/**
 * Operator: turns requests of the command line into messages to the FTM and
 * their outcome into answers. The answer travels at the end of the itinerary.
 *
 * @module
 */
import type { Data, DataRecord } from "../../core/data.ts";
import { type Element, element, type Thread } from "../../core/element.ts";
import { timing } from "../../core/limits.ts";
import { type Failure, opFailed } from "../../core/message.ts";
import { op } from "../../core/micro_operation.ts";
import { findArmor } from "./armor_names.ts";
import type { Heard } from "./liveness_poll.ts";

/** What an operation answers; the body of `POST /v1/operations`. */
export type OperationAnswer =
  | { readonly ok: true; readonly changed: boolean; readonly revision?: number; readonly text?: string; readonly [detail: string]: Data | undefined }
  | { readonly ok: false; readonly code: "usage" | "refused" | "unknown" | "stale"; readonly error: string };

/** Operations the FTM takes from operators. */
export const operations = [
  "application.submit",
  "application.stop",
  "application.start",
  "application.restart",
  "application.remove",
  "node.down",
  "own.install",
  "elements.change",
  "armor.send",
  "armor.reset",
] as const;

/** Payload field that ties the answer to `armor.send` to its request; the other fields are the sender's. */
const sentField = "operator:request";

/**
 * A request that waits, for one more try under a new FTM. `tries`: those that have not come back. `inDoubt`: an FTM that
 * has been replaced since may have done it; what it did then comes back with the table of a node that was out of reach.
 */
type Open = { readonly operation: Data; readonly args: DataRecord; readonly tries: number; readonly inDoubt: boolean };
/** `followed`: there has been an FTM that could have been asked. */
type Volatile = { readonly open: ReadonlyMap<string, Open>; readonly followed: boolean };

const unknown: OperationAnswer = {
  ok: false,
  code: "unknown",
  error: "unknown: no acknowledgement within 5 s; repeat the command",
};

const unanswered: OperationAnswer = {
  ok: false,
  code: "unknown",
  error: "unknown: no answer within 5 s; the message may yet take effect",
};

function problemOf(armor: Data | undefined, name: Data | undefined, payload: Data): string | undefined {
  if (typeof armor !== "string" || typeof name !== "string" || name === "") return "a message needs an armor and an op";
  if (typeof payload !== "object" || payload === null || Array.isArray(payload) || payload instanceof Uint8Array) return "the payload of a message must be a JSON object";
  return undefined;
}

/** The operator's API inside a daemon. */
export function operator(node: string): Element {
  const keep = (thread: Thread<Volatile>, request: string, open: Open): void => {
    thread.setVolatile({ ...thread.volatile, open: new Map(thread.volatile.open).set(request, open) });
  };

  return element<DataRecord, Volatile>({
    name: "operator",
    version: 1,
    state: {},
    volatile: () => ({ open: new Map(), followed: false }),
    handlers: {
      "operator.request": (_state, thread) => {
        const { request, operation, args } = thread.payload as { request: string; operation: string; args: DataRecord };
        keep(thread, request, { operation, args, tries: 0, inDoubt: false });
        thread.after(`deadline ${request}`, timing.operatorDeadlineMs, "operator.late", { request });
        if (operation === "armor.send") {
          thread.insert(op("table.read"), op("operator.send-own"));
          return;
        }
        thread.payload["try"] = { request };
        thread.insert(op("operator.send"));
      },
      // Sent once: what it does is the armor's affair, so it is not repeated.
      "operator.send-own": (_state, thread) => {
        const { request, args } = thread.payload as { request: string; args: { armor?: Data; op?: Data; payload?: Data } };
        const { armor, op: name, payload = {} } = args;
        const wrong = problemOf(armor, name, payload);
        if (wrong !== undefined) {
          thread.payload["answer"] = { ok: false, code: "usage", error: wrong };
          thread.insert(op("operator.answer"));
          return;
        }
        const id = findArmor(armor as string, thread.payload["table"] as { [key: string]: Data });
        // One that was just installed may be known to the FTM alone.
        const first = id === undefined ? op("armor.route", "ftm") : op(name as string, id);
        thread.send({
          ops: [first, op("operator.sent", thread.self)],
          payload: { ...(payload as DataRecord), ...(id === undefined && { route: { armor: armor!, op: name! } }), [sentField]: request },
          deadlineMs: timing.operatorDeadlineMs,
        });
      },
      "operator.sent": (_state, thread) => {
        const { [sentField]: request = "", ...payload } = thread.payload;
        thread.payload["request"] = request;
        thread.payload["answer"] = { ok: true, changed: true, payload };
        thread.insert(op("operator.answer"));
      },
      "operator.send": (_state, thread) => {
        const { request } = thread.payload["try"] as { request: string };
        const open = thread.volatile.open.get(request);
        if (!open) return;
        const sent = thread.send({
          ops: [op(open.operation as string, "ftm"), op("operator.answer", thread.self)],
          payload: { request, args: open.args, node },
          deadlineMs: timing.operatorDeadlineMs,
        });
        if (sent) keep(thread, request, { ...open, tries: open.tries + 1 });
      },
      // A new FTM knows nothing of what the old one was doing; operations are idempotent.
      "ftm.changed": (_state, thread) => {
        for (const [request, open] of thread.volatile.open) {
          if (open.operation === "armor.send") continue;
          // Tries that the old one has not acknowledged go to the new one too, though it may have done them.
          if (thread.volatile.followed && open.tries > 0) keep(thread, request, { ...open, inDoubt: true });
          thread.after(`again ${request}`, 0, "operator.send", { try: { request } });
        }
        thread.setVolatile({ ...thread.volatile, followed: true });
      },
      "operator.answer": (_state, thread) => {
        answer(thread.payload["request"] as string, thread.payload["answer"] as OperationAnswer);
        function answer(request: string, body: OperationAnswer): void {
          if (!thread.volatile.open.has(request)) return;
          const open = new Map(thread.volatile.open);
          open.delete(request);
          thread.setVolatile({ ...thread.volatile, open });
          thread.cancel(`deadline ${request}`);
          thread.command({ kind: "operator.respond", args: { request, body: body as unknown as Data } });
        }
      },
      "operator.late": (_state, thread) => {
        const open = thread.volatile.open.get(thread.payload["request"] as string);
        thread.payload["answer"] = (open?.operation === "armor.send" ? unanswered : unknown) as unknown as Data;
        thread.insert(op("liveness.read"), op("operator.late-answer"));
      },
      "operator.late-answer": (_state, thread) => {
        const heard = thread.payload["heard"] as Heard;
        if (heard["ftm"] === undefined || heard["ftm"] > timing.ftmHeardMs) {
          thread.payload["answer"] = { ...(thread.payload["answer"] as DataRecord), text: "the FTM does not answer" } as unknown as Data;
        }
        thread.insert(op("operator.answer"));
      },
      [opFailed]: (_state, thread) => {
        const failure = thread.payload["failure"] as Failure;
        const { payload } = thread.payload["message"] as unknown as { payload: DataRecord };
        const request = payload[sentField] ?? payload["request"];
        const open = typeof request === "string" ? thread.volatile.open.get(request) : undefined;
        if (typeof request !== "string" || !open) return;
        // What failed may yet be done by the other try, as where a node has joined since, or has been done; nobody is told no, and gets it.
        if (open.tries > 1 || open.inDoubt) return keep(thread, request, { ...open, tries: open.tries - 1 });
        const code = failure.code === "usage" || failure.code === "unknown" || failure.code === "stale" ? failure.code : "refused";
        thread.payload["request"] = request;
        thread.payload["answer"] = failure.code === "deadline" ? (payload[sentField] === undefined ? unknown : unanswered) as unknown as Data : { ok: false, code, error: failure.text };
        thread.insert(op("operator.answer"));
      },
    },
  });
}
