/**
 * Helpers that make a breach of "plain data, never changed in place" visible:
 * deep freezing and a strict check that a value survives the codec unchanged.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { decode, encode } from "../../core/codec.ts";
import type { Element, Handler } from "../../core/element.ts";

/** Freeze a value in depth; byte arrays cannot be frozen and stay as they are. */
export function deepFreeze<T>(value: T): T {
  if (value === null || typeof value !== "object" || value instanceof Uint8Array || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const item of Object.values(value)) deepFreeze(item);
  return value;
}

/**
 * Encode a value that must be plain data.
 *
 * @throws {Error} If anything in it would be dropped or changed by the codec.
 */
export function encodePlain(value: unknown): Uint8Array {
  refuseHoles(value, "value");
  return encode(value);
}

/** A copy made by the codec: what another process would see. */
export function throughCodec<T>(value: T): T {
  return decode(encodePlain(value)) as T;
}

/** Bytes as text, to compare values of any depth by one string. */
export function canonicalText(value: unknown): string {
  return Buffer.from(encode(value)).toString("latin1");
}

function refuseHoles(value: unknown, path: string): void {
  if (value === undefined || typeof value === "function" || typeof value === "symbol" || typeof value === "bigint") {
    throw new Error(`${path} is a ${typeof value}: not plain data`);
  }
  if (value === null || typeof value !== "object" || value instanceof Uint8Array) return;
  const prototype = Object.getPrototypeOf(value);
  if (!Array.isArray(value) && prototype !== Object.prototype && prototype !== null) throw new Error(`${path} is an instance of a class`);
  for (const [key, item] of Object.entries(value)) refuseHoles(item, `${path}.${key}`);
}

/**
 * The same element with handlers that get frozen state, message and payload
 * fields, and whose new state must be plain data.
 */
export function guarded(element: Element): Element {
  const handlers: Record<string, Handler<never, never>> = {};
  for (const [op, handler] of Object.entries(element.handlers) as [string, Handler<unknown, unknown>][]) {
    handlers[op] = (state, thread) => {
      const { payload, message } = thread as { payload: Record<string, unknown>; message: unknown };
      deepFreeze(state);
      deepFreeze(message);
      for (const field of Object.values(payload)) deepFreeze(field);
      const next = handler(state, thread);
      if (next !== undefined) encodePlain(deepFreeze(next));
      return next as never;
    };
  }
  return { ...element, handlers } as unknown as Element;
}
