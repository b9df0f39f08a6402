/**
 * Event store: the numbered events a daemon keeps, at most the last 10,000, in
 * memory and in a file of JSON lines that is rewritten when it has grown to
 * twice that.
 *
 * @module
 */
import { appendFileSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import type { DataRecord } from "../../core/data.ts";
import { limits } from "../../core/limits.ts";

/** An event as `armor events --json` shows it. */
export type StoredEvent = { readonly seq: number; readonly origin?: string } & DataRecord;

/** Kept events, oldest first. */
export class EventStore {
  #events: StoredEvent[] = [];
  /** Of the file, kept or not. */
  #lines = 0;
  /** The file ends in half a line, which must not take the next one with it. */
  #torn = false;
  readonly #origins = new Set<string>();
  readonly #listeners = new Set<(event: StoredEvent) => void>();

  constructor(readonly path: string, readonly log: (text: string) => void) {
    let text = "";
    try {
      text = readFileSync(path, "utf8");
    } catch {
      return;
    }
    const lines = text.split("\n");
    this.#torn = lines.at(-1) !== "";
    this.#lines = lines.length;
    for (const line of lines) {
      try {
        if (line !== "") this.#take(JSON.parse(line) as StoredEvent);
      } catch {
        // a torn last line
      }
    }
  }

  /** Keep events that are not kept yet; tell those who follow. */
  add(events: readonly StoredEvent[]): void {
    const news = events.filter((event) => this.#take(event));
    if (news.length === 0) return;
    try {
      const start = this.#torn ? "\n" : "";
      this.#torn = true;
      appendFileSync(this.path, start + news.map((event) => `${JSON.stringify(event)}\n`).join(""), { mode: 0o600 });
      this.#torn = false;
      this.#lines += news.length;
      if (this.#lines > 2 * limits.eventsMax) this.#rewrite();
    } catch (error) {
      this.log(`cannot keep events: ${String(error)}`);
    }
    for (const event of news) for (const listener of this.#listeners) listener(event);
  }

  /** Epoch number in which the last one was numbered; 0 if there is none. */
  get lastEpoch(): number {
    return Math.floor((this.#events.at(-1)?.seq ?? 0) / 2 ** 32);
  }

  /** Events with a greater number, oldest first. */
  since(seq: number): StoredEvent[] {
    return this.#events.filter((event) => event.seq > seq);
  }

  /** Hear of events as they come. @returns Stops it. */
  follow(listener: (event: StoredEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** An event recorded twice, under two FTMs, has the same origin. */
  #take(event: StoredEvent): boolean {
    const { origin } = event;
    if (origin !== undefined && this.#origins.has(origin)) return false;
    if (origin !== undefined) this.#origins.add(origin);
    const last = this.#events.at(-1);
    this.#events.push(event);
    if (last && last.seq > event.seq) this.#events.sort((a, b) => a.seq - b.seq);
    while (this.#events.length > limits.eventsMax) {
      const oldest = this.#events.shift()!;
      if (oldest.origin !== undefined) this.#origins.delete(oldest.origin);
    }
    return true;
  }

  #rewrite(): void {
    writeFileSync(`${this.path}.new`, this.#events.map((event) => `${JSON.stringify(event)}\n`).join(""), { mode: 0o600 });
    renameSync(`${this.path}.new`, this.path);
    this.#lines = this.#events.length;
  }
}
