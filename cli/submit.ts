/**
 * `armor submit FILE`
 *
 * @module
 */
import { resolve } from "node:path";
import { ArmorError, UsageError } from "../core/errors.ts";
import { type CommandDefinition, jsonDocument, printable } from "./command.ts";
import { OutputClosedError } from "./terminal.ts";

/** Has the applications of a file kept running. */
export const submitCommand: CommandDefinition = {
  name: "submit",
  group: "Applications:",
  summary: "keep the programs of a file running",
  description:
    "Submits every application of a TOML file and returns once the cluster has acknowledged all of them. The whole file is checked before the first is submitted. An application that is there already, the same, stays as it is; one that is there with another specification is refused, and armor remove comes first.",
  operands: [{ name: "FILE", description: "TOML file: one application, or several as [[application]]" }],
  options: [],
  connects: true,
  examples: ["armor submit web.toml"],
  async run(input, terminal) {
    const file = input.operands[0] ?? "";
    if (file === "") throw new UsageError("FILE is empty: armor submit FILE");
    const [{ readTomlFile }, { applicationsOf }, { askOperation, acceptedText }] = await Promise.all([
      import("../armors/toml_file.ts"),
      import("../armors/application_file.ts"),
      import("./operation.ts"),
    ]);
    // Found from where the command was started, shown as given.
    const shown = printable(file);
    const applications = applicationsOf(readTomlFile(resolve(terminal.directory, file), shown), shown);
    const { connectDaemon } = await import("./daemon_client.ts");
    const daemon = await connectDaemon(input, terminal);
    const done: { readonly name: string; readonly changed: boolean; readonly revision?: number | undefined }[] = [];
    let heard = true;
    // Nobody may read it any more; the rest is submitted all the same.
    const tell = (text: string): void => {
      try {
        if (heard) terminal.out(text);
      } catch (error) {
        if (!(error instanceof OutputClosedError)) throw error;
        heard = false;
      }
    };
    for (const application of applications) {
      const { name } = application;
      try {
        const { changed, revision } = await askOperation(daemon, { operation: "application.submit", application });
        done.push({ name, changed, ...(revision !== undefined && { revision }) });
        if (!input.json) tell(`${printable(acceptedText(name, changed, revision))}\n`);
      } catch (error) {
        throw withProgress(error, done.map((one) => one.name), applications.length);
      }
    }
    if (input.json) terminal.out(jsonDocument({ ok: true, applications: done }));
  },
};

/** The cluster refused one of several: what came before it is submitted. */
function withProgress(error: unknown, done: readonly string[], count: number): unknown {
  if (!(error instanceof ArmorError) || count === 1) return error;
  const before = done.length === 0 ? "none was submitted" : `submitted before: ${done.join(", ")}`;
  error.message += ` (${before}; repeat the command when this is mended)`;
  return error;
}
