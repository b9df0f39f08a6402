/**
 * A process that asks by a program which never answers; killed by a test.
 *
 * Usage: bun prober_child.ts FILE (receives the pids of the program and its child)
 *
 * @module
 */
import process from "node:process";
import { Prober } from "../../armors/host/prober.ts";
import { systemClock } from "../../armors/host/system_clock.ts";

const script = `echo $$ >>${process.argv[2]}; sleep 9999 & echo $! >>${process.argv[2]}; wait`;
const probe = { type: "exec", command: "sh", args: ["-c", script], intervalMs: 1_000, timeoutMs: 900, failures: 1, graceMs: 0 } as const;
await new Prober(systemClock).ask(probe, () => ({ env: { PATH: "/usr/bin:/bin" }, directory: "/" }));
