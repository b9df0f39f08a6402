/**
 * What checkers ask of the store of an armor, for their tests.
 *
 * @module
 */

/** @param reached The last commit that is synced. `files`: whole, or what a power cut or damage has left. */
export function storeOf(reached: number, files: "whole" | "cut" | "damaged" = "whole") {
  const machine = { on: files !== "cut", bootId: "b" };
  return { reached, process: { machine, identity: { bootId: "b" } }, disk: { altered: { has: () => files === "damaged" } } };
}
