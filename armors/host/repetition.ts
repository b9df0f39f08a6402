/**
 * Calls that come again and again, and would rather come in a turn that something else
 * has caused: to wake an idle process costs more than what most of them do.
 *
 * @module
 */

/** Shorter ones are in a hurry. */
const patientFromMs = 200;
/** A patient one joins a turn this part of its interval early. */
const earlyPart = 0.25;
/** … and waits this much longer for one: what comes every 300 or 500 ms joins the heartbeats, every 400 ms. */
const latePart = 0.5;

/** Repetitions of one process, over the timers of its runtime. */
export class Repetitions {
  readonly #patient = new Set<() => void>();

  constructor(readonly nowMs: () => number) {}

  /** Call about every so many milliseconds, until it is forgotten. Keeps no process alive. @returns Forgets it. */
  every(intervalMs: number, run: () => void): () => void {
    if (intervalMs < patientFromMs) {
      const timer = setInterval(run, intervalMs);
      timer.unref?.();
      return () => clearInterval(timer);
    }
    let joinsFromMs = 0;
    let timer: ReturnType<typeof setTimeout>;
    const wait = (): void => {
      joinsFromMs = this.nowMs() + intervalMs * (1 - earlyPart);
      timer = setTimeout(call, intervalMs * (1 + latePart));
      timer.unref?.();
    };
    const call = (): void => {
      clearTimeout(timer);
      wait();
      run();
    };
    const join = (): void => {
      if (this.nowMs() >= joinsFromMs) call();
    };
    wait();
    this.#patient.add(join);
    return () => {
      this.#patient.delete(join);
      clearTimeout(timer);
    };
  }

  /** Something has woken this process: whoever is nearly due comes now. */
  join(): void {
    for (const join of this.#patient) join();
  }
}
