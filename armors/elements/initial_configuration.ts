/**
 * Initial configuration: the applications a new cluster starts with. The daemon
 * that starts the cluster hands them to its FTM and repeats that until each is
 * in the table; from then on the table alone counts.
 *
 * @module
 */
import type { Data, DataRecord } from "../../core/data.ts";
import { type Element, element, type Thread } from "../../core/element.ts";
import { type Failure, opFailed } from "../../core/message.ts";
import { op } from "../../core/micro_operation.ts";
import type { Application } from "../application.ts";

/** Applications that are not known to be in the table; the host keeps them on disk until there are none. */
type Volatile = { readonly pending: readonly Application[] };
type Configuring = Thread<Volatile>;

const repeatMs = 2_000;

/** `configuration.begin` comes from the host of the daemon that starts a cluster. */
export function initialConfiguration(): Element {
  const settle = (thread: Configuring, name: string): void => {
    const pending = thread.volatile.pending.filter((one) => one.name !== name);
    if (pending.length === thread.volatile.pending.length) return;
    thread.setVolatile({ pending });
    if (pending.length === 0) thread.command({ kind: "configuration.done", args: {} });
  };

  return element<DataRecord, Volatile>({
    name: "initial_configuration",
    version: 1,
    state: {},
    volatile: () => ({ pending: [] }),
    handlers: {
      "configuration.begin": (_state, thread) => {
        const pending = thread.payload["applications"] as unknown as Application[];
        thread.setVolatile({ pending });
        if (pending.length === 0) thread.command({ kind: "configuration.done", args: {} });
        else thread.after("send", repeatMs, "configuration.send");
      },
      "ftm.changed": (_state, thread) => {
        if (thread.volatile.pending.length > 0) thread.after("send", 0, "configuration.send");
      },
      "configuration.send": (_state, thread) => {
        if (thread.volatile.pending.length === 0) return;
        for (const application of thread.volatile.pending) {
          thread.send({
            ops: [op("configuration.submit", "ftm"), op("configuration.accepted", thread.self)],
            payload: { args: { application: application as unknown as Data }, configured: application.name },
            deadlineMs: repeatMs,
          });
        }
        thread.after("send", repeatMs, "configuration.send");
      },
      "configuration.accepted": (_state, thread) => settle(thread, thread.payload["configured"] as string),
      [opFailed]: (_state, thread) => {
        const { code, text } = thread.payload["failure"] as Failure;
        const name = (thread.payload["message"] as unknown as { payload: DataRecord }).payload["configured"];
        // Anything else may pass: it is sent again.
        if (typeof name !== "string" || code !== "refused") return;
        thread.event({ kind: "application.refused", subject: name, cause: text });
        settle(thread, name);
      },
    },
  });
}
