/**
 * Continuations: the suspended threads of an armor, and its messages to itself.
 * They are durable; which of them can run now, and the timers of those that
 * wait, are not.
 *
 * @module
 */
import type { Continuation } from "./checkpoint.ts";
import type { CommitDraft } from "./commit_draft.ts";
import type { Completion } from "./element.ts";
import { limits } from "./limits.ts";
import type { Message } from "./message.ts";
import { Timers } from "./timers.ts";

/** What a suspended thread has waited for in vain. */
export type Lapse = { readonly kind: "timeout" | "deadline"; readonly key: string };

/** Suspended threads by key. */
export class Continuations {
  readonly #continuations: Map<string, Continuation>;
  /** Apart from the elements' timers, so that many threads leave elements theirs. */
  readonly #timers = new Timers(2 * limits.continuationsMax);
  /** Keys of those that can run now. */
  readonly #ready: string[] = [];

  /** @param saved What a checkpoint holds. */
  constructor(saved: Iterable<readonly [string, Continuation]> = []) {
    this.#continuations = new Map(saved);
  }

  /** How many there are. */
  get size(): number {
    return this.#continuations.size;
  }

  /** One of them. */
  get(key: string): Continuation | undefined {
    return this.#continuations.get(key);
  }

  /** All, as a snapshot keeps them. */
  snapshot(): { [key: string]: Continuation } {
    return Object.fromEntries(this.#continuations);
  }

  /** Keys in the order in which they came to be. */
  inOrder(): string[] {
    return [...this.#continuations.keys()].sort(inOrderOfCounters);
  }

  /** Messages of all but the one of this key. */
  *messages(except: string | undefined): Generator<Message> {
    for (const [key, { message }] of this.#continuations) if (key !== except) yield message;
  }

  /** Keep one that can run at once. */
  addReady(draft: CommitDraft, key: string, continuation: Continuation): void {
    this.#set(draft, key, continuation);
    this.#ready.push(key);
  }

  /** Keep one that waits; {@link watch} starts its timers. */
  addBlocked(draft: CommitDraft, key: string, continuation: Continuation): void {
    this.#set(draft, key, continuation);
  }

  /** It has run, or failed. */
  remove(draft: CommitDraft, key: string): void {
    if (!this.#continuations.delete(key)) return;
    (draft.continuations ??= {})[key] = null;
    this.#timers.cancel(`work ${key}`);
    this.#timers.cancel(`deadline ${key}`);
  }

  /** Whether it waits for something that has not ended. */
  isOpen(key: string): boolean {
    const continuation = this.#continuations.get(key);
    return continuation !== undefined && !continuation.completion;
  }

  /** The work of one that waits has ended; a draft if the outcome is to be durable. */
  complete(key: string, completion: Completion, draft?: CommitDraft): void {
    if (!this.isOpen(key)) return;
    const completed = { ...this.#continuations.get(key)!, completion };
    if (draft) this.#set(draft, key, completed);
    else this.#continuations.set(key, completed);
    this.#ready.push(key);
  }

  /** It can run now; not twice. */
  makeReady(key: string): void {
    if (!this.#ready.includes(key)) this.#ready.push(key);
  }

  /** Whether it can run now. */
  isReady(key: string): boolean {
    return this.#ready.includes(key);
  }

  /** Whether any can run now. */
  get hasReady(): boolean {
    return this.#ready.length > 0;
  }

  /** The next that can run, taken out of the queue. */
  takeReady(): string | undefined {
    return this.#ready.shift();
  }

  /** Start the timers of one that waits. */
  watch(key: string, timeoutMs: number | undefined, nowMs: number): void {
    const payload = { key };
    if (timeoutMs !== undefined) this.#timers.set(`work ${key}`, { atMs: nowMs + timeoutMs, op: "timeout", payload });
    const { deadlineMs } = this.#continuations.get(key)!.message;
    if (deadlineMs !== undefined) this.#timers.set(`deadline ${key}`, { atMs: nowMs + deadlineMs, op: "deadline", payload });
  }

  /** What has lapsed at `nowMs`, the earliest first. */
  *takeLapsed(nowMs: number): Generator<Lapse> {
    for (const { op, payload } of this.#timers.takeDue(nowMs)) yield { kind: op as Lapse["kind"], key: payload["key"] as string };
  }

  /** No timer is due earlier. */
  get wakeAtMs(): number | undefined {
    return this.#timers.wakeAtMs;
  }

  /** Its message. A deadline goes on counting while the thread is suspended; what was left survives a restart. */
  messageOf(key: string, nowMs: number): Message {
    const { message } = this.#continuations.get(key)!;
    const timer = this.#timers.get(`deadline ${key}`);
    return timer ? { ...message, deadlineMs: Math.max(0, timer.atMs - nowMs) } : message;
  }

  #set(draft: CommitDraft, key: string, continuation: Continuation): void {
    (draft.continuations ??= {})[key] = continuation;
    this.#continuations.set(key, continuation);
  }
}

/** By length, then by text: numbers at the end of keys that begin alike are in order. */
function inOrderOfCounters(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}
