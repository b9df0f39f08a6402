/**
 * Changes: one operation sent to a daemon, and what came back.
 *
 * @module
 */
import { timing } from "../core/limits.ts";
import { CommandError, type CommandInput, jsonDocument, printable } from "./command.ts";
import type { DaemonClient } from "./daemon_client.ts";
import type { Terminal } from "./terminal.ts";

/** What a daemon answers to an operation that took effect. */
export interface OperationAnswer {
  readonly ok: true;
  /** False: it was so already. */
  readonly changed: boolean;
  readonly revision?: number;
  /** What happened, in the daemon's words. */
  readonly text?: string;
  readonly [detail: string]: unknown;
}

/** How long a daemon has: the cluster's own limit is 5 s, and its word should arrive. */
export const operationTimeoutMs = 7_000;

/** An operation and its arguments. */
export interface Operation {
  readonly operation: string;
  readonly [argument: string]: unknown;
}

/**
 * Do one operation.
 *
 * @param waitMs How long the cluster may take, if not the usual time.
 */
export async function askOperation(daemon: DaemonClient, body: Operation, waitMs?: number): Promise<OperationAnswer> {
  const answer = (await daemon.json({
    method: "POST",
    path: "/v1/operations",
    body,
    timeoutMs: waitMs ?? operationTimeoutMs,
    silence: `no acknowledgement within ${(waitMs ?? timing.operatorDeadlineMs) / 1_000} s; repeat the command`,
  })) as OperationAnswer;
  if (answer?.ok !== true) {
    throw new CommandError("unavailable", `${daemon.place} gave an answer that is none: ${JSON.stringify(answer)}`);
  }
  return answer;
}

/** What a person reads of a submission. */
export function acceptedText(name: string, changed: boolean, revision: number | undefined): string {
  if (!changed) return `application "${name}" is there already, the same; nothing changed`;
  return `application "${name}" accepted${revision === undefined ? "" : ` (revision ${revision})`}`;
}

/**
 * Do one operation and print what happened.
 *
 * @param body `operation` and its arguments.
 * @param words Printed if the daemon says nothing itself: when it changed something, and when not.
 */
export async function operate(
  input: CommandInput,
  terminal: Terminal,
  body: Operation,
  words: { readonly changed: string; readonly unchanged: string; readonly timeoutMs?: number; readonly detail?: (answer: OperationAnswer) => string },
): Promise<void> {
  const { connectDaemon } = await import("./daemon_client.ts");
  const answer = await askOperation(await connectDaemon(input, terminal), body, words.timeoutMs);
  if (input.json) return terminal.out(jsonDocument(answer));
  const revision = answer.changed && answer.revision !== undefined ? ` (revision ${answer.revision})` : "";
  const said = `${answer.changed ? words.changed : words.unchanged}${words.detail?.(answer) ?? ""}${revision}`;
  terminal.out(`${printable(answer.text ?? said)}\n`);
}
