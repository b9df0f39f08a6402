/**
 * Checks what an operator asks to have run. The one place for it: the command
 * line, the FTM and application files all come here.
 *
 * Bounds keep one application far below the size of a message and of what
 * `execve` takes; they are checked before anything is stored.
 *
 * @module
 */
import * as v from "valibot";
import { UsageError } from "../core/errors.ts";
import { parseAddress } from "../transports/address.ts";
import { type Application, applicationDefaults, applicationLimits } from "./application.ts";
import { namePattern, nameRule } from "./name_rule.ts";

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

const texts = v.pipe(
  v.array(text(applicationLimits.argumentBytesMax), "must be a list of texts"),
  v.maxLength(applicationLimits.argumentsMax, `holds more than ${applicationLimits.argumentsMax} arguments: put them in a file`),
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

/** A table; a list is none. */
function table<S extends v.GenericSchema>(fields: S) {
  return v.pipe(v.custom<v.InferInput<S>>(isRecord, "must be a table"), fields);
}

/** A whole number within bounds. */
const whole = (min: number, max: number) => {
  const rule = `must be a whole number from ${min} to ${max}`;
  return v.pipe(v.number(rule), v.integer(rule), v.minValue(min, rule), v.maxValue(max, rule));
};

const { timeMsMax, intervalMsMin } = applicationLimits;
const time = (min = 0) => whole(min, timeMsMax);

const restartFields = v.strictObject({
  // Not 0: a program that cannot live would keep a core busy.
  firstDelayMs: v.optional(time(1), applicationDefaults.restart.firstDelayMs),
  delayCapMs: v.optional(time(1), applicationDefaults.restart.delayCapMs),
  resetAfterMs: v.optional(time(), applicationDefaults.restart.resetAfterMs),
  crashLoopRestarts: v.optional(whole(1, applicationLimits.crashLoopRestartsMax), applicationDefaults.restart.crashLoopRestarts),
  crashLoopWindowMs: v.optional(time(1), applicationDefaults.restart.crashLoopWindowMs),
  restartsMax: v.optional(v.nullable(whole(0, applicationLimits.restartsMaxMax)), null),
});

const restart = v.pipe(
  table(restartFields),
  v.forward(
    v.check(({ firstDelayMs, delayCapMs }) => firstDelayMs <= delayCapMs, "is less than firstDelayMs: raise it, or lower firstDelayMs"),
    ["delayCapMs"],
  ),
);

const asked = {
  intervalMs: v.optional(time(intervalMsMin), applicationDefaults.probe.intervalMs),
  timeoutMs: v.optional(v.nullable(time(1)), null),
  failures: v.optional(whole(1, applicationLimits.probeFailuresMax), applicationDefaults.probe.failures),
  graceMs: v.optional(time(), applicationDefaults.probe.graceMs),
};

const url = v.pipe(
  text(applicationLimits.pathBytesMax),
  v.check(isHttpUrl, (issue) => `${quote(issue.input)} is not an address of HTTP: give http://HOST:PORT/PATH`),
);

const address = v.pipe(
  text(applicationLimits.pathBytesMax),
  v.check(isAddress, (issue) => `${quote(issue.input)} is not an address: give HOST:PORT`),
);

const probeKinds = [
  v.strictObject({ type: v.literal("http"), url, ...asked }),
  v.strictObject({ type: v.literal("tcp"), address, ...asked }),
  v.strictObject({ type: v.literal("exec"), command, args: v.optional(texts, []), ...asked }),
  v.strictObject({ type: v.literal("progress"), withinMs: time(intervalMsMin), graceMs: v.optional(time(), applicationDefaults.probe.graceMs) }),
] as const;

const probe = v.pipe(
  table(v.variant("type", probeKinds, 'must be "http", "tcp", "exec" or "progress"')),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed || dataset.value.type === "progress") return;
    const { intervalMs, timeoutMs } = dataset.value;
    if (timeoutMs === null || timeoutMs <= intervalMs) return;
    addIssue({ message: `waits longer for an answer (timeoutMs ${timeoutMs}) than from ask to ask (intervalMs ${intervalMs}): raise intervalMs, or lower timeoutMs` });
  }),
  v.transform((given) => given.type === "progress"
    ? given
    : { ...given, timeoutMs: given.timeoutMs ?? Math.min(applicationDefaults.probe.timeoutMs, given.intervalMs) }),
);

