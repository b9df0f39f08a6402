import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readElementFile } from "../../armors/host/element_file.ts";
import { ElementLoader, hashOf } from "../../armors/host/element_loader.ts";
import { importOf } from "../../armors/host/transpile.ts";
import { sourceState } from "../../armors/elements/element_source.ts";
import { basicElements } from "../../armors/elements/basic.ts";
import { UsageError } from "../../core/errors.ts";
import { limits } from "../../core/limits.ts";

let folder: string;
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), "armor-elements-"))));
afterAll(() => rmSync(folder, { recursive: true }));

const written = (text: string): string => {
  const path = join(folder, "elements.ts");
  writeFileSync(path, text);
  return path;
};
const counter = `export default (sdk) => sdk.element({ name: "counter", version: 2, state: { n: 0 }, handlers: { "count.up": ({ n }) => ({ n: n + 1 }) } });`;

async function refusal(path: string): Promise<string> {
  const error = await readElementFile(path).then(() => undefined, (reason) => reason);
  expect(error).toBeInstanceOf(UsageError);
  return (error as Error).message;
}

describe("a file of elements", () => {
  test("is TypeScript with type-only imports; what travels is JavaScript that stands alone", async () => {
    const { source, names } = await readElementFile(written(`
      /* import { not } from "code"; */
      import type { ElementFactory } from "../mod.ts";
      type State = { readonly n: number };
      const factory: ElementFactory = ({ element }) => [
        element<State>({ name: "one", version: 1, state: { n: 0 }, handlers: { "a.b": (state) => ({ n: state.n + 1 }) } }),
        element<State>({ name: "two", version: 1, state: { n: 0 }, handlers: { "a.b": (state: State) => state satisfies State } }),
      ];
      export default factory;
    `));
    expect(names).toEqual(["one", "two"]);
    const { elements, hash } = await new ElementLoader().load(source);
    expect([elements.map(({ name }) => name), hash]).toEqual([["one", "two"], hashOf(source)]);
    expect(elements[0]!.handlers["a.b"]!({ n: 1 } as never, {} as never)).toEqual({ n: 2 });
  });

  test("may be plain JavaScript, of any text", async () => {
    expect((await readElementFile(written(`// naïve ✓ 日本\n${counter}`))).names).toEqual(["counter"]);
  });

  const refused: Record<string, [string, RegExp]> = {
    "with a syntax error": ["export default (", /it is not TypeScript that this program reads: .+/],
    "that imports a module": [`import { x } from "./x.ts";\nexport default () => x;`, /it imports "\.\/x\.ts": it must stand alone/],
    "that imports for effect": [`import "node:fs";\n${counter}`, /it imports "node:fs"/],
    "that imports later": [`export default async () => await import("node:fs");`, /it imports "node:fs"/],
    "that requires": [`const fs = require("node:fs");\n${counter}`, /it imports "node:fs"/],
    "that exports from elsewhere": [`export { default } from "./x.ts";`, /it imports "\.\/x\.ts"/],
    "without a factory": ["export const a = 1;", /it has no factory/],
    "whose factory is no function": ["export default 1;", /it has no factory/],
    "whose factory throws": [`export default () => { throw new Error("out of luck"); };`, /its code cannot be run: out of luck$/],
    "that throws": [`throw new Error("at once"); export default 1;`, /its code cannot be run: at once$/],
    "that makes no element": ["export default () => 3;", /its factory does not return an element$/],
    "that makes a wrong element": [counter.replace("count.up", "count"), /op "count" of element "counter"/],
    "that is too large": [`${counter}\nconst text = "${"x".repeat(limits.elementSourceMax)}"; export { text };`, /larger than 262144 characters/],
  };
  for (const [what, [text, message]] of Object.entries(refused)) {
    test(`${what} is refused in one line`, async () => {
      const line = await refusal(written(text));
      expect(line).toMatch(message);
      expect(line).toStartWith(`--elements "${join(folder, "elements.ts")}": `);
      expect(line).not.toContain("\n");
    });
  }

  test("that is not there, or no file, is refused", async () => {
    expect(await refusal(join(folder, "none.ts"))).toMatch(/it cannot be read: ENOENT$/);
    mkdirSync(join(folder, "d.ts"));
    expect(await refusal(join(folder, "d.ts"))).toMatch(/it is not a file$/);
    expect(await refusal("/dev/zero")).toMatch(/it is not a file$/);
  });

  test("names what it would load, and nothing else", () => {
    expect(importOf(`const text = "from"; export default () => text;\n// import("x")`)).toBe(undefined);
    expect(importOf(`export default (sdk) => ({ text: "import x from 'y'" });`)).toBe(undefined);
    expect(importOf(`export const from = 1; export default () => from;`)).toBe(undefined);
  });
});

describe("the loader", () => {
  test("makes an armor again from what its checkpoint holds: replaced ones in their places, others behind", async () => {
    const replaced = counter.replace("counter", "built").replace("version: 2", "version: 5");
    const own = [{ name: "counter", hash: hashOf(counter), builtIn: false }, { name: "built", hash: hashOf(replaced), builtIn: true }];
    const state = sourceState({ own, sources: { [hashOf(counter)]: counter, [hashOf(replaced)]: replaced } });
    const snapshot = { elements: { reconfiguration: { version: 2, state: { ...state, incarnation: null } } } } as never;
    const builtIn = [...basicElements(), { ...basicElements()[0]!, name: "built" }, { ...basicElements()[0]!, name: "last" }];
    const made = await new ElementLoader().compose(builtIn, { snapshot, records: [] });
    expect(made.slice(5).map(({ name, version }) => `${name} ${version}`)).toEqual(["built 5", "last 1", "counter 2"]);
    const given = await new ElementLoader().compose(builtIn, undefined, { own: own.slice(0, 1), sources: { [hashOf(counter)]: counter } });
    expect(given.slice(5).map(({ name }) => name)).toEqual(["built", "last", "counter"]);
  });

  test("refuses to make an armor whose sources it cannot load: its state would be lost", async () => {
    const source = "export default 1;";
    const given = { own: [{ name: "x", hash: hashOf(source), builtIn: false }], sources: { [hashOf(source)]: source } };
    expect(new ElementLoader().compose([], undefined, given)).rejects.toThrow("it has no factory");
  });

  test("takes code by message only where the node allows it, and says why it refuses in its own words", async () => {
    const loader = new ElementLoader();
    const logged: string[] = [];
    const log = (text: string): void => void logged.push(text);
    expect(await loader.work({ source: counter }, false, log)).toEqual({ refused: "its node takes no elements by message: start that node's daemon with --allow-elements" });
    expect(loader.library(hashOf(counter))).toBe(undefined);
    expect(await loader.work({ source: counter }, true, log)).toEqual({ hash: hashOf(counter) });
    expect(loader.library(hashOf(counter))).toHaveLength(1);
    expect(await loader.work({ source: "nonsense(" }, true, log)).toEqual({ refused: "its code cannot be run" });
    expect(logged).toHaveLength(1);
  });
});
