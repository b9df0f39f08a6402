/**
 * An armor that runs out of descriptors, and gets them back. Started by a test, with few of them.
 *
 * Usage: bun blind_child.ts DATA_DIR (with launch 1 of "web1", whose program runs); prints what it saw and did
 *
 * @module
 */
import { closeSync, openSync } from "node:fs";
import process from "node:process";
import { openDataDir } from "../../armors/host/data_dir.ts";
import { listLaunches, readLaunchRecord } from "../../armors/host/launch_record.ts";
import { pruneLaunches } from "../../armors/host/launch_sweep.ts";
import { endStarting, isStarting, watchLaunch } from "../../armors/host/launch_watch.ts";
import { isGroupAlive, killGroup, signalGroup, stopGracefully } from "../../armors/host/process_group.ts";
import { findByArguments, identify, isAlive, killAndConfirm, programState, readArguments, readProcess, signalProcess } from "../../armors/host/process_table.ts";
import { nowMs } from "../../armors/host/system_clock.ts";

const data = openDataDir(process.argv[2]!);
const record = data.launch("web1", 1);
const { program } = readLaunchRecord(record)!;
if (!program) throw new Error("there is no program");
const exits: unknown[] = [];
watchLaunch(record, (exit) => exits.push(exit), { intervalMs: 20 });
const pause = (delayMs: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, delayMs));
// What the runtimes open at the first use.
nowMs();
process.on("SIGURG", () => {});
await pause(50);

const opened: number[] = [];
try {
  for (;;) opened.push(openSync("/dev/null", "r"));
} catch {
  // that was the last one
}
watchLaunch(record, (exit) => exits.push(exit), { intervalMs: 20 });
const blind = {
  state: readProcess(program.pid)?.state,
  identity: identify(program.pid) ?? null,
  isAlive: isAlive(program),
  programState: programState(program),
  arguments: readArguments(program.pid),
  found: ((): unknown => {
    try {
      return findByArguments(() => true);
    } catch {
      return "unknown";
    }
  })(),
  isGroupAlive: isGroupAlive(program),
  isStarting: isStarting(record),
  // Nobody is signalled whom one cannot see.
  signalled: [signalProcess(program, "SIGKILL"), signalGroup(program, "SIGKILL")],
  killed: [await killAndConfirm(program, "SIGKILL", 50), await killGroup(program, 50)],
  stopped: await stopGracefully(program, { graceMs: 50, killMs: 50 }),
};
pruneLaunches(data.launches("web1"), 0);
// Longer than a shim has to write the status of its dead program.
await Promise.all([pause(1_300), endStarting(record)]);
const exitsWhenBlind = exits.length;
// What was asked for without descriptors is done once there are some.
const ended = stopGracefully(program, { graceMs: 10_000 });
await pause(20);
for (const descriptor of opened) closeSync(descriptor);
const seeing = { isAlive: isAlive(program), launches: listLaunches(data.launches("web1")), ended: await ended };
for (let waited = 0; exits.length < 2 && waited < 5_000; waited += 10) await pause(10);
console.log(JSON.stringify({ blind, exitsWhenBlind, seeing, exits }));
process.exit(0);
