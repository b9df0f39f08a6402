/**
 * A small lexer for JavaScript and TypeScript: enough to find names and imports
 * without being misled by comments, strings, templates and regular expressions.
 *
 * @module
 */

/** One token. Comments and white space are left out. */
export interface Token {
  /** `name`: identifier or keyword. `text`: a string, template part, regular expression or number. */
  readonly kind: "name" | "text" | "sign";
  /** The token as written; of a string, what is between the quotes. */
  readonly value: string;
  /** From 1. */
  readonly line: number;
}

const wordStart = /[\p{ID_Start}$_#]/u;
const word = /[\p{ID_Continue}$#]+/uy;
const number = /(?:0[xXbBoO][\da-fA-F_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?)n?/y;
const sign = /=>|\.\.\.|\?\.|\*\*=?|[-+*/%&|^<>=!?]+|./suy;
/** Words after which a slash starts a regular expression. */
const beforeExpression = new Set(
  "return typeof case in of new delete void instanceof throw do else yield await".split(" "),
);

/** Split a source into tokens. */
export function tokens(source: string): Token[] {
  const found: Token[] = [];
  /** Per open template `${`: how many braces are open inside it. */
  const templates: number[] = [];
  let at = 0;
  let line = 1;

  const add = (kind: Token["kind"], value: string, end: number): void => {
    found.push({ kind, value, line });
    skipTo(end);
  };
  const skipTo = (end: number): void => {
    for (; at < end; at++) if (source[at] === "\n") line++;
  };
  const match = (pattern: RegExp): string => {
    pattern.lastIndex = at;
    return pattern.exec(source)?.[0] ?? source[at]!;
  };
  /** Template text up to the closing back-tick or the next `${`. */
  const template = (): void => {
    let end = at;
    while (end < source.length && source[end] !== "`" && !source.startsWith("${", end)) {
      end += source[end] === "\\" ? 2 : 1;
    }
    if (source[end] === "$") templates.push(0);
    add("text", source.slice(at, end), end + (source[end] === "$" ? 2 : 1));
  };
  const regularExpression = (): boolean => {
    const last = found.at(-1);
    if (last === undefined) return true;
    if (last.kind === "sign") return ![")", "]", "}"].includes(last.value);
    return last.kind === "name" && beforeExpression.has(last.value);
  };

  while (at < source.length) {
    const character = source[at]!;
    if (/\s/.test(character)) skipTo(at + 1);
    else if (source.startsWith("//", at)) skipTo(endOf("\n", at));
    else if (source.startsWith("/*", at)) skipTo(endOf("*/", at + 2) + 2);
    else if (character === '"' || character === "'") {
      let end = at + 1;
      while (end < source.length && source[end] !== character) end += source[end] === "\\" ? 2 : 1;
      add("text", source.slice(at + 1, end), end + 1);
    } else if (character === "`") {
      at++;
      template();
    } else if (character === "/" && regularExpression()) {
      let end = at + 1;
      for (let inClass = false; end < source.length && (inClass || source[end] !== "/"); end++) {
        if (source[end] === "\\") end++;
        else if (source[end] === "[") inClass = true;
        else if (source[end] === "]") inClass = false;
      }
      add("text", source.slice(at, end + 1), end + 1);
    } else if (/[0-9]/.test(character) || /^\.[0-9]/.test(source.slice(at, at + 2))) {
      const value = match(number);
      add("text", value, at + value.length);
    } else if (wordStart.test(character)) {
      const value = match(word);
      add("name", value, at + value.length);
    } else if (character === "}" && templates.at(-1) === 0) {
      templates.pop();
      at++;
      template();
    } else {
      if (templates.length > 0 && character === "{") templates[templates.length - 1]!++;
      if (templates.length > 0 && character === "}") templates[templates.length - 1]!--;
      const value = match(sign);
      add("sign", value, at + value.length);
    }
  }
  return found;

  function endOf(text: string, from: number): number {
    const end = source.indexOf(text, from);
    return end < 0 ? source.length : end;
  }
}

/** One import, re-export or dynamic import. */
export interface Import {
  readonly from: string;
  /** Gone after types are stripped. */
  readonly typeOnly: boolean;
  /** `import()`: evaluated when reached. */
  readonly dynamic: boolean;
  readonly line: number;
}

/** List what a source imports. */
export function imports(source: string): Import[] {
  const list = tokens(source);
  const found: Import[] = [];
  for (const [index, token] of list.entries()) {
    if (token.kind !== "name" || list[index - 1]?.value === ".") continue;
    const next = list[index + 1];
    const line = token.line;
    if (token.value === "import" && next?.value === "(") {
      const path = list[index + 2];
      // `import("x").Y` in a type counts as an import too: it is one for the layers.
      if (path?.kind === "text") found.push({ from: path.value, typeOnly: false, dynamic: true, line });
    } else if (token.value === "import" && next?.kind === "text") {
      found.push({ from: next.value, typeOnly: false, dynamic: false, line });
    } else if (
      token.value === "import" ||
      (token.value === "export" && /^(type|\*|\{)$/.test(next?.value ?? ""))
    ) {
      const from = clauseSource(list, index + 1);
      if (from !== undefined) found.push({ from, typeOnly: next?.value === "type", dynamic: false, line });
    }
  }
  return found;
}

/** The path after `from` of an import or export clause that starts at `index`. */
function clauseSource(list: readonly Token[], index: number): string | undefined {
  for (let at = index; at < list.length; at++) {
    const { kind, value } = list[at]!;
    if (value === "from" && list[at + 1]?.kind === "text") return list[at + 1]!.value;
    if (kind === "text" || (kind === "sign" && !/^[{},*]$/.test(value))) return undefined;
    // A declaration (`export type X = …`), not a clause.
    if (kind === "name" && ["function", "class", "const", "interface"].includes(value)) return undefined;
  }
  return undefined;
}
