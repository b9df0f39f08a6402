/**
 * `expect` of `bun:test` for Deno: the matchers the tests use, over Node's
 * assertions.
 *
 * @module
 */
import { AssertionError } from "node:assert";
import { inspect, isDeepStrictEqual } from "node:util";

type Check = { readonly pass: boolean; readonly says: string };
type Matcher = (actual: any, ...expected: any[]) => Check;

const show = (value: unknown): string => inspect(value, { depth: 8, breakLength: 100 });
const check = (pass: boolean, says: string): Check => ({ pass, says });

/** A stand-in such as `expect.any(Number)`. */
class Asymmetric {
  constructor(readonly matches: (actual: unknown) => boolean) {}
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null;

/** Equality in depth. Loose: types do not matter and `undefined` properties count as absent. */
function equal(actual: unknown, expected: unknown, loose: boolean): boolean {
  if (expected instanceof Asymmetric) return expected.matches(actual);
  if (!isRecord(actual) || !isRecord(expected)) return Object.is(actual, expected);
  if (Array.isArray(actual) !== Array.isArray(expected)) return false;
  if (!loose && Object.getPrototypeOf(actual) !== Object.getPrototypeOf(expected)) return false;
  if (actual instanceof Error && expected instanceof Error) return actual.message === expected.message;
  if (isExotic(actual) || isExotic(expected)) return isDeepStrictEqual(plain(actual), plain(expected));
  const keys = (record: object): string[] =>
    Object.keys(record).filter((key) => !loose || (record as Record<string, unknown>)[key] !== undefined);
  const wanted = keys(expected);
  if (Array.isArray(actual) && actual.length !== (expected as unknown as unknown[]).length) return false;
  return (
    wanted.length === keys(actual).length &&
    wanted.every((key) => Object.hasOwn(actual, key) && equal(actual[key], expected[key], loose))
  );
}

/** Values whose content is not in their properties. */
function isExotic(value: object): boolean {
  return (
    ArrayBuffer.isView(value) ||
    value instanceof ArrayBuffer ||
    value instanceof Map ||
    value instanceof Set ||
    value instanceof Date ||
    value instanceof RegExp
  );
}

/** A Buffer and a Uint8Array of the same bytes are equal. */
function plain(value: unknown): unknown {
  return value instanceof Uint8Array ? new Uint8Array(value) : value;
}

/** Whether `actual` has what `expected` has, in depth. */
function contains(actual: unknown, expected: unknown): boolean {
  if (expected instanceof Asymmetric || !isRecord(expected) || !isRecord(actual) || isExotic(expected)) {
    return equal(actual, expected, true);
  }
  if (Array.isArray(expected)) {
    return (
      Array.isArray(actual) &&
      actual.length === expected.length &&
      expected.every((item, index) => contains(actual[index], item))
    );
  }
  return Object.keys(expected).every((key) => key in actual && contains(actual[key], expected[key]));
}

/** What calling it throws; of a rejected promise, the reason. */
function thrown(actual: unknown): { error: unknown } | undefined {
  if (typeof actual !== "function") return { error: actual };
  try {
    actual();
    return undefined;
  } catch (error) {
    return { error };
  }
}

function fits(error: unknown, expected: unknown): boolean {
  const text = error instanceof Error ? error.message : String(error);
  if (expected === undefined) return true;
  if (typeof expected === "string") return text.includes(expected);
  if (expected instanceof RegExp) return expected.test(text);
  if (typeof expected === "function") return error instanceof (expected as new () => unknown);
  if (expected instanceof Asymmetric) return expected.matches(error);
  return expected instanceof Error ? text === expected.message : contains(error, expected);
}

function property(actual: unknown, path: string | readonly PropertyKey[]): { value: unknown } | undefined {
  let value = actual;
  for (const key of typeof path === "string" ? path.split(".") : path) {
    if (value === null || value === undefined || !(key in Object(value))) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return { value };
}

const throws: Matcher = (actual, expected) => {
  const got = thrown(actual);
  return check(
    got !== undefined && fits(got.error, expected),
    `to throw ${expected === undefined ? "" : show(expected)}`,
  );
};

const matchers = {
  toBe: (actual, expected) => check(Object.is(actual, expected), `to be ${show(expected)}`),
  toEqual: (actual, expected) => check(equal(actual, expected, true), `to equal ${show(expected)}`),
  toStrictEqual: (actual, expected) =>
    check(equal(actual, expected, false), `to strictly equal ${show(expected)}`),
  toMatchObject: (actual, expected) => check(contains(actual, expected), `to match ${show(expected)}`),
  toThrow: throws,
  toThrowError: throws,
  toBeUndefined: (actual) => check(actual === undefined, "to be undefined"),
  toBeDefined: (actual) => check(actual !== undefined, "to be defined"),
  toBeNull: (actual) => check(actual === null, "to be null"),
  toBeNaN: (actual) => check(Number.isNaN(actual), "to be NaN"),
  toBeTrue: (actual) => check(actual === true, "to be true"),
  toBeFalse: (actual) => check(actual === false, "to be false"),
  toBeTruthy: (actual) => check(Boolean(actual), "to be truthy"),
  toBeFalsy: (actual) => check(!actual, "to be falsy"),
  toBeEmpty: (actual) =>
    check((actual.length ?? actual.size ?? Object.keys(actual).length) === 0, "to be empty"),
  toBeArray: (actual) => check(Array.isArray(actual), "to be an array"),
  toBeFunction: (actual) => check(typeof actual === "function", "to be a function"),
  toBeString: (actual) => check(typeof actual === "string", "to be a string"),
  toBeNumber: (actual) => check(typeof actual === "number", "to be a number"),
  toBeTypeOf: (actual, type) => check(typeof actual === type, `to be of type ${type}`),
  toBeOneOf: (actual, list) =>
    check(
      [...list].some((item) => equal(actual, item, true)),
      `to be one of ${show(list)}`,
    ),
  toBeInstanceOf: (actual, type) => check(actual instanceof type, `to be an instance of ${type.name}`),
  toContain: (actual, item) =>
    check(
      typeof actual === "string" ? actual.includes(item) : [...actual].includes(item),
      `to contain ${show(item)}`,
    ),
  toContainEqual: (actual, item) =>
    check(
      [...actual].some((other) => equal(other, item, true)),
      `to contain ${show(item)}`,
    ),
  toContainKey: (actual, key) => check(Object.hasOwn(actual, key), `to contain key ${show(key)}`),
  toHaveLength: (actual, length) => check(actual.length === length, `to have length ${length}`),
  toHaveProperty: (actual, path, ...value) => {
    const got = property(actual, path);
    const pass = got !== undefined && (value.length === 0 || equal(got.value, value[0], true));
    return check(pass, `to have property ${show(path)} ${value.map(show).join("")}`);
  },
  toMatch: (actual, pattern) =>
    check(
      typeof pattern === "string" ? actual.includes(pattern) : pattern.test(actual),
      `to match ${show(pattern)}`,
    ),
  toStartWith: (actual, text) => check(actual.startsWith(text), `to start with ${show(text)}`),
  toEndWith: (actual, text) => check(actual.endsWith(text), `to end with ${show(text)}`),
  toBeGreaterThan: (actual, bound) => check(actual > bound, `to be greater than ${bound}`),
  toBeGreaterThanOrEqual: (actual, bound) => check(actual >= bound, `to be at least ${bound}`),
  toBeLessThan: (actual, bound) => check(actual < bound, `to be less than ${bound}`),
  toBeLessThanOrEqual: (actual, bound) => check(actual <= bound, `to be at most ${bound}`),
  toBeWithin: (actual, low, high) => check(actual >= low && actual < high, `to be within ${low} and ${high}`),
  toBeCloseTo: (actual, expected, digits = 2) =>
    check(Math.abs(actual - expected) < 10 ** -digits / 2, `to be close to ${expected}`),
} satisfies { readonly [name: string]: Matcher };

type Matchers<Result> = { readonly [name in keyof typeof matchers]: (...expected: any[]) => Result };

/** What `expect` returns. */
export interface Expectation extends Matchers<void> {
  readonly not: Matchers<void>;
  readonly resolves: Matchers<Promise<void>> & { readonly not: Matchers<Promise<void>> };
  readonly rejects: Matchers<Promise<void>> & { readonly not: Matchers<Promise<void>> };
}

function judge(
  name: string,
  matcher: Matcher,
  actual: unknown,
  expected: unknown[],
  negated: boolean,
  hint: string,
): void {
  const { pass, says } = matcher(actual, ...expected);
  if (pass !== negated) return;
  const message = `${hint === "" ? "" : `${hint}: `}expected ${show(actual)} ${negated ? "not " : ""}${says}`;
  throw new AssertionError({ message, stackStartFn: judge, operator: name });
}

function table<Result>(
  apply: (name: string, matcher: Matcher, expected: unknown[]) => Result,
): Matchers<Result> {
  return Object.fromEntries(
    Object.entries(matchers).map(([name, matcher]) => [
      name,
      (...expected: unknown[]) => apply(name, matcher as Matcher, expected),
    ]),
  ) as Matchers<Result>;
}

/** Of a promise: wait for the settlement the test asks for, then judge. */
function settled(
  actual: unknown,
  negated: boolean,
  rejected: boolean,
  hint: string,
): Matchers<Promise<void>> {
  return table(async (name, matcher, expected) => {
    let value: unknown;
    let failed = false;
    try {
      value = await (typeof actual === "function" ? actual() : actual);
    } catch (error) {
      value = error;
      failed = true;
    }
    if (failed !== rejected) {
      const message = `expected a promise that is ${rejected ? "rejected" : "resolved"}, got ${show(value)}`;
      throw new AssertionError({ message: hint === "" ? message : `${hint}: ${message}`, operator: name });
    }
    judge(name, matcher, value, expected, negated, hint);
  });
}

/** Start an assertion about a value. */
export function expect(actual?: any, hint = ""): Expectation {
  const direct = (negated: boolean) =>
    table((name, matcher, expected) => judge(name, matcher, actual, expected, negated, hint));
  const promise = (rejected: boolean) => ({
    ...settled(actual, false, rejected, hint),
    not: settled(actual, true, rejected, hint),
  });
  return { ...direct(false), not: direct(true), resolves: promise(false), rejects: promise(true) };
}

const primitives = new Map<unknown, string>([
  [String, "string"],
  [Number, "number"],
  [Boolean, "boolean"],
  [BigInt, "bigint"],
]);

expect.any = (type: any): unknown =>
  new Asymmetric((actual) =>
    primitives.has(type) ? typeof actual === primitives.get(type) : actual instanceof type,
  );
expect.anything = (): unknown => new Asymmetric((actual) => actual !== null && actual !== undefined);
expect.objectContaining = (expected: object): unknown =>
  new Asymmetric((actual) => contains(actual, expected));
expect.stringContaining = (text: string): unknown =>
  new Asymmetric((actual) => typeof actual === "string" && actual.includes(text));
expect.stringMatching = (pattern: string | RegExp): unknown =>
  new Asymmetric((actual) => typeof actual === "string" && new RegExp(pattern).test(actual));
expect.arrayContaining = (expected: readonly unknown[]): unknown =>
  new Asymmetric(
    (actual) =>
      Array.isArray(actual) && expected.every((item) => actual.some((other) => equal(other, item, true))),
  );
expect.unreachable = (message = "reached what should be unreachable"): never => {
  throw new AssertionError({ message });
};
expect.fail = expect.unreachable;
