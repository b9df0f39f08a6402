/**
 * Injection: a daemon carries out the faults that an operator orders for its
 * node. What can be done from outside is done from outside, by signals; what
 * lasts outlives the daemon, in a helper or in the file of faults.
 *
 * @module
 */
import { closeSync, existsSync, openSync, readdirSync, rmSync, statfsSync, truncateSync, writeSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { ArmorError } from "../../core/errors.ts";
import type { Microkernel } from "../../core/microkernel.ts";
import type { ProcessIdentity } from "../../core/process_identity.ts";
import { seededRandom } from "../../core/random.ts";
import { type FaultOrder, wrongOrder } from "../fault_order.ts";
import { spawnDetached } from "./child_process.ts";
import { corruptCheckpoint, corruptState } from "./corruption.ts";
import type { DataDir } from "./data_dir.ts";
import { FaultFile, seenWithinMs } from "./fault_file.ts";
import { listLaunches, readLaunchRecord } from "./launch_record.ts";
import { lockHolder } from "./lock_file.ts";
import { isGroupAlive } from "./process_group.ts";
import { findNodeProcesses, isAlive, kill } from "./process_table.ts";
import { Seams } from "./seams.ts";

/** What the daemon knows. */
export interface InjectionMeans {
  readonly data: DataDir;
  /** Id of this node. */
  readonly node: string;
  /** The process of an armor on this node. */
  readonly living: (armor: string) => ProcessIdentity | undefined;
  readonly log: (text: string) => void;
}

/** Largest file system that is filled. */
const fillBytesMax = 256 * 1024 * 1024;
const fillName = "injected-fill";
const answerFirstMs = 50;
/** A process that is stopped now hears of it then. */
const onceWithinMs = 10_000;

/** Carries out faults on one node. */
export class Injection {
  readonly #file: FaultFile;
  /** Process groups that end a fault, or keep it up. */
  readonly #helpers: number[] = [];

  constructor(readonly means: InjectionMeans) {
    this.#file = new FaultFile(means.data.path);
  }

  /**
   * Do it.
   *
   * @returns What was done, in words.
   * @throws {ArmorError} `"usage"` for an order that is none, `"refused"` if it cannot be done here, `"absent"` if the target has no process now.
   */
  async perform(order: FaultOrder): Promise<string> {
    const wrong = wrongOrder(order);
    if (wrong !== undefined) throw new ArmorError("usage", wrong);
    const { fault, target, forMs, seed } = order;
    this.means.log(`injected: ${JSON.stringify(order)}`);
    switch (fault) {
      case "kill":
        return this.#signal(order, "SIGKILL");
      case "hang": {
        const pids = this.#pids(order);
        this.#help(`sleep ${forMs / 1_000}; kill -s CONT -- "$@"`, pids);
        return this.#signal(order, "SIGSTOP");
      }
      case "resume":
        return this.#resume(order);
      case "cpu":
        return this.#starve(order);
      case "disk-full":
        return this.#fill(order);
      case "corrupt-checkpoint": {
        const hit = target.kind === "armor" && corruptCheckpoint(this.means.data.armor(target.id), seededRandom(seed));
        if (!hit) throw new ArmorError("refused", "the armor keeps no checkpoint on this node");
        return hit;
      }
      case "corrupt-state":
      case "clock-jump":
        // Once, in the process that is there now.
        this.#file.add({ ...order, forMs: onceWithinMs }, this.#pids(order)[0]!);
        await new Promise((resolve) => setTimeout(resolve, seenWithinMs));
        return `${fault} in process ${this.#pids(order)[0]}`;
      default:
        if (target.kind === "armor") this.#pids(order);
        this.#file.add(order, null);
    }
    await new Promise((resolve) => setTimeout(resolve, seenWithinMs));
    return `${fault} for ${forMs} ms`;
  }

  /** Processes of the target. @throws {ArmorError} `"absent"` if there is none now. */
  #pids({ target }: FaultOrder): number[] {
    const { data, node, living } = this.means;
    const ofArmor = (id: string): number[] => {
      if (id === `daemon@${node}`) return [process.pid];
      const pid = id === `guard@${node}` ? lockHolder(data.guardLock) : living(id)?.pid;
      return pid === undefined ? [] : [pid];
    };
    const pids = target.kind === "armor" ? ofArmor(target.id) : target.kind === "instance" ? this.#programs(target.id) : this.#everything();
    if (pids.length === 0) throw new ArmorError("absent", `there is no process of ${target.kind === "node" ? "this node" : `"${target.id}"`} on this node`);
    return pids;
  }

  /** Members of an instance's process group. */
  #programs(instance: string): number[] {
    const { data } = this.means;
    return listLaunches(data.launches(instance)).flatMap((number) => {
      const program = readLaunchRecord(data.launch(instance, number))?.program;
      return program && isGroupAlive(program) ? [isAlive(program) ? -program.pid : program.pid] : [];
    });
  }

  /** Every process of Armor, shims too, and every program; this one last. */
  #everything(): number[] {
    const { data } = this.means;
    const armor = findNodeProcesses(data.path);
    const programs = names(join(data.path, "launches")).flatMap((instance) => this.#programs(instance));
    return [...armor.filter((pid) => pid !== process.pid), ...programs, process.pid];
  }

  #signal(order: FaultOrder, signal: NodeJS.Signals): string {
    const pids = this.#pids(order);
    const send = (): void => {
      // Nobody restarts anybody while the others die.
      if (signal === "SIGKILL" && pids.length > 1) for (const pid of pids) if (pid !== process.pid) kill(pid, "SIGSTOP");
      for (const pid of pids) kill(pid, signal);
    };
    // The answer has to leave before this process cannot send it.
    if (pids.includes(process.pid)) setTimeout(send, answerFirstMs);
    else send();
    return `${signal} to ${pids.map(Math.abs).join(", ")}`;
  }

  #resume(order: FaultOrder): string {
    for (const helper of this.#helpers.splice(0)) kill(-helper, "SIGKILL");
    this.#file.clear();
    const fill = join(this.means.data.path, fillName);
    if (existsSync(fill)) truncateSync(fill);
    rmSync(fill, { force: true });
    return this.#signal(order, "SIGCONT");
  }

  #starve(order: FaultOrder): string {
    const { target, forMs } = order;
    const turns = Math.ceil(forMs / 100);
    if (target.kind === "node") {
      const busy = `for _ in ${cpus().flatMap(() => ["1", "2"]).join(" ")}; do timeout ${forMs / 1_000} nice -n -10 sh -c 'while :; do :; done' & done; wait`;
      this.#help(busy, []);
      return `${2 * cpus().length} busy loops for ${forMs} ms`;
    }
    const pids = this.#pids(order);
    this.#help(`n=${turns}; while [ $n -gt 0 ]; do kill -s STOP -- "$@"; sleep 0.09; kill -s CONT -- "$@"; sleep 0.01; n=$((n-1)); done`, pids);
    return `a tenth of a processor for ${pids.map(Math.abs).join(", ")}, for ${forMs} ms`;
  }

  #fill({ forMs }: FaultOrder): string {
    const { path } = this.means.data;
    const { blocks, bsize } = statfsSync(path);
    if (blocks * bsize > fillBytesMax) throw new ArmorError("refused", `the file system of ${JSON.stringify(path)} is larger than 256 MiB: mount a small one there, such as a tmpfs`);
    const file = join(path, fillName);
    // Emptied before it goes: where the file is no longer, there is room, however late its inode is freed.
    this.#help(`sleep ${forMs / 1_000}; truncate -c -s 0 -- "$1"; rm -f -- "$1"`, [], file);
    const descriptor = openSync(file, "w");
    let written = 0;
    try {
      // Ever smaller pieces, until not one byte fits.
      for (let piece = new Uint8Array(1024 * 1024); piece.length > 0;) {
        try {
          written += writeSync(descriptor, piece);
        } catch {
          piece = piece.subarray(0, Math.floor(piece.length / 2));
        }
      }
    } finally {
      closeSync(descriptor);
    }
    return `${written} bytes fill the file system`;
  }

  #help(script: string, pids: readonly number[], ...more: string[]): void {
    const argv = ["/bin/sh", "-c", script, "armor-fault", ...pids.map(String), ...more] as const;
    this.#helpers.push(spawnDetached({ argv, env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" } }).pid);
  }
}

/** The seams of an armor's process, and the corruption of its state. */
export function openSeams(data: DataDir, armor: string, log: (text: string) => void, kernel: () => Microkernel | undefined): Seams {
  const seams = new Seams(data.path, armor, process.pid);
  seams.onFault(({ order }) => {
    if (order.fault !== "corrupt-state") return;
    const hit = kernel() && corruptState(kernel()!, order.element ?? "", seededRandom(order.seed));
    log(`injected: ${hit ?? `element "${order.element}" holds nothing`}`);
  });
  return seams;
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
