/**
 * The shape of an application: what an operator may ask to have run. The one
 * place for it: the command line, the FTM and application files all come here.
 *
 * Bounds keep one application far below the size of a message and of what
 * `execve` takes; they are checked before anything is stored.
 *
 * @module
 */
import * as v from "valibot";
import { UsageError } from "../core/errors.ts";
import { namePattern, nameRule } from "./name_rule.ts";

/** An application, complete and checked. Plain data: it stands in element state. */
export type Application = {
  /** Unique in the cluster. */
  readonly name: string;
  /** Absolute path, or a bare name that the node looks up by its standard PATH. */
  readonly command: string;
  readonly args: readonly string[];
  readonly env: { readonly [name: string]: string };
  /** Absolute; `null`: `/`. */
  readonly directory: string | null;
  /** User name or number; `null`: the user of the daemon. */
  readonly user: string | null;
  /** How many at once, 1 to 100. */
  readonly instances: number;
  /** Preferred node for the first placement; `null`: the FTM chooses. */
  readonly node: string | null;
  /** Never leaves `node`. */
  readonly pin: boolean;
  /** A service runs for ever; a job is completed by exit status 0. */
  readonly kind: "service" | "job";
  /** Never twice at once anywhere, even if that means not at all. */
  readonly singleton: boolean;
};

/** Bounds of an application. */
export const applicationLimits = {
  instancesMax: 100,
  /** PATH_MAX of Linux. */
  pathBytesMax: 4_096,
  argumentsMax: 1_000,
  /** Linux refuses single arguments from 128 KiB. */
  argumentBytesMax: 65_536,
  variablesMax: 1_000,
  /** All texts together: the whole table is copied between nodes before each acknowledgement. */
  totalBytesMax: 262_144,
} as const;

const variablePattern = /^[A-Za-z_][A-Za-z0-9_]*$/;
const userPattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}\$?$/;

const utf8 = new TextEncoder();
const bytesOf = (text: string): number => utf8.encode(text).length;
const noNul = (text: string): boolean => !text.includes("\0");
/** Lone surrogates would come out of CBOR and `execve` as something else. */
const wellFormed = (text: string): boolean => !/\p{Surrogate}/u.test(text);

/** A text that reaches a program unchanged. */
const text = (bytesMax: number) =>
  v.pipe(
    v.string("must be a text"),
    v.check(noNul, "holds a NUL byte, which no program can be given: remove it"),
    v.check(wellFormed, "is not valid Unicode: remove the broken character"),
    v.check((value) => bytesOf(value) <= bytesMax, `is longer than ${bytesMax} bytes: put it in a file`),
  );

const name = v.pipe(v.string("must be a text"), v.regex(namePattern, (issue) => `${quote(issue.input)} is not a name: ${nameRule}`));

const command = v.pipe(
  text(applicationLimits.pathBytesMax),
  v.check((value) => value !== "", "is empty: name the program to run"),
  v.check(
    (value) => value.startsWith("/") || !value.includes("/"),
    (issue) => `${quote(issue.input)} is relative: give an absolute path, or a bare name to look up by PATH`,
  ),
  v.check((value) => !value.endsWith("/"), (issue) => `${quote(issue.input)} is a folder: name the program in it`),
);

const directory = v.pipe(
  text(applicationLimits.pathBytesMax),
  v.check((value) => value.startsWith("/"), (issue) => `${quote(issue.input)} is relative: give an absolute path`),
);

const user = v.pipe(
  v.string("must be a text"),
  v.regex(userPattern, (issue) => `${quote(issue.input)} is not a user: give a user name or number`),
);

