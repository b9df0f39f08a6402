/**
 * Corruption: bits flipped where an armor keeps its state, in memory and on
 * disk.
 *
 * @module
 */
import { closeSync, openSync, readdirSync, readSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Microkernel } from "../../core/microkernel.ts";
import type { RandomSource } from "../../core/random.ts";

/** A place that holds one value. */
type Leaf = { readonly path: string; readonly value: unknown; set(value: unknown): void };

const leavesMax = 10_000;

/**
 * Flip one bit of an element's live state, durable or volatile, in place: no
 * handler takes part, no commit is written.
 *
 * @returns What was hit, in words; `undefined` if the element holds nothing.
 */
export function corruptState(kernel: Pick<Microkernel, "state" | "volatile">, element: string, random: RandomSource): string | undefined {
  const leaves: Leaf[] = [];
  collect(kernel.state(element), "state", leaves);
  collect(kernel.volatile(element), "volatile", leaves);
  if (leaves.length === 0) return undefined;
  const { path, value, set } = leaves[random.below(leaves.length)]!;
  const flipped = flipValue(value, random);
  set(flipped);
  return `${path}: ${brief(value)} became ${brief(flipped)}`;
}

function collect(value: unknown, path: string, leaves: Leaf[]): void {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return;
  const entries: [string, unknown, (value: unknown) => void][] = value instanceof Map
    ? [...value].map(([key, inner]) => [String(key), inner, (next: unknown) => value.set(key, next)])
    : Object.entries(value).map(([key, inner]) => [key, inner, (next: unknown) => ((value as { [key: string]: unknown })[key] = next)]);
  for (const [key, inner, set] of entries) {
    if (leaves.length >= leavesMax) return;
    if (typeof inner === "number" || typeof inner === "boolean" || (typeof inner === "string" && inner !== "")) leaves.push({ path: `${path}.${key}`, value: inner, set });
    else collect(inner, `${path}.${key}`, leaves);
  }
}

/** As an error of the memory would, one bit; whole numbers are kept in 32 bits, others in 64. */
function flipValue(value: unknown, random: RandomSource): unknown {
  if (typeof value === "boolean") return !value;
  if (typeof value === "string") {
    const at = random.below(value.length);
    return value.slice(0, at) + String.fromCharCode(value.charCodeAt(at) ^ (1 << random.below(7))) + value.slice(at + 1);
  }
  const number = value as number;
  if (Number.isInteger(number) && Math.abs(number) < 2 ** 31) return number ^ (1 << random.below(31));
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, number);
  const at = random.below(8);
  view.setUint8(at, view.getUint8(at) ^ (1 << random.below(8)));
  return view.getFloat64(0);
}

/**
 * Flip one bit of a checkpoint file: the newest snapshot or its log.
 *
 * @param folder Where the armor keeps them.
 * @returns What was hit, in words; `undefined` if there is none.
 */
export function corruptCheckpoint(folder: string, random: RandomSource): string | undefined {
  const all = names(folder).filter((name) => /^\d+\.cbor(seq)?$/.test(name)).sort();
  const newest = Number.parseInt(all.at(-1) ?? "", 10);
  const files = all.filter((name) => Number.parseInt(name, 10) === newest && statSync(join(folder, name)).size > 0);
  if (files.length === 0) return undefined;
  const file = files[random.below(files.length)]!;
  const path = join(folder, file);
  const offset = random.below(statSync(path).size);
  const byte = new Uint8Array(1);
  const descriptor = openSync(path, "r+");
  try {
    readSync(descriptor, byte, 0, 1, offset);
    byte[0]! ^= 1 << random.below(8);
    writeSync(descriptor, byte, 0, 1, offset);
  } finally {
    closeSync(descriptor);
  }
  return `${file}, byte ${offset}`;
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function brief(value: unknown): string {
  return JSON.stringify(value)?.slice(0, 60) ?? String(value);
}
