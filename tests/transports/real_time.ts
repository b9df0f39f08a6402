/** Waiting for the real world in tests. */

/** Look every millisecond until `reached()`; fail after `limitMs`. */
export async function until(reached: () => boolean, limitMs: number): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!reached()) {
    if (performance.now() > deadline) throw new Error(`Not reached within ${limitMs} ms`);
    await new Promise((done) => setTimeout(done, 1));
  }
}
