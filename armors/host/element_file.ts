/**
 * A file of elements as the command line reads it: checked here first, so that
 * mistakes are shown with the runtime's own words before anything travels.
 *
 * @module
 */
import { readFileSync, statSync } from "node:fs";
import { UsageError } from "../../core/errors.ts";
import { limits } from "../../core/limits.ts";
import { ElementLoader, ElementLoadError } from "./element_loader.ts";
import { importOf, transpile } from "./transpile.ts";

/** What a file holds. */
export interface ElementFile {
  /** JavaScript, as it travels. */
  readonly source: string;
  /** Names of its elements, in their order. */
  readonly names: readonly string[];
}

/**
 * Read, transpile and try a file of TypeScript or JavaScript.
 *
 * @throws {UsageError} One line that names the file and what is wrong with it.
 */
export async function readElementFile(path: string): Promise<ElementFile> {
  const wrong = (text: string): UsageError => new UsageError(`--elements ${JSON.stringify(path)}: ${text}`);
  let text: string;
  try {
    // A device or a huge file is not read to its end first.
    const stat = statSync(path);
    if (!stat.isFile()) throw wrong("it is not a file");
    if (stat.size > 4 * limits.elementSourceMax) throw wrong(`it is larger than ${limits.elementSourceMax} characters`);
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw wrong(`it cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
  let source: string;
  try {
    source = transpile(text);
  } catch (error) {
    throw wrong(`it is not TypeScript that this program reads: ${oneLine(error)}`);
  }
  if (source.length > limits.elementSourceMax) throw wrong(`it is larger than ${limits.elementSourceMax} characters`);
  const imported = importOf(source);
  if (imported !== undefined) throw wrong(`it imports "${imported}": it must stand alone; import types only (import type { … }) and take the rest from its argument`);
  try {
    const { elements } = await new ElementLoader().load(source);
    return { source, names: elements.map(({ name }) => name) };
  } catch (error) {
    if (!(error instanceof ElementLoadError)) throw error;
    throw wrong(`${error.message}${error.cause === undefined ? "" : `: ${oneLine(error.cause)}`}`);
  }
}

function oneLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0]!;
}
