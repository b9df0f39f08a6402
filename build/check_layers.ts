/**
 * Imports point one way. Each file belongs to a layer; a layer may import the
 * layers listed with it and nothing else. A cycle between files, even of types
 * alone, means that a file is missing.
 *
 * @module
 */
import { globSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import process from "node:process";
import { type Import, imports, tokens } from "./source_tokens.ts";
import { root } from "./tools.mjs";

/** One layer: which files it holds and which layers they may import. */
interface Layer {
  readonly name: string;
  readonly files: RegExp;
  /** Only files that call this function. */
  readonly calls?: string;
  readonly may: readonly string[];
  /** Layers of which only types may be imported. */
  readonly mayTypes?: readonly string[];
}

/** The first layer whose pattern matches a file holds it. */
export const layers: readonly Layer[] = [
  { name: "entry", files: /^(mod|armors\/program)\.ts$/, may: ["main", "core"] },
  { name: "main", files: /^armors\/main\.ts$/, may: ["cli", "host", "armors", "shapes", "core"] },
  { name: "core", files: /^core\//, may: ["core"] },
  // How an address is written; no socket.
  { name: "address", files: /^transports\/address\.ts$/, may: ["core"] },
  { name: "transports", files: /^transports\//, may: ["transports", "address", "core"] },
  // The words that elements, hosts and the command line share.
  {
    name: "shapes",
    files: /^armors\/(application|application_schema|environment|fault_order|name_rule|shapes|table_version|version)\.ts$/,
    may: ["shapes", "address", "core"],
  },
  // Lists of elements, with their options.
  {
    name: "armors",
    files: /^armors\/([^/]+|elements\/basic)\.ts$/,
    may: ["armors", "elements", "parts", "shapes", "address", "core"],
  },
  {
    name: "elements",
    files: /^armors\/elements\//,
    calls: "element",
    may: ["parts", "shapes", "core"],
    mayTypes: ["elements"],
  },
  // What an element has put into a file of its own.
  { name: "parts", files: /^armors\/elements\//, may: ["parts", "shapes", "core"], mayTypes: ["elements"] },
  {
    name: "host",
    files: /^armors\/host\//,
    may: ["host", "armors", "elements", "parts", "shapes", "transports", "address", "core"],
  },
  { name: "cli", files: /^cli\//, may: ["cli", "host", "armors", "shapes", "transports", "address", "core"] },
  { name: "console", files: /^console\//, may: ["console"], mayTypes: ["core"] },
];

/**
 * Cycles of types that are known and still to be cut: `HostCommand` belongs in a
 * file of its own.
 */
const tolerated = new Set(["core/checkpoint.ts → core/element.ts → core/effects.ts → core/checkpoint.ts"]);

/** One file's import of another of ours. */
interface Edge extends Import {
  readonly file: string;
  readonly target: string;
}

/**
 * Check the imports of all sources below a folder.
 *
 * @returns One line per violation or cycle, empty if all is well.
 */
export function checkLayers(folder: string): string[] {
  const files = globSync(["mod.ts", "{armors,cli,console,core,transports}/**/*.ts"], { cwd: folder }).sort();
  const sources = new Map(files.map((file) => [file, readFileSync(join(folder, file), "utf8")]));
  const edges = [...sources].flatMap(([file, source]) =>
    imports(source)
      .filter(({ from }) => from.startsWith("."))
      .map((entry): Edge => ({ ...entry, file, target: normalize(join(dirname(file), entry.from)) })),
  );
  const layerOf = (file: string): Layer | undefined =>
    layers.find(
      (layer) =>
        layer.files.test(file) && (layer.calls === undefined || calls(sources.get(file), layer.calls)),
    );
  return [
    ...edges.flatMap((edge) => violation(edge, layerOf(edge.file), layerOf(edge.target))),
    ...cycles(files, edges),
  ];
}

/** Whether a source calls a function; a file that is not there counts as doing so. */
function calls(source: string | undefined, name: string): boolean {
  if (source === undefined) return true;
  const list = tokens(source);
  return list.some(({ value }, index) => value === name && /^[(<]$/.test(list[index + 1]?.value ?? ""));
}

function violation(edge: Edge, from: Layer | undefined, to: Layer | undefined): string[] {
  const { file, target, typeOnly, line } = edge;
  if (from === undefined || to === undefined)
    return [`${file}:${line}: imports ${target}, which is in no layer`];
  if (from.may.includes(to.name) || (typeOnly && from.mayTypes?.includes(to.name))) return [];
  const only = from.mayTypes?.includes(to.name) ? " other than types" : "";
  return [`${file}:${line}: imports ${target}: ${from.name} may not import ${to.name}${only}`];
}

/** Strongly connected files (Tarjan), each told as one shortest way round. */
function cycles(files: readonly string[], edges: readonly Edge[]): string[] {
  const next = new Map(files.map((file) => [file, [] as string[]]));
  for (const { file, target } of edges) if (next.has(target)) next.get(file)!.push(target);
  const found: string[] = [];
  const order = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const visit = (file: string): void => {
    order.set(file, order.size);
    low.set(file, order.get(file)!);
    stack.push(file);
    for (const target of next.get(file)!) {
      if (!order.has(target)) visit(target);
      if (stack.includes(target)) low.set(file, Math.min(low.get(file)!, low.get(target)!));
    }
    if (low.get(file) !== order.get(file)) return;
    const group = new Set(stack.splice(stack.indexOf(file)));
    if (group.size > 1 || next.get(file)!.includes(file)) {
      const trip = roundTrip([...group].sort()[0]!, group, next).join(" → ");
      if (group.size > 3 || !tolerated.has(trip)) found.push(`cycle of imports: ${trip}`);
    }
  };
  for (const file of files) if (!order.has(file)) visit(file);
  return found.sort();
}

function roundTrip(
  start: string,
  group: ReadonlySet<string>,
  next: ReadonlyMap<string, readonly string[]>,
): string[] {
  const paths: string[][] = [[start]];
  const seen = new Set<string>();
  for (const path of paths) {
    for (const target of next.get(path.at(-1)!)!) {
      if (target === start) return [...path, start];
      if (group.has(target) && !seen.has(target)) {
        seen.add(target);
        paths.push([...path, target]);
      }
    }
  }
  return [start];
}

if (import.meta.main) {
  const found = checkLayers(root);
  for (const line of found) console.error(line);
  console.log(found.length === 0 ? "layers are in order" : `${found.length} violations of layers`);
  process.exitCode = found.length === 0 ? 0 : 1;
}
