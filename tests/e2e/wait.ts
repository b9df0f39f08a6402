/**
 * Waiting for conditions, and the times it took.
 *
 * @module
 */

/** Thrown values count as "not yet", as does an empty text: a file that is not there yet. The last thrown is in the error. */
export async function waitFor<Value>(
  what: string,
  condition: () => Value | undefined | false | null | Promise<Value | undefined | false | null>,
  timeoutMs = 5_000,
  everyMs = 10,
): Promise<Value> {
  const startMs = performance.now();
  let last = "";
  for (;;) {
    try {
      const value = await condition();
      if (value !== undefined && value !== false && value !== null && value !== "") return value;
      last = "";
    } catch (error) {
      last = `; ${(error as Error).message}`;
    }
    if (performance.now() - startMs > timeoutMs) throw new Error(`Not within ${timeoutMs / 1_000} s: ${what}${last}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

/** Note how long something took; shown by `bun test` itself, not by `npm test`. */
export function measured(what: string, startMs: number): void {
  console.log(`measured ${what}: ${Math.round(performance.now() - startMs)} ms`);
}
