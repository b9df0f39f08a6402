/**
 * Is it an element? Asked of what code from outside has made, before it comes
 * into an armor.
 *
 * @module
 */
import { CodecError, encode } from "./codec.ts";
import type { Element } from "./element.ts";

const namePattern = /^[a-z][a-z0-9_]{0,62}$/;
const opPattern = /^[a-z][a-z0-9-]*(\.[a-z0-9-]+)+$/;
const functions: readonly (keyof Element)[] = ["volatile", "check", "migrate"];
const fields: ReadonlySet<string> = new Set(["name", "version", "state", "handlers", "blocking", "uses", ...functions]);

/**
 * Look at the result of a factory.
 *
 * @returns The elements, or one line that says what is wrong.
 * @example
 * ```ts
 * import { elementsFrom } from "./element_shape.ts";
 * console.assert(typeof elementsFrom({ name: "Counter" }) === "string");
 * ```
 */
export function elementsFrom(made: unknown): readonly Element[] | string {
  const list = Array.isArray(made) ? made : [made];
  if (list.length === 0) return "its factory makes no element";
  const names = new Set<string>();
  for (const one of list) {
    const wrong = problem(one);
    if (wrong !== undefined) return wrong;
    const { name } = one as Element;
    if (names.has(name)) return `it makes two elements "${name}"`;
    names.add(name);
  }
  return list as Element[];
}

function problem(value: unknown): string | undefined {
  if (!isRecord(value)) return "its factory does not return an element";
  const { name, version, state, handlers, blocking = [], uses = [] } = value;
  if (typeof name !== "string" || !namePattern.test(name)) {
    return `name ${quote(name)}: use lower-case letters, digits and "_", the first a letter, 63 at most`;
  }
  const of = `element "${name}"`;
  const unknown = Object.keys(value).find((field) => !fields.has(field));
  if (unknown !== undefined) return `${of} has an unknown field ${quote(unknown)}: known are ${[...fields].join(", ")}`;
  if (typeof version !== "number" || !Number.isSafeInteger(version) || version < 1) return `${of} needs a version: a whole number from 1`;
  if (!isRecord(state) || Array.isArray(state)) return `${of} needs a state: an object`;
  try {
    encode(state);
  } catch (error) {
    if (error instanceof CodecError) return `the state of ${of} is not plain data`;
    throw error;
  }
  if (!isRecord(handlers) || Object.keys(handlers).length === 0) return `${of} needs handlers: at least one`;
  for (const [op, handler] of Object.entries(handlers)) {
    if (!opPattern.test(op)) return `op ${quote(op)} of ${of}: write two or more lower-case words joined by dots`;
    if (typeof handler !== "function") return `the handler of op "${op}" of ${of} is no function`;
  }
  for (const [field, list] of Object.entries({ blocking, uses })) {
    if (!Array.isArray(list) || !list.every((op) => typeof op === "string")) return `field "${field}" of ${of} is no list of ops`;
  }
  const stray = (blocking as string[]).find((op) => !Object.hasOwn(handlers, op));
  if (stray !== undefined) return `blocking op ${quote(stray)} of ${of} has no handler`;
  const odd = functions.find((field) => value[field] !== undefined && typeof value[field] !== "function");
  return odd === undefined ? undefined : `field "${odd}" of ${of} is no function`;
}

function isRecord(value: unknown): value is { readonly [field: string]: unknown } {
  return typeof value === "object" && value !== null;
}

function quote(value: unknown): string {
  return JSON.stringify(typeof value === "string" ? value.slice(0, 80) : value) ?? "undefined";
}
