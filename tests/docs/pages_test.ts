/**
 * The documents agree with the code: every file, element, micro-operation,
 * command, flag and event they name exists, and none is left out where a page
 * says that it lists them all.
 */
import { describe, expect, test } from "bun:test";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { applicationsOf } from "../../armors/application_file.ts";
import { roleFlags } from "../../armors/host/role_flags.ts";
import { parseToml } from "../../armors/toml_file.ts";
import { armors, elementsPage } from "../../build/elements_page.ts";
import { root } from "../../build/tools.mjs";
import { commands } from "../../cli/command_list.ts";
import { emittedEvents, hostCommands } from "./emitted.ts";

const read = (path: string): string => readFileSync(join(root, path), "utf8");
const pages = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", ...globSync("docs/*.md", { cwd: root }).sort()];
const architecture = read("ARCHITECTURE.md");
const operations = read("docs/operations.md");

const elementNames = new Set(Object.values(armors).flatMap((list) => list.map(({ name }) => name)));
const ops = new Set(Object.values(armors).flatMap((list) => list.flatMap(({ handlers }) => Object.keys(handlers))));

/** First cells of the table under a heading, without their quotes. */
function column(page: string, heading: string): string[] {
  const section = page.split(/^#+ /m).find((text) => text.startsWith(`${heading}\n`)) ?? "";
  return [...section.matchAll(/^\| `([^`]+)`/gm)].map(([, cell]) => cell!);
}

/** Everything in back quotes outside of fenced blocks. */
function quoted(page: string): string[] {
  return [...page.replace(/^```[\s\S]*?^```$/gm, "").matchAll(/`([^`\n]+)`/g)].map(([, text]) => text!);
}

describe.each(pages)("%s", (page) => {
  const text = read(page);

  test("links to files and headings that exist", () => {
    const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link!).filter((link) => !/^[a-z]+:/.test(link));
    const broken = links.filter((link) => {
      const [file = "", anchor] = link.split("#");
      const target = file === "" ? page : normalize(join(dirname(page), file));
      // Made by `npm run bench`.
      if (target === "bench/RESULTS.md" && !existsSync(join(root, target))) return false;
      if (!existsSync(join(root, target))) return true;
      return anchor !== undefined && !headings(read(target)).includes(anchor);
    });
    expect(broken).toEqual([]);
  });

  test("names files that exist", () => {
    const named = quoted(text).filter((name) => /^[\w./-]+\.(ts|mjs|md|json|toml)$/.test(name) && !/[A-Z]{4}/.test(name));
    const missing = named.filter((name) => !existsSync(join(root, name)) && !(name.includes("/") === false && known(name)));
    expect(missing).toEqual([]);
  });

  test("names npm scripts that exist", () => {
    const { scripts } = JSON.parse(read("package.json"));
    const named = [...text.matchAll(/npm run ([a-z]+)/g)].map(([, name]) => name!);
    expect(named.filter((name) => !(name in scripts))).toEqual([]);
  });

  test("says nothing about where it was written", () => {
    expect(text).not.toMatch(/\/work\/|\/home\/|\/root\/|registry\.|wt-docs/);
  });
});

/** A bare file name of ours, such as `bunfig.toml`, or one of `docs/`. */
function known(name: string): boolean {
  return globSync(`{.,armors,armors/elements,armors/host,core,docs,transports,cli,build}/${name}`, { cwd: root }).length > 0;
}

function headings(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
    title!.toLowerCase().replace(/[^\p{L}\p{N}\s-]/gu, "").trim().replaceAll(" ", "-"));
}

describe("docs/elements.md", () => {
  test("is what the code says; npm run docs writes it", () => {
    expect(read("docs/elements.md")).toBe(elementsPage());
  });
});

describe("ARCHITECTURE.md", () => {
  test("names micro-operations, events and commands that exist", () => {
    const dotted = quoted(architecture).filter((name) => /^[a-z]+\.[a-z-]+$/.test(name) && !/\.(ts|mjs|md|log|json|toml|cbor|cborseq)$/.test(name));
    expect(dotted.length).toBeGreaterThan(10);
    const events = emittedEvents();
    expect(dotted.filter((name) => !ops.has(name) && !events.has(name) && !hostCommands().has(name))).toEqual([]);
  });

  test("names elements that exist", () => {
    const named = quoted(architecture).filter((name) => /^[a-z]+(_[a-z]+)+$/.test(name));
    expect(named.length).toBeGreaterThan(8);
    expect(named.filter((name) => !elementNames.has(name))).toEqual([]);
  });

  test("names every element, in the map or in who recovers what", () => {
    const all = new Set(quoted(architecture));
    expect([...elementNames].filter((name) => !all.has(name))).toEqual([]);
  });

  test("maps every file of core/", () => {
    const files = globSync("core/*.ts", { cwd: root }).map((file) => file.replace("core/", ""));
    const all = new Set(quoted(architecture));
    expect(files.filter((file) => !all.has(file) && !all.has(`core/${file}`)).sort()).toEqual([]);
  });
});

describe("docs/operations.md", () => {
  test("lists the events that are emitted", () => {
    expect(column(operations, "Events").sort()).toEqual([...emittedEvents()].sort());
  });

  test("lists the commands", () => {
    expect(column(operations, "Commands").sort()).toEqual(commands.map(({ name }) => `armor ${name}`).sort());
  });

  test("lists the flags of a node", () => {
    expect(column(operations, "Starting a node")).toEqual(roleFlags.filter(({ help }) => help !== undefined).map(({ flag }) => flag));
  });

  test("shows an application file that is accepted", () => {
    const files = [...operations.matchAll(/^```toml\n([\s\S]*?)^```$/gm)].map(([, text]) => text!);
    expect(files.length).toBeGreaterThan(0);
    for (const text of files) expect(applicationsOf(parseToml(text, "example"), "example").length).toBeGreaterThan(0);
  });
});
