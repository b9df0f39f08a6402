/**
 * Started by `parent_watch_test.ts`, twice: as the parent, which starts the other and ends by a signal, and as its
 * child, which says when it knows.
 *
 * @module
 */
import { appendFileSync } from "node:fs";
import process from "node:process";
import { selfArgv, spawnDetached } from "../../armors/host/child_process.ts";
import { onParentEnd } from "../../armors/host/parent_watch.ts";
import { identify, isAlive } from "../../armors/host/process_table.ts";
import { nowMs } from "../../armors/host/system_clock.ts";

const [role, file, other] = process.argv.slice(2) as [string, string, string];
const say = (text: string): void => appendFileSync(file, `${text}\n`);

if (role === "parent") {
  // Its standard environment is what the runtime needs to start.
  const { PATH = "", HOME = "", DENO_DIR } = process.env;
  const env = { PATH, HOME, ...(DENO_DIR !== undefined && { DENO_DIR }) };
  spawnDetached({ argv: [...selfArgv(), "child", file, String(process.pid)], env });
  setTimeout(() => {}, 20_000);
} else {
  const parent = identify(Number(other))!;
  const stranger = identify(1);
  if (stranger) say(`stranger ${onParentEnd(stranger, () => {}) !== undefined}`);
  const dropped = onParentEnd(parent, () => say("no more"));
  dropped?.();
  const heard = onParentEnd(parent, () => {
    say(`ended ${nowMs()} ${isAlive(parent)}`);
    setTimeout(() => process.exit(0), 20);
  });
  // Anybody's: it says nothing of the parent.
  process.kill(process.pid, "SIGURG");
  setTimeout(() => say(`listens ${heard !== undefined}`), 300);
  setTimeout(() => process.exit(1), 15_000);
}
