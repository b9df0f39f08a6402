/**
 * `armor init`
 *
 * @module
 */
import { UsageError } from "../core/errors.ts";
import { CommandError, type CommandDefinition, jsonDocument, printable } from "./command.ts";

/** Makes a cluster secret. */
export const initCommand: CommandDefinition = {
  name: "init",
  group: "Cluster:",
  summary: "create the secret of a new cluster",
  description:
    "Creates the file that every node of one cluster needs: 32 random bytes, readable by you alone (mode 0600). Whoever has it can do everything to the cluster. An existing file is never overwritten.",
  operands: [],
  options: [{ flags: "--secret-file FILE", description: "file to create (required)" }],
  examples: ["armor init --secret-file secret"],
  async run(input, terminal) {
    const file = input.text("secret-file");
    if (file === undefined || file === "") {
      throw new UsageError('option "--secret-file" is missing: armor init --secret-file FILE');
    }
    const { SecretError, createSecret, writeSecretFile } = await import("../transports/secret.ts");
    try {
      writeSecretFile(file, createSecret());
    } catch (error) {
      if (!(error instanceof SecretError)) throw error;
      const fix = error.code === "secret_exists" ? "; use it, or name another file" : "";
      throw new CommandError("file", `${error.message}${fix}`, { cause: error });
    }
    if (input.json) return terminal.out(jsonDocument({ ok: true, secretFile: file }));
    terminal.out(
      `Created the cluster secret "${printable(file)}". Copy it to every node, readable by its owner alone, and start the first:\n` +
        `  armor --role daemon --node n1 --listen 127.0.0.1:7000 --data-dir DIR --secret-file ${printable(file)}\n`,
    );
  },
};