const logFields = v.strictObject({
  maxBytes: v.optional(whole(applicationLimits.logBytesMin, applicationLimits.logBytesMax), applicationDefaults.log.maxBytes),
  keep: v.optional(whole(0, applicationLimits.logKeepMax), applicationDefaults.log.keep),
});

const applicationFields = v.strictObject({
  name,
  command,
  args: v.optional(texts, []),
  env: v.optional(env, {}),
  directory: v.optional(v.nullable(directory), null),
  user: v.optional(v.nullable(user), null),
  instances: v.optional(whole(1, applicationLimits.instancesMax), 1),
  node: v.optional(v.nullable(name), null),
  pin: v.optional(v.boolean("must be true or false"), false),
  kind: v.optional(v.picklist(["service", "job"], 'must be "service" or "job"'), "service"),
  singleton: v.optional(v.boolean("must be true or false"), false),
  restart: v.optional(restart, {}),
  probe: v.optional(v.nullable(probe), null),
  log: v.optional(table(logFields), {}),
});

const schema = v.pipe(
  applicationFields,
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
  const field = keys.map((key, index) => (typeof key === "number" ? `[${key + 1}]` : index === 0 ? String(key) : `.${key}`)).join("");
  if (issue.type === "strict_object") {
    if (issue.expected !== "never") return `${field} is missing: give it`;
    const { what, fields } = part(issue);
    return `${quote(field)} is no field of ${what}: use ${fields.join(", ")}`;
  }
  return field === "" ? issue.message : `${field} ${issue.message}`;
}

/** The table that holds a field, and what it may hold. */
function part({ path }: v.BaseIssue<unknown>): { readonly what: string; readonly fields: readonly string[] } {
  const [first] = path ?? [];
  if (path?.length === 1) return { what: "an application", fields: Object.keys(applicationFields.entries) };
  if (first?.key === "restart") return { what: "a restart policy", fields: Object.keys(restartFields.entries) };
  if (first?.key === "log") return { what: "log limits", fields: Object.keys(logFields.entries) };
  const { type } = (first?.value ?? {}) as { type?: unknown };
  const kind = probeKinds.find(({ entries }) => entries.type.literal === type);
  return { what: `a probe of type "${kind?.entries.type.literal}"`, fields: Object.keys(kind?.entries ?? {}) };
}

function totalBytes(application: { command: string; args: readonly string[]; env: { readonly [name: string]: string } }): number {
  const texts = [application.command, ...application.args, ...Object.entries(application.env).flat()];
  return texts.reduce((sum, item) => sum + bytesOf(item) + 1, 0);
}

function isRecord(input: unknown): input is Record<string, unknown> {
  return typeof input === "object" && input !== null && !Array.isArray(input) && !(input instanceof Uint8Array);
}

/** `http://HOST[:PORT][/PATH]`, also `https`; no user, no fragment, nothing that needs escaping. */
function isHttpUrl(given: string): boolean {
  const [, authority = ""] = /^https?:\/\/([^/?#@]+)(?:[/?][!-~]*)?$/.exec(given) ?? [];
  return !given.includes("#") && isAddress(/:\d*$/.test(authority) ? authority : `${authority}:80`);
}

function isAddress(given: string): boolean {
  try {
    return parseAddress(given).port > 0;
  } catch {
    return false;
  }
}

/** Quoted on one line, without control characters, cut where nobody reads on. */
function quote(input: unknown): string {
  const shown = JSON.stringify(String(input));
  return shown.length > 80 ? `${shown.slice(0, 79)}…"` : shown;
}
