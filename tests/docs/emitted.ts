/**
 * Kinds of events and of host commands, read from the sources. Every call of
 * `thread.event` must be understood here, so that none is overlooked.
 *
 * @module
 */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../build/tools.mjs";

const sources = globSync("{armors,core}/**/*.ts", { cwd: root }).map((file) => [file, readFileSync(join(root, file), "utf8")] as const);

/** Every kind of event that the code can emit. */
export function emittedEvents(): Set<string> {
  const kinds = new Set<string>();
  for (const [file, source] of sources) {
    const all = (pattern: RegExp): string[] => [...source.matchAll(pattern)].map((match) => match[1]!);
    // `const kind = … ? "a.b" : "c.d";` and, in the guard's host, `onEvent("a.b"`.
    const chosen = all(/\bkind = ([^;]+);/g).flatMap((text) => [...text.matchAll(/"([a-z]+\.[a-z-]+)"/g)].map((match) => match[1]!));
    for (const kind of chosen) kinds.add(kind);
    for (const kind of all(/onEvent\("([a-z]+\.[a-z-]+)"/g)) kinds.add(kind);
    for (const call of all(/\.event\(\{\s*(\w+(?:: [^,}]+)?)/g)) {
      const literals = [...call.matchAll(/"([a-z]+\.[a-z-]+)"/g)].map((match) => match[1]!);
      for (const kind of literals) kinds.add(kind);
      const named = call === "kind" && chosen.length > 0;
      const handedOn = call === "kind: kind as string" && file.endsWith("guard_watch.ts");
      if (literals.length === 0 && !named && !handedOn) throw new Error(`${file}: the kind of an event is not understood: ${call}`);
    }
    // The microkernel's own.
    if (file.startsWith("core/")) for (const kind of all(/\{ kind: "([a-z]+\.[a-z-]+)", subject/g)) kinds.add(kind);
  }
  return kinds;
}

/** Kinds of commands and of blocking work that elements ask of their host. */
export function hostCommands(): Set<string> {
  const kinds = new Set<string>();
  for (const [, source] of sources) {
    for (const [, kind] of source.matchAll(/(?:command|block)\(\{ kind: "([a-z.-]+)"/g)) kinds.add(kind!);
  }
  return kinds;
}
