/**
 * Completions: what becomes of the application table when jobs are said to have
 * completed, by a report or by an event. Saying so again changes nothing.
 *
 * @module
 */
import type { Data, DataRecord } from "../../core/data.ts";
import type { ApplicationEntry, Completion } from "../shapes.ts";

/** Whether an event tells that a job has completed. */
export const isCompletion = (event: DataRecord): boolean => event["kind"] === "application.completed" && event["completion"] !== undefined;

/** @returns Entries to set. What was told already, or is of a run before the operator's restart, changes nothing. */
export function completed(table: { readonly [key: string]: Data }, completions: readonly (Completion & { readonly instance: string })[]): { [key: string]: Data } {
  const set: { [key: string]: Data } = {};
  for (const { name, serial, restart, instance } of completions) {
    const key = `app:${name}`;
    const entry = (set[key] ?? table[key]) as ApplicationEntry | undefined;
    if (!entry || entry.serial !== serial || restart < entry.restart || entry.completed.includes(instance)) continue;
    set[key] = { ...entry, completed: [...entry.completed, instance] };
  }
  return set;
}
