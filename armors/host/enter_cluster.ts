/**
 * Enter a cluster: what a daemon does about the cluster id of its node. A node
 * without one joins or starts a cluster; one that has started a second cluster
 * by mistake gives it up while it is still empty.
 *
 * @module
 */
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Data } from "../../core/data.ts";
import { newId } from "../../core/id.ts";
import type { RandomSource } from "../../core/random.ts";
import type { ClusterDocument } from "../join_search.ts";
import type { NodeRegistration } from "../shapes.ts";
import type { DaemonMachine } from "./daemon_machine.ts";
import type { DataDir } from "./data_dir.ts";
import type { KeptIdentity } from "./identity.ts";
import { joinCluster } from "./join.ts";
import { findArmorProcesses, identify, killAndConfirm } from "./process_table.ts";

/** What entering needs of its daemon. */
export interface EntryOptions {
  readonly address: string;
  /** `--join`. */
  readonly joins: readonly string[];
  readonly machine: DaemonMachine;
  /** The FTM has taken this node in. */
  readonly joined: () => boolean;
  /** Ask the FTM that somebody has named. */
  readonly tell: (found: ClusterDocument) => void;
}

/** So often in a row another cluster than the one that was asked before answers, until this node asks that one: its own is gone, or has moved there. */
const otherClusterMax = 3;
/** The FTM may have moved while the node was asking it: look for it again. */
const lookAgainMs = 4_000;
const armorRoles = ["ftm", "heartbeat", "execution", "own"];
const killWithinMs = 5_000;

/**
 * Join, or start a cluster.
 *
 * @returns `"bootstrap"`, `"other"`: the identity says now that it starts a cluster, or has asked none yet; the daemon must begin anew.
 * @throws {ArmorError} `"refused"` by one that was asked.
 */
export async function enterCluster({ address, joins, machine, joined, tell }: EntryOptions): Promise<"joined" | "bootstrap" | "other"> {
  const { identity } = machine;
  for (let others = 0;;) {
    const { id, cluster, joins: kept } = identity.now;
    const addresses = [...new Set([...(kept ?? []), ...joins])];
    const mayStart = cluster === "" && kept === undefined;
    const step = mayStart && addresses.length === 0
      ? { kind: "bootstrap" } as const
      : await joinCluster({ addresses, self: { id, address }, machine });
    if (step.kind === "join" && (cluster === "" || step.found.cluster === cluster)) {
      if (cluster === "") identity.write({ ...identity.now, cluster: step.found.cluster, joins: addresses });
      others = 0;
      tell(step.found);
    } else if (step.kind === "join" && ++others === otherClusterMax) {
      machine.log(`cluster ${cluster} has never taken this node in, and only ${step.found.cluster} answers: it asks that one`);
      leaveUnjoined(identity, machine.random);
      return "other";
    } else if (step.kind === "bootstrap" && mayStart) {
      identity.write({ ...identity.now, cluster: newId(machine.random, 12), bootstrap: true });
      return "bootstrap";
    }
    for (let waitedMs = 0; waitedMs < lookAgainMs && !joined(); waitedMs += 100) await machine.pause(100);
    if (joined()) return "joined";
  }
}

/** The cluster does not take this node: it belongs to none, as before. What it has said there, it has said as somebody else. */
export function leaveUnjoined(identity: KeptIdentity, random: RandomSource): void {
  identity.forget();
  const { joins, ...rest } = identity.now;
  identity.write({ ...rest, id: newId(random), cluster: "", ...(rest.gaveUp && joins && { joins }) });
}

/** From the next start on this node belongs to no cluster and asks at `address` for one. */
export function giveUpCluster(identity: KeptIdentity, address: string): void {
  identity.forget();
  identity.write({ ...identity.now, cluster: "", bootstrap: false, gaveUp: true, joins: [address] });
}

/** Whether a table is that of a cluster of one node that holds nothing of value. */
export function isEmptyCluster(table: { readonly [key: string]: Data }, node: string): boolean {
  return Object.entries(table).every(([key, value]) => {
    if (key === "version" || key === "lineage" || key === `node:${node}` || key.startsWith("gone")) return true;
    return key.startsWith("node:") && (value as NodeRegistration).left;
  });
}

/** A node without a cluster has no past: remove what one that it gave up has left. */
export async function forgetCluster(data: DataDir): Promise<void> {
  const left = findArmorProcesses(armorRoles, data.path);
  await Promise.all(left.map((pid) => {
    const found = identify(pid);
    return found && killAndConfirm(found, "SIGKILL", killWithinMs);
  }));
  const armors = join(data.path, "armors");
  for (const name of existsSync(armors) ? readdirSync(armors) : []) rmSync(join(armors, name), { recursive: true, force: true });
  rmSync(data.events.replace(/\.cborseq$/, ".jsonl"), { force: true });
}
