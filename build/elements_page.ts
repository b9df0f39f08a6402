/**
 * Write docs/elements.md: every element of the four armors and every
 * micro-operation, as the code has them. A test compares the page.
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { daemonArmor } from "../armors/daemon_armor.ts";
import { executionArmor } from "../armors/execution_armor.ts";
import { faultToleranceManager } from "../armors/fault_tolerance_manager.ts";
import { heartbeatArmor } from "../armors/heartbeat_armor.ts";
import type { Element } from "../core/element.ts";
import { root } from "./tools.mjs";

const node = "node";
const daemonOptions = { id: node, name: node, address: "127.0.0.1:7000", boot: "boot", bootstrap: true };

/** The armors by the name the page gives them, in its order. */
export const armors: { readonly [name: string]: readonly Element[] } = {
  FTM: faultToleranceManager({ node }),
  heartbeat: heartbeatArmor({ node }),
  daemon: daemonArmor(daemonOptions),
  execution: executionArmor({ node }),
};

const everywhere = "every armor";
/** Characters of what an element is for: sentences are added below the one, left out beyond the other. */
const purposeMin = 50;
const purposeMax = 170;

/** The page. */
export function elementsPage(): string {
  return `# Elements and micro-operations

Written by \`npm run docs\` from the code; a test compares it. Each element is one file, \`armors/elements/NAME.ts\`, and
the lists of elements are \`armors/fault_tolerance_manager.ts\`, \`heartbeat_armor.ts\`, \`daemon_armor.ts\` and
\`execution_armor.ts\`. A running armor's own list is in \`armor status --json\` under \`armors[].elements\`.

## Elements

| Element | In | What it is for |
|---|---|---|
${elementRows().join("\n")}

## Micro-operations

Who takes which, in the order in which they do. ● may block: its thread is suspended while the host works.

| Micro-operation | Taken by |
|---|---|
${operationRows().join("\n")}
`;
}

function elementRows(): string[] {
  const names = [...new Set(Object.values(armors).flatMap((elements) => elements.map(({ name }) => name)))];
  return names.map((name) => {
    const holders = Object.keys(armors).filter((armor) => armors[armor]!.some((element) => element.name === name));
    return `| \`${name}\` | ${text(holders)} | ${purpose(name)} |`;
  });
}

function operationRows(): string[] {
  const takers = new Map<string, Map<string, string[]>>();
  for (const [armor, elements] of Object.entries(armors)) {
    for (const { name, handlers, blocking } of elements) {
      for (const op of Object.keys(handlers)) {
        const taken = `\`${name}\`${blocking?.includes(op) ? " ●" : ""}`;
        const byArmor = takers.get(op) ?? new Map<string, string[]>();
        byArmor.set(armor, [...(byArmor.get(armor) ?? []), taken]);
        takers.set(op, byArmor);
      }
    }
  }
  return [...takers].sort(([a], [b]) => (a < b ? -1 : 1)).map(([op, byArmor]) => {
    const byTakers = new Map<string, string[]>();
    for (const [armor, names] of byArmor) byTakers.set(names.join(", "), [...(byTakers.get(names.join(", ")) ?? []), armor]);
    return `| \`${op}\` | ${[...byTakers].map(([names, holders]) => `${text(holders)}: ${names}`).join("; ")} |`;
  });
}

function text(holders: readonly string[]): string {
  return holders.length === Object.keys(armors).length ? everywhere : holders.join(", ");
}

/** How the comment that opens the element's file begins, without its title. */
function purpose(name: string): string {
  const source = readFileSync(join(root, "armors", "elements", `${name}.ts`), "utf8");
  const comment = /^\/\*\*\n([\s\S]*?)\n \*\//.exec(source)?.[1] ?? "";
  const paragraph = comment.replace(/^ \* ?/gm, "").split("\n\n")[0]!.replaceAll("\n", " ");
  const sentences = paragraph.replace(/^[^:.]*: /, "").split(/(?<=[.?]) (?=[A-Z])/);
  let said = "";
  for (const sentence of sentences) {
    const tooShort = said.length < purposeMin;
    if (!tooShort && (sentence.startsWith("Source") || said.length + sentence.length > purposeMax)) break;
    said += `${said === "" ? "" : " "}${sentence}`;
  }
  said = said.replace(/\.$/, "").replaceAll("|", "\\|");
  return said.slice(0, 1).toUpperCase() + said.slice(1);
}

if (import.meta.main) {
  writeFileSync(join(root, "docs", "elements.md"), elementsPage());
  console.log("docs/elements.md is written");
}
