/**
 * Imports point one way and the core is pure; and the checks that say so do find
 * violations, here planted one by one.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { checkLayers } from "../build/check_layers.ts";
import { checkCore } from "../build/core_purity.ts";
import { imports, tokens } from "../build/source_tokens.ts";
import { root } from "../build/tools.mjs";

const planted: string[] = [];
afterAll(() => {
  for (const folder of planted) rmSync(folder, { recursive: true, force: true });
});

/** A project of these files. */
function plant(files: { readonly [path: string]: string }): string {
  const folder = mkdtempSync(join(tmpdir(), "armor-planted-"));
  planted.push(folder);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

describe("this project", () => {
  test("imports point one way, without cycles", () => {
    expect(checkLayers(root)).toEqual([]);
  });
  test("the core is pure", () => {
    expect(checkCore(root)).toEqual([]);
  });
});

describe("checkCore() finds", () => {
  test.each([
    ["a clock", "export const a = () => Date.now();", "Date"],
    ["a clock made new", "export const a = () => new Date();", "Date"],
    ["another clock", "export const a = () => performance.now();", "performance"],
    ["a timer", "export const a = () => setTimeout(() => 1, 1);", "setTimeout"],
    ["randomness", "export const a = () => Math.random();", "Math.random"],
    ["other randomness", "export const a = () => crypto.getRandomValues(new Uint8Array(1));", "crypto"],
    ["an async function", "export async function a() { return 1; }", "async"],
    ["an async arrow", "export const a = async () => 1;", "async"],
    ["an async method", "export class A { async b() { return 1; } }", "async"],
    ["a promise", "export const a = () => Promise.resolve(1);", "Promise"],
    ["maths that differs between engines", "export const a = (x: number) => Math.sin(x);", "Math.sin"],
    ["maths under another name", "export const { sin } = Math;", "Math"],
    ["a power", "export const a = (x: number) => 10 ** x;", "**"],
    ["the process", "export const a = () => process.pid;", "process"],
    ["the process by another way", "export const a = () => globalThis['process'];", "globalThis"],
    ["language data", "export const a = new Intl.Collator();", "Intl"],
    ["a comparison by language", "export const a = (x: string) => x.localeCompare('b');", "localeCompare"],
    ["a text by language", "export const a = (x: number) => x.toLocaleString();", "toLocaleString"],
    ["an engine's text", "export const a = (e: Error) => e.stack;", "stack"],
    ["a use inside a template", "export const a = `now ${Date.now()}`;", "Date"],
    ["a dynamic import", "export const a = () => import('node:fs');", "node:fs"],
    ["a built-in module", "export { readFileSync } from 'node:fs';", "node:fs"],
    ["a file of another folder", "export * from '../transports/b.ts';", "transports/b.ts"],
    ["a package", "export * from 'hono';", "hono"],
    ["an allowed package in another file", "export * from 'cbor-x';", "cbor-x"],
  ])("%s", (_what, text, name) => {
    const found = checkCore(plant({ "core/a.ts": text, "transports/b.ts": "export const b = 1;" }));
    expect(found.join("\n")).toContain(name);
  });

  test("nothing in comments, texts, types and names of one's own", () => {
    const found = checkCore(
      plant({
        "core/a.ts": `
        // Date.now() and Math.random()
        /* setTimeout */
        export const text = "Date.now()" + 'process.pid' + \`Intl \${"async"}\`;
        export const pattern = /new Date()/;
        export interface Store { sync(): Promise<void>; readonly when: Date }
        export type Clock = typeof performance;
        export const process = { performance: 1 };
        export const b = process.performance + Math.floor(2 ** 32) + Math.imul(2, 3);
        export function take(fetch: number, { crypto }: { crypto: number }) { return fetch + crypto; }
        export class Host { process: number = 1; fetch() { return this.process; } }
      `,
        "core/codec.ts": "export { encode } from 'cbor-x';",
        "core/id.ts": "export { customRandom } from 'nanoid';",
      }),
    );
    expect(found).toEqual([]);
  });
});

describe("checkLayers() finds", () => {
  test.each([
    [
      "core importing a transport",
      "core/a.ts",
      "import '../transports/b.ts';",
      "core may not import transports",
    ],
    [
      "core importing an armor's types",
      "core/a.ts",
      "import type { A } from '../armors/b.ts';",
      "core may not import armors",
    ],
    [
      "a transport importing the host",
      "transports/a.ts",
      "import '../armors/host/b.ts';",
      "transports may not import host",
    ],
    [
      "an element importing a transport",
      "armors/elements/a.ts",
      "import '../../transports/b.ts'; element({});",
      "elements may not import transports",
    ],
    [
      "an element importing another",
      "armors/elements/a.ts",
      "import '../elements/b.ts'; element({});",
      "other than types",
    ],
    [
      "an armor importing the host",
      "armors/a.ts",
      "export * from './host/b.ts';",
      "armors may not import host",
    ],
    [
      "anybody importing the entry",
      "cli/a.ts",
      "await import('../armors/main.ts');",
      "cli may not import main",
    ],
    ["an import from no layer", "cli/a.ts", "import '../tests/b.ts';", "is in no layer"],
  ])("%s", (_what, file, text, says) => {
    expect(checkLayers(plant({ [file]: text })).join("\n")).toContain(says);
  });

  test("a cycle, told as a way round", () => {
    const folder = plant({
      "core/a.ts": "import { b } from './b.ts'; export const a = b;",
      "core/b.ts": "import { c } from './c.ts'; export const b = c;",
      "core/c.ts": "import type { a } from './a.ts'; export const c = 1 as typeof a;",
    });
    expect(checkLayers(folder)).toEqual(["cycle of imports: core/a.ts → core/b.ts → core/c.ts → core/a.ts"]);
  });

  test("nothing in an element that uses another's types and a file of its own", () => {
    const folder = plant({
      "armors/elements/a.ts":
        "import type { B } from './b.ts'; import { c } from './c.ts'; element({ c } as B);",
      "armors/elements/b.ts": "export type B = 1; element<B>({}); // import '../../transports/c.ts'",
      "armors/elements/c.ts": "import { d } from '../../core/d.ts'; export const c = d;",
    });
    expect(checkLayers(folder)).toEqual([]);
  });
});

describe("the lexer", () => {
  test("finds every kind of import", () => {
    const source = `
      import a, { type B } from "1";
      import type { C } from "2";
      import * as d from "3";
      import "4";
      export { e } from "5";
      export type { F } from "6";
      export * from "7";
      const g = await import("8");
      export type H = { from: "no" };
      export const i = "import 'no'"; // import "no"
      export { i as j };
      x.import("no");
    `;
    expect(imports(source).map(({ from, typeOnly }) => `${from}${typeOnly ? " type" : ""}`)).toEqual([
      "1",
      "2 type",
      "3",
      "4",
      "5",
      "6 type",
      "7",
      "8",
    ]);
  });

  test("tells divisions from regular expressions and finds the end of templates", () => {
    const source = 'a = b / c / d; e = /[/]"/g.test(f); g = `x${`y${{ h: 1 }.h}`}z` / i;';
    const names = tokens(source)
      .filter(({ kind }) => kind === "name")
      .map(({ value }) => value);
    expect(names).toEqual(["a", "b", "c", "d", "e", "g", "test", "f", "g", "h", "h", "i"]);
  });
});