const env = v.pipe(
  v.custom<Record<string, unknown>>(isRecord, "must be a table of names and texts"),
  v.check(
    (table) => Object.keys(table).length <= applicationLimits.variablesMax,
    `holds more than ${applicationLimits.variablesMax} variables: put them in a file`,
  ),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    for (const [key, value] of Object.entries(dataset.value)) {
      // Copying a table must never reach the prototype of an object.
      if (!variablePattern.test(key) || key === "__proto__") {
        return addIssue({ message: `${quote(key)} is not a variable name: use letters, digits and "_", the first no digit` });
      }
      const found = v.safeParse(text(applicationLimits.argumentBytesMax), value);
      if (!found.success) return addIssue({ message: `variable ${key} ${found.issues[0].message}` });
    }
  }),
  v.transform((table) => Object.fromEntries(Object.entries(table)) as Record<string, string>),
);

const instancesRule = `must be a whole number from 1 to ${applicationLimits.instancesMax}`;

const schema = v.pipe(
  v.strictObject({
    name,
    command,
    args: v.optional(
      v.pipe(
        v.array(text(applicationLimits.argumentBytesMax), "must be a list of texts"),
        v.maxLength(applicationLimits.argumentsMax, `holds more than ${applicationLimits.argumentsMax} arguments: put them in a file`),
      ),
      [],
    ),
    env: v.optional(env, {}),
    directory: v.optional(v.nullable(directory), null),
    user: v.optional(v.nullable(user), null),
    instances: v.optional(
      v.pipe(v.number(instancesRule), v.integer(instancesRule), v.minValue(1, instancesRule), v.maxValue(applicationLimits.instancesMax, instancesRule)),
      1,
    ),
    node: v.optional(v.nullable(name), null),
    pin: v.optional(v.boolean("must be true or false"), false),
    kind: v.optional(v.picklist(["service", "job"], 'must be "service" or "job"'), "service"),
    singleton: v.optional(v.boolean("must be true or false"), false),
  }),
  v.forward(
    v.check((application) => !application.pin || application.node !== null, "needs a node to stay on: give node too"),
    ["pin"],
  ),
  v.check(
    (application) => totalBytes(application) <= applicationLimits.totalBytesMax,
    `command, args and env are longer than ${applicationLimits.totalBytesMax} bytes together: put them in a file`,
  ),
);

/**
 * Check an application as somebody wrote it and fill in the defaults.
 *
 * @param input Anything: parsed JSON, TOML or CBOR. Not kept and not changed.
 * @returns A new object with every field, in one order, so that equal applications have equal bytes.
 * @throws {UsageError} One line that names the field and the fix.
 * @example
 * ```ts
 * import { parseApplication } from "./application_schema.ts";
 * console.assert(parseApplication({ name: "web", command: "nginx" }).instances === 1);
 * ```
 */
export function parseApplication(input: unknown): Application {
  if (!isRecord(input)) throw new UsageError("application must be a table with name and command");
  const result = v.safeParse(schema, input, { abortEarly: true });
  if (result.success) return result.output;
  throw new UsageError(describe(result.issues[0]));
}

function describe(issue: v.BaseIssue<unknown>): string {
  const keys = (issue.path ?? []).map((item) => item.key);
  const field = keys.map((key) => (typeof key === "number" ? `[${key + 1}]` : String(key))).join("");
  if (issue.type === "strict_object") {
    return issue.expected === "never"
      ? `${quote(field)} is no field of an application: use ${Object.keys(schema.entries).join(", ")}`
      : `${field} is missing: give it`;
  }
  return field === "" ? issue.message : `${field} ${issue.message}`;
}

function totalBytes(application: { command: string; args: readonly string[]; env: { readonly [name: string]: string } }): number {
  const texts = [application.command, ...application.args, ...Object.entries(application.env).flat()];
  return texts.reduce((sum, item) => sum + bytesOf(item) + 1, 0);
}

function isRecord(input: unknown): input is Record<string, unknown> {
  return typeof input === "object" && input !== null && !Array.isArray(input) && !(input instanceof Uint8Array);
}

/** Quoted on one line, without control characters, cut where nobody reads on. */
function quote(input: unknown): string {
  const shown = JSON.stringify(String(input));
  return shown.length > 80 ? `${shown.slice(0, 79)}…"` : shown;
}
