/**
 * Tables without borders: columns two blanks apart, upper-case headers, like
 * `kubectl get`. Sole importer of cli-table3.
 *
 * @module
 */
import Table from "cli-table3";
import { printable } from "./command.ts";

/** A cell; `null` and `undefined` are shown as `-`. */
export type Cell = string | number | null | undefined;

const noBorders = {
  top: "", "top-mid": "", "top-left": "", "top-right": "",
  bottom: "", "bottom-mid": "", "bottom-left": "", "bottom-right": "",
  left: "", "left-mid": "", mid: "", "mid-mid": "", right: "", "right-mid": "",
  middle: "  ",
} as const;

/**
 * Lay out rows under headers.
 *
 * @param headers As they are to be shown.
 * @param rows One cell for each header. Control characters are made harmless.
 * @returns Lines that end in a line feed, without trailing blanks or colour.
 */
export function renderTable(headers: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const table = new Table({
    chars: noBorders,
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0, compact: true },
  });
  table.push([...headers]);
  for (const row of rows) {
    table.push(row.map((cell) => (cell === null || cell === undefined || cell === "" ? "-" : printable(String(cell), 200))));
  }
  return table.toString().split("\n").map((line) => `${line.trimEnd()}\n`).join("");
}
