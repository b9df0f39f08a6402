/**
 * The flags of a node as its processes pass them on to each other. No secret is
 * among them, only the path of its file.
 *
 * @module
 */
import type { RoleOptions } from "./role_flags.ts";

/** Everything but `--role` and the internal flags. */
export function nodeFlags(options: RoleOptions): string[] {
  const flags = ["--data-dir", options.dataDir];
  const add = (flag: string, value: string | undefined): void => {
    if (value !== undefined && value !== "") flags.push(flag, value);
  };
  add("--node", options.node);
  add("--listen", options.listen);
  add("--advertise", options.advertise);
  add("--join", options.join.join(","));
  add("--config", options.config);
  add("--secret-file", options.secretFile);
  if (options.allowElements) flags.push("--allow-elements");
  if (options.allowInjection) flags.push("--allow-injection");
  return flags;
}
