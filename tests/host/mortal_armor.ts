/**
 * An armor in a process of its own that dies under what it handles, for tests of
 * poison: it sends itself the messages `1`, `2` and `3`, and dies of `2` in the
 * way it is told. It ends with status 0 when nothing is left to be done.
 *
 * Usage: bun mortal_armor.ts FOLDER exit|signal|hang|work|throw|none|idle [own]
 *
 * @module
 */
import { writeSync } from "node:fs";
import process from "node:process";
import { ArmorHost } from "../../armors/host/armor_host.ts";
import { openCheckpointFiles } from "../../armors/host/checkpoint_file.ts";
import { DeadLetterFile } from "../../armors/host/dead_letters.ts";
import { badStateStatus, handFile, HandRecord } from "../../armors/host/hand_record.ts";
import { systemRandom } from "../../armors/host/system_random.ts";
import { element } from "../../core/element.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { op } from "../../core/micro_operation.ts";

const [folder = "", way = "none"] = process.argv.slice(2);

function die(): void {
  log("dying");
  if (way === "exit") process.exit(9);
  if (way === "signal") process.kill(process.pid, "SIGKILL");
  // What follows must not run: the signal comes a moment later.
  if (way === "hang" || way === "signal") for (;;);
}

const victim = element<{ readonly begun: boolean; readonly done: readonly string[]; readonly failed: readonly string[] }>({
  name: "victim",
  version: 1,
  state: { begun: false, done: [], failed: [] },
  blocking: ["victim.work"],
  handlers: {
    "victim.begin": (state, thread) => {
      if (state.begun) return;
      for (const token of ["1", "2", "3"]) {
        thread.send({ ops: [op(way === "work" ? "victim.work" : "victim.take")], payload: { token } });
      }
      return { ...state, begun: true };
    },
    "victim.take": (state, thread) => {
      const token = String(thread.payload["token"]);
      if (token === "2") die();
      return { ...state, done: [...state.done, token] };
    },
    "victim.work": (state, thread) => {
      const token = String(thread.payload["token"]);
      if (thread.completion) return { ...state, done: [...state.done, token] };
      thread.block({ kind: "job", args: token });
    },
    "armor.op-failed": (state, thread) => {
      const { message, failure } = thread.payload as { message: { payload: { token: string } }; failure: { code: string } };
      return { ...state, failed: [...state.failed, `${message.payload.token} ${failure.code}`] };
    },
  },
});

// At once: a process that hangs writes nothing later.
const log = (text: string): void => void writeSync(1, `${text}\n`);
const hand = new HandRecord(handFile(`${folder}/hand`));
const life = hand.begin(process.argv[4] === "own");
process.on("exit", (status) => hand.end(status));
if (life === "failed") process.exit(badStateStatus);
hand.hold({ kind: "restore", id: "", op: "" });
if (way === "throw") throw new Error("its state is bad");
const store = openCheckpointFiles(folder, "victim", "process");
const { snapshot, records } = store.restore();
const kernel = new Microkernel({
  armor: "victim",
  generation: { epoch: 1, node: "n", counter: 0 },
  elements: [victim],
  random: systemRandom,
  ...(snapshot && { restored: { snapshot, records } }),
});
const letters = new DeadLetterFile(`${folder}/dead-letters.cborseq`, "victim", log);
const host = new ArmorHost(kernel, {
  store,
  durability: "process",
  send: () => {},
  command: () => {},
  work: async (_kind, args) => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (args === "2") process.exit(9);
    return null;
  },
  deadLetter: (args) => letters.add(args, ""),
  hand,
  careful: life === "careful",
  log,
});
hand.release();
log("up");
host.start({});
host.local("victim.begin");
const idle = way === "idle";
setInterval(() => {
  const { done, failed } = kernel.state("victim") as { done: readonly string[]; failed: readonly string[] };
  if (idle || done.length + failed.length < 3) return;
  log(JSON.stringify({ done, failed }));
  process.exit(0);
}, 5);
