/**
 * Two columns of text: a term, and words that stay beside it.
 *
 * @module
 */

/** Columns of a terminal that nobody has widened. */
const width = 80;

/** Put `text` behind `lead`, continued under its beginning. */
export function hanging(lead: string, text: string): string {
  const lines: string[] = [];
  let line = lead;
  for (const word of text.split(" ")) {
    if (line.length + word.length > width && line.trim() !== lead.trim()) {
      lines.push(line.trimEnd());
      line = " ".repeat(lead.length);
    }
    line += `${word} `;
  }
  return [...lines, line.trimEnd()].join("\n");
}
