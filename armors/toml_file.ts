/**
 * TOML files that people write: application files and the initial
 * configuration. Sole importer of smol-toml.
 *
 * @module
 */
import { readFileSync, statSync } from "node:fs";
import { parse, TomlError } from "smol-toml";
import { ArmorError, UsageError } from "../core/errors.ts";

/** Far above any file a person writes; what is larger was named by mistake. */
const fileBytesMax = 8 * 1024 * 1024;

/** A table of a TOML file: texts, numbers, booleans, dates, lists, tables. */
export type TomlTable = { readonly [key: string]: unknown };

/**
 * Read and parse a file.
 *
 * @param shown What errors call it.
 * @throws {ArmorError} `"file"` if it cannot be read.
 * @throws {UsageError} If it is not TOML, naming line and column.
 */
export function readTomlFile(path: string, shown: string = path): TomlTable {
  const bytes = read(path, shown);
  try {
    return parseToml(new TextDecoder("utf-8", { fatal: true }).decode(bytes), shown);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${shown}: it is not UTF-8: save it as UTF-8 text`);
  }
}

/**
 * Parse the text of a file.
 *
 * @param path For the error.
 * @throws {UsageError} One line with file, line, column and what is wrong there.
 */
export function parseToml(text: string, path: string): TomlTable {
  try {
    return parse(text, { maxDepth: 20 });
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // The library shows the lines around it too; one line must do.
    const what = error.message.split("\n")[0]!.replace(/^Invalid TOML document: /, "");
    throw new UsageError(`${path}: line ${error.line}, column ${error.column}: ${what}`);
  }
}

function read(path: string, shown: string): Uint8Array {
  try {
    const stat = statSync(path);
    if (stat.isDirectory()) throw new ArmorError("file", `cannot read "${shown}": it is a folder`);
    if (stat.size > fileBytesMax) throw new ArmorError("file", `cannot read "${shown}": it is larger than ${fileBytesMax} bytes`);
    return readFileSync(path);
  } catch (cause) {
    if (cause instanceof ArmorError) throw cause;
    const { code } = cause as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "it does not exist" : code === "EACCES" ? "permission denied" : String(code);
    throw new ArmorError("file", `cannot read "${shown}": ${why}`, { cause });
  }
}
