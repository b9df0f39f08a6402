/**
 * docs/DEPENDENCIES.md, package.json and the imports agree: every package has one
 * reason, one importing file and a licence.
 */
import { describe, expect, test } from "bun:test";
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { imports } from "../build/source_tokens.ts";
import { root } from "../build/tools.mjs";

interface Row {
  readonly name: string;
  readonly why: string;
  readonly file: string;
  readonly licence: string;
}

const read = (path: string): string => readFileSync(join(root, path), "utf8");
const [inProgram = [], forDevelopment = []] = read("docs/DEPENDENCIES.md")
  .split("## For development")
  .map(rows);
const manifest = JSON.parse(read("package.json"));

function rows(text: string): Row[] {
  return [...text.matchAll(/^\| `([^`]+)` \| (.+?) \| (.+?) \| (.+?) \|$/gm)].map(
    ([, name, why, file, licence]) => ({
      name: name!,
      why: why!,
      file: file!.replaceAll("`", ""),
      licence: licence!,
    }),
  );
}

/** Package → files of the program that import it. */
const importers = new Map<string, Set<string>>();
for (const file of globSync("{mod.ts,{armors,cli,console,core,transports}/**/*.ts}", { cwd: root })) {
  for (const { from } of imports(read(file))) {
    if (/^(\.|node:|bun:)/.test(from)) continue;
    const name = from
      .split("/")
      .slice(0, from.startsWith("@") ? 2 : 1)
      .join("/");
    importers.set(name, (importers.get(name) ?? new Set()).add(file));
  }
}

test("the page lists what package.json lists", () => {
  expect(inProgram.map(({ name }) => name)).toEqual(Object.keys(manifest.dependencies).sort());
  expect(forDevelopment.map(({ name }) => name)).toEqual(Object.keys(manifest.devDependencies).sort());
});

test("versions are pinned", () => {
  for (const version of Object.values({ ...manifest.dependencies, ...manifest.devDependencies })) {
    expect(version).toMatch(/^\d+\.\d+\.\d+$/);
  }
});

test("the program imports no other package", () => {
  expect([...importers.keys()].filter((name) => !inProgram.some((row) => row.name === name))).toEqual([]);
});

describe("each package", () => {
  test.each(inProgram.map((row) => [row.name, row] as const))(
    "%s is imported by its file alone",
    (name, { file }) => {
      if (file !== "–" && !existsSync(join(root, file))) return;
      expect([...(importers.get(name) ?? [])]).toEqual(file === "–" ? [] : [file]);
    },
  );

  test.each([...inProgram, ...forDevelopment].map((row) => [row.name, row] as const))(
    "%s has the licence the page says",
    (name, { licence }) => {
      expect(JSON.parse(read(`node_modules/${name}/package.json`)).license).toBe(licence);
    },
  );
});
