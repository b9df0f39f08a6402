/**
 * Virtual time: happenings in order of time, then of their making. Nothing
 * happens between two of them, so a simulated minute takes a fraction of a second.
 *
 * @module
 */

/** What will happen. */
interface Happening {
  readonly atMs: number;
  readonly order: number;
  run: (() => void) | undefined;
}

/** The one clock of a simulation. */
export class SimClock {
  nowMs = 0;
  /** A promise was settled: its followers must run before time goes on. */
  settled = false;
  readonly #heap: Happening[] = [];
  #order = 0;

  /** Call once. @returns Forgets it. */
  at(atMs: number, run: () => void): () => void {
    const happening: Happening = { atMs: Math.max(atMs, this.nowMs), order: this.#order++, run };
    this.#push(happening);
    return () => void (happening.run = undefined);
  }

  /** Let everything happen until then. */
  async runUntil(untilMs: number): Promise<void> {
    for (;;) {
      const next = this.#heap[0];
      if (!next || next.atMs > untilMs) break;
      this.#pop();
      if (!next.run) continue;
      this.nowMs = next.atMs;
      next.run();
      if (this.settled) await this.#drain();
    }
    this.nowMs = untilMs;
  }

  async #drain(): Promise<void> {
    while (this.settled) {
      this.settled = false;
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

  #push(happening: Happening): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(happening);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(happening, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = happening;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child += 1;
      if (!before(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function before(a: Happening, b: Happening): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
