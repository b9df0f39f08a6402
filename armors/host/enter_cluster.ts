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
import type { TlsIdentity } from "../../transports/tls_identity.ts";
import type { ClusterDocument } from "../join_search.ts";
import type { NodeRegistration } from "../shapes.ts";
import type { DataDir } from "./data_dir.ts";
import { readIdentity, writeIdentity } from "./identity.ts";
import { joinCluster } from "./join.ts";
import { findByArguments, identify, killAndConfirm } from "./process_table.ts";
import { systemRandom } from "./system_random.ts";

/** What entering needs of its daemon. */
export interface EntryOptions {
  readonly data: DataDir;
  readonly address: string;
  /** `--join`. */
  readonly joins: readonly string[];
  readonly tls: TlsIdentity;
  /** The FTM has taken this node in. */
  readonly joined: () => boolean;
  /** Ask the FTM that somebody has named. */
  readonly tell: (found: ClusterDocument) => void;
  readonly log: (text: string) => void;
}

/** The FTM may have moved while the node was asking it: look for it again. */
const lookAgainMs = 4_000;
const armorRoles = ["ftm", "heartbeat", "execution", "own"];
const killWithinMs = 5_000;

/**
 * Join, or start a cluster.
 *
 * @returns `"bootstrap"`: the identity says so now, and the daemon must begin anew.
 * @throws {ArmorError} `"refused"` by one that was asked.
 */
export async function enterCluster({ data, address, joins, tls, joined, tell, log }: EntryOptions): Promise<"joined" | "bootstrap"> {
  for (;;) {
    const identity = readIdentity(data.identity)!;
    const { id, cluster } = identity;
    const addresses = [...new Set([...(identity.joins ?? []), ...joins])];
    const mayStart = cluster === "" && identity.joins === undefined;
    const step = mayStart && addresses.length === 0
      ? { kind: "bootstrap" } as const
      : await joinCluster({ addresses, self: { id, address }, tls, log });
    if (step.kind === "join" && (cluster === "" || step.found.cluster === cluster)) {
      if (cluster === "") writeIdentity(data.identity, { ...identity, cluster: step.found.cluster, joins: addresses });
      tell(step.found);
    } else if (step.kind === "bootstrap" && mayStart) {
      writeIdentity(data.identity, { ...identity, cluster: newId(systemRandom, 12), bootstrap: true });
      return "bootstrap";
    }
    for (let waitedMs = 0; waitedMs < lookAgainMs && !joined(); waitedMs += 100) await new Promise((resolve) => setTimeout(resolve, 100));
    if (joined()) return "joined";
  }
}

/** The cluster does not take this node: it belongs to none, as before. What it has said there, it has said as somebody else. */
export function leaveUnjoined(data: DataDir): void {
  const { joins, memory: _memory, ...identity } = readIdentity(data.identity)!;
  writeIdentity(data.identity, { ...identity, id: newId(systemRandom), cluster: "", ...(identity.gaveUp && joins && { joins }) });
}

/** Whether a table is that of a cluster of one node that holds nothing of value. */
export function isEmptyCluster(table: { readonly [key: string]: Data }, node: string): boolean {
  return Object.entries(table).every(([key, value]) => {
    if (key === "version" || key === "lineage" || key === `node:${node}` || key.startsWith("gone")) return true;
    return key.startsWith("node:") && (value as NodeRegistration).left;
  });
}

/** From the next start on this node belongs to no cluster and asks at `address` for one. */
export function giveUpCluster(data: DataDir, address: string): void {
  const { memory: _memory, ...identity } = readIdentity(data.identity)!;
  writeIdentity(data.identity, { ...identity, cluster: "", bootstrap: false, gaveUp: true, joins: [address] });
}

/** A node without a cluster has no past: remove what one that it gave up has left. */
export async function forgetCluster(data: DataDir): Promise<void> {
  const left = findByArguments((argv) => armorRoles.includes(argv[argv.indexOf("--role") + 1] ?? "") && argv[argv.indexOf("--data-dir") + 1] === data.path);
  await Promise.all(left.map((pid) => {
    const found = identify(pid);
    return found && killAndConfirm(found, "SIGKILL", killWithinMs);
  }));
  const armors = join(data.path, "armors");
  for (const name of existsSync(armors) ? readdirSync(armors) : []) rmSync(join(armors, name), { recursive: true, force: true });
  rmSync(data.events.replace(/\.cborseq$/, ".jsonl"), { force: true });
}
