/**
 * Faults at the seams of a node's processes, in a file of its data folder: the
 * daemon writes it, every process that was started with `--allow-injection`
 * looks at it. So a fault that lasts also hits a process that is started
 * meanwhile, and ends without anybody's help.
 *
 * @module
 */
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { FaultOrder } from "../fault_order.ts";
import { bootId, nowMs } from "./system_clock.ts";

/** A fault that lasts, or one for a single process. */
export interface SeamFault {
  readonly number: number;
  readonly order: FaultOrder;
  readonly boot: string;
  readonly untilMs: number;
  /** Only this process is hit: not the one that replaces it. */
  readonly pid: number | null;
}

const lookEveryMs = 20;

/** The file of a node. */
export class FaultFile {
  readonly #path: string;

  /** @param folder The data folder. */
  constructor(folder: string) {
    this.#path = join(folder, "injected-faults");
  }

  /** Faults that have not ended. */
  read(): SeamFault[] {
    try {
      const all = JSON.parse(readFileSync(this.#path, "utf8")) as SeamFault[];
      return all.filter(({ boot, untilMs }) => boot === bootId() && untilMs > nowMs());
    } catch {
      return [];
    }
  }

  /** Add one. */
  add(order: FaultOrder, pid: number | null): void {
    const all = this.read();
    // Never one that was used before: a process remembers what it has seen.
    const number = Math.max(nowMs() * 100, ...all.map((fault) => fault.number + 1));
    this.#write([...all, { number, order, boot: bootId(), untilMs: nowMs() + order.forMs, pid }]);
  }

  /** End all. */
  clear(): void {
    rmSync(this.#path, { force: true });
  }

  /** Tell of changes, at most {@link seenWithinMs} late; the first time at once. */
  follow(changed: (faults: readonly SeamFault[]) => void): () => void {
    let before = "";
    const look = (): void => {
      const now = this.#mark();
      if (now === before) return;
      before = now;
      changed(this.read());
    };
    look();
    const timer = setInterval(look, lookEveryMs);
    timer.unref?.();
    return () => clearInterval(timer);
  }

  #mark(): string {
    try {
      const { ino, mtimeMs, size } = statSync(this.#path);
      return `${ino} ${mtimeMs} ${size}`;
    } catch {
      return "";
    }
  }

  #write(faults: readonly SeamFault[]): void {
    const temporary = `${this.#path}.${process.pid}`;
    writeFileSync(temporary, JSON.stringify(faults), { mode: 0o600 });
    renameSync(temporary, this.#path);
  }
}

/** By then every process that runs has seen a change. */
export const seenWithinMs = 3 * lookEveryMs;
