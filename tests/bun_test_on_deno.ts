/**
 * `bun:test` on Deno: the part of it that the tests use, over `Deno.test`.
 * deno.json maps the name to this file. Blocks of `describe` become prefixes of
 * the tests' names, so that Deno counts what Bun counts.
 *
 * @module
 */
import { expect } from "./expect_on_deno.ts";

export { expect };

type Callback = () => unknown;
type Options = number | { timeout?: number };
/** A row of `test.each`: its items, or itself, are the arguments. */
type Row = readonly unknown[] | unknown;

/** What Deno gives; the rest of the project does not know its types. */
declare const Deno: {
  test(definition: {
    name: string;
    ignore: boolean;
    only: boolean;
    sanitizeOps: boolean;
    sanitizeResources: boolean;
    sanitizeExit: boolean;
    fn: () => Promise<void>;
  }): void;
};

interface Block {
  readonly name: string;
  readonly parent: Block | undefined;
  readonly skipped: boolean;
  readonly hooks: {
    beforeEach: Callback[];
    afterEach: Callback[];
    beforeAll: Callback[];
    afterAll: Callback[];
  };
  started: boolean;
  /** Tests that have not ended. */
  left: number;
}

let defaultTimeoutMs = 5_000;

function newBlock(name: string, parent: Block | undefined, skipped: boolean): Block {
  const hooks = { beforeEach: [], afterEach: [], beforeAll: [], afterAll: [] };
  return { name, parent, skipped: skipped || parent?.skipped === true, hooks, started: false, left: 0 };
}

let current = newBlock("", undefined, false);

/** Blocks from the outermost to this one. */
function blocks(block: Block): Block[] {
  return block.parent === undefined ? [block] : [...blocks(block.parent), block];
}

async function runTest(chain: readonly Block[], body: Callback, timeoutMs: number): Promise<void> {
  try {
    for (const block of chain) {
      if (block.started) continue;
      block.started = true;
      for (const hook of block.hooks.beforeAll) await hook();
    }
    try {
      for (const block of chain) for (const hook of block.hooks.beforeEach) await hook();
      await within(body, timeoutMs);
    } finally {
      for (const block of chain.toReversed()) for (const hook of block.hooks.afterEach) await hook();
    }
  } finally {
    for (const block of chain.toReversed()) {
      if (--block.left === 0) for (const hook of block.hooks.afterAll) await hook();
    }
  }
}

async function within(body: Callback, timeoutMs: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`test took longer than ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    await Promise.race([body.length > 0 ? withDone(body) : body(), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A body with a parameter calls it when it is done. */
function withDone(body: Callback): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (error?: unknown): void => (error === undefined ? resolve() : reject(error));
    Promise.resolve((body as (done: (error?: unknown) => void) => unknown)(done)).catch(reject);
  });
}

function define(
  name: string,
  body: Callback | undefined,
  options: Options | undefined,
  how: "run" | "skip" | "only",
) {
  const chain = blocks(current);
  const ignore = how === "skip" || current.skipped || body === undefined;
  const timeoutMs = (typeof options === "number" ? options : options?.timeout) ?? defaultTimeoutMs;
  if (!ignore) for (const block of chain) block.left++;
  Deno.test({
    name: [...chain.map((block) => block.name).filter((text) => text !== ""), name].join(" > "),
    ignore,
    only: how === "only",
    sanitizeOps: false,
    sanitizeResources: false,
    sanitizeExit: false,
    fn: () => runTest(chain, body ?? (() => undefined), timeoutMs),
  });
}

function block(name: string, body: Callback, skipped: boolean): void {
  const outer = current;
  current = newBlock(name, outer, skipped);
  try {
    body();
  } finally {
    current = outer;
  }
}

/** `%s`, `%d`, `%i`, `%j`, `%o`, `%p`, `%#` and `%%` of a table's title. */
function title(template: string, row: readonly unknown[], index: number): string {
  let next = 0;
  return template.replace(/%([sdifjop#%])/g, (whole, kind: string) => {
    if (kind === "%") return "%";
    if (kind === "#") return String(index);
    if (next >= row.length) return whole;
    const value = row[next++];
    return kind === "s" || kind === "d" || kind === "i" || kind === "f"
      ? String(value)
      : JSON.stringify(value);
  });
}

type TestBody = (...args: any[]) => unknown;
type Definer = (name: string, body?: TestBody, options?: Options) => void;

function each(definer: Definer) {
  return (rows: readonly Row[]) =>
    (name: string, body: TestBody, options?: Options): void => {
      for (const [index, row] of rows.entries()) {
        const args = Array.isArray(row) ? row : [row];
        definer(title(name, args, index), () => body(...args), options);
      }
    };
}

const run: Definer = (name, body, options) => define(name, body as Callback, options, "run");
const skip: Definer = (name, body, options) => define(name, body as Callback, options, "skip");
const only: Definer = (name, body, options) => define(name, body as Callback, options, "only");

/** Define a test. */
export const test = Object.assign(run as (name: string, body: TestBody, options?: Options) => void, {
  skip: Object.assign(skip, { each: each(skip) }),
  only,
  todo: skip,
  each: each(run),
  if: (condition: unknown) => (condition ? run : skip),
  skipIf: (condition: unknown) => (condition ? skip : run),
  todoIf: (condition: unknown) => (condition ? skip : run),
});

/** The same as {@link test}. */
export const it = test;

const describeRun = (name: string, body: Callback): void => block(name, body, false);
const describeSkip = (name: string, body: Callback): void => block(name, body, true);

/** Group tests; hooks inside belong to the group. */
export const describe = Object.assign(describeRun, {
  skip: describeSkip,
  if: (condition: unknown) => (condition ? describeRun : describeSkip),
  skipIf: (condition: unknown) => (condition ? describeSkip : describeRun),
  each: each((name, body) => describeRun(name, body as Callback)),
});

/** Run before each test of the current group. */
export const beforeEach = (hook: Callback): void => void current.hooks.beforeEach.push(hook);
/** Run after each test of the current group. */
export const afterEach = (hook: Callback): void => void current.hooks.afterEach.push(hook);
/** Run once, before the first test of the current group. */
export const beforeAll = (hook: Callback): void => void current.hooks.beforeAll.push(hook);
/** Run once, after the last test of the current group. */
export const afterAll = (hook: Callback): void => void current.hooks.afterAll.push(hook);
/** Time limit of tests defined from here on. */
export const setDefaultTimeout = (ms: number): void => {
  defaultTimeoutMs = ms;
};
