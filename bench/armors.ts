/**
 * Every process of Armor killed, and stopped, on three nodes: until another
 * node's daemon says that its successor runs. The application must not notice.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { StatusDocument } from "../cli/status_document.ts";
import { isLiving } from "../tests/e2e/processes.ts";
import { type Cluster, type Measurement, type Node, NodeSession, note, pause, type Row, type Served, serve, timeUntil, traffic, withCluster } from "./harness.ts";

const roles = ["execution", "heartbeat", "ftm", "daemon", "guard"] as const;
type MeasuredRole = (typeof roles)[number];
type Blow = "SIGKILL" | "SIGSTOP";

const crashRounds = 3;
const hangRounds = 1;

export const measure: Measurement = () =>
  withCluster({ nodes: 3 }, async (cluster) => {
    const sessions = new Map(cluster.nodes.map((node) => [node.name, new NodeSession(node.dataDir)]));
    const applications = await serve(cluster, cluster.nodes[0]!, 3);
    const rows: Row[] = [];
    try {
      for (const signal of ["SIGKILL", "SIGSTOP"] as const) {
        const found = await series(cluster, sessions, applications, signal, signal === "SIGKILL" ? crashRounds : hangRounds);
        rows.push(...roles.map((role) => row(role, signal, found.get(role)!)));
      }
    } finally {
      for (const session of sessions.values()) session.close();
    }
    return rows;
  });

interface Found {
  readonly values: number[];
  sent: number;
  answered: number;
  /** A stopped process lived beside its successor. */
  doubled: number;
  /** Applications that another process serves afterwards. */
  moved: number;
}

async function series(
  cluster: Cluster,
  sessions: ReadonlyMap<string, NodeSession>,
  applications: readonly Served[],
  signal: Blow,
  rounds: number,
): Promise<Map<MeasuredRole, Found>> {
  const found = new Map(roles.map((role) => [role, { values: [], sent: 0, answered: 0, doubled: 0, moved: 0 } as Found]));
  for (let round = 0; round < rounds; round++) {
    for (const role of roles) {
      note(`${role} ${signal}, round ${round + 1}`);
      // One of them there is in the cluster: hit it as often as the others.
      for (const [index, place] of cluster.nodes.entries()) {
        await cluster.settled();
        await pause(300);
        const node = role === "ftm" || role === "heartbeat" ? await holder(cluster, role) : place;
        const one = found.get(role)!;
        const running = applications.map(traffic);
        const old = await node.pid(role);
        one.values.push(await strike(cluster, sessions, node, role, old, signal));
        if (isLiving(old)) one.doubled += 1;
        for (const each of running) {
          const { sent, answered } = await each.end();
          one.sent += sent;
          one.answered += answered;
        }
        if (index === cluster.nodes.length - 1 && (role === "daemon" || role === "guard")) await pause(1_000);
      }
    }
    // A daemon that dies often comes back later and later; 10 s reset that.
    await pause(5_000);
  }
  return found;
}

async function holder(cluster: Cluster, role: "ftm" | "heartbeat"): Promise<Node> {
  const status = await cluster.nodes[0]!.status();
  return cluster.node(status[role]!.node);
}

async function strike(
  cluster: Cluster,
  sessions: ReadonlyMap<string, NodeSession>,
  node: Node,
  role: MeasuredRole,
  old: number,
  signal: Blow,
): Promise<number> {
  // Another node's daemon: what it says it has from the FTM.
  const witness = sessions.get(cluster.nodes.find(({ name }) => name !== node.name)!.name)!;
  const blow = (): void => void process.kill(old, signal);
  if (role === "guard") return await timeUntil(witness, blow, () => guardServes(node, old));
  const before = (await witness.status())!;
  return await timeUntil(witness, blow, (status) => registered(status, before, node.name, role, old));
}

function registered(status: StatusDocument, before: StatusDocument, node: string, role: MeasuredRole, old: number): boolean {
  if (status.stale) return false;
  if (role === "ftm") return status.ftm?.state === "running" && status.ftm.pid !== old && (status.epoch?.number ?? 0) > before.epoch!.number;
  const armor = status.armors?.find((one) => one.role === role && (role === "heartbeat" || one.node === node));
  return armor?.state === "running" && armor.pid !== null && armor.pid !== old;
}

/** It is in nobody's list: the lock is another's, and that process has bound the node's port. */
function guardServes(node: Node, old: number): boolean {
  const holder = Number(readFileSync(join(node.dataDir, "guard.lock"), "utf8"));
  if (!(holder > 0) || holder === old || !isLiving(holder)) return false;
  const port = Number(node.address.split(":")[1]).toString(16).toUpperCase().padStart(4, "0");
  return readFileSync("/proc/net/udp", "latin1").includes(`:${port} `);
}

function row(role: MeasuredRole, signal: Blow, found: Found): Row {
  const { values, sent, answered, doubled } = found;
  const name = role === "ftm" ? "FTM" : role === "daemon" || role === "guard" ? role : `${role} armor`;
  const crash = signal === "SIGKILL";
  return {
    what: crash ? `${name} killed -9 → registered again` : `${name} SIGSTOPped → recovered`,
    method: role === "guard"
      ? "three nodes on loopback; the lock is another process's and the node's UDP port is bound"
      : "three nodes on loopback; another node's daemon is asked every 2 ms over one connection until it shows the successor running",
    target: crash ? { text: "≤ 400 ms median", max: 400, of: "median" } : { text: "≤ 2 s", max: 2_000, of: "max" },
    unit: "ms",
    values,
    holds: {
      text: `applications answered ${answered} of ${sent} requests by the same processes${crash ? "" : `; ${doubled} times both lived`}`,
      ok: answered === sent && doubled === 0,
    },
  };
}
