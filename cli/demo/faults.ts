/**
 * What the demonstration breaks, and how each recovery is recognised from
 * outside: by the application's answers, and by what a daemon's status says.
 *
 * @module
 */
import process from "node:process";
import type { StatusDocument } from "../status_document.ts";
import type { ApplicationAnswer } from "./application.ts";
import type { Cluster, ClusterNode } from "./cluster.ts";
import { killNode } from "./node_processes.ts";
import type { EventDocument } from "./node_session.ts";
import { getJson, until } from "./probe.ts";

/** Name under which the application is submitted. */
export const applicationName = "web";

/** The application is asked at least this often while it is away. */
const probePauseMs = 2;
/** A daemon is asked this often for an armor's return. */
const statusPauseMs = 5;
const recoverWithinMs = 8_000;

/** How things are before a fault. */
export interface Scene {
  readonly cluster: Cluster;
  /** Nodes that live. */
  readonly nodes: readonly ClusterNode[];
  readonly status: StatusDocument;
  readonly answer: ApplicationAnswer;
}

/** A fault that is about to be injected. */
export interface Fault {
  /** Name of the node it happens on. */
  readonly node: string;
  /** What is hit, in words, and how. */
  readonly target: string;
  /** What a person would type. */
  readonly command: string;
  inject(): void;
  /** Whether an event is the detection of this fault. */
  detects(event: EventDocument): boolean;
  /** Resolves when the fault is repaired: in words, and when; `undefined` if it is not in time. */
  recovery(): Promise<{ readonly value: string; readonly atMs: number } | undefined>;
  /** The application has to answer all the time. */
  readonly leavesApplication: boolean;
}

/** Faults in the order in which they are shown; each is made from the scene it finds. */
export const faults: readonly { readonly name: string; at(scene: Scene): Fault }[] = [
  { name: "application crash", at: (scene) => applicationFault(scene, "SIGKILL") },
  { name: "application hang", at: (scene) => applicationFault(scene, "SIGSTOP") },
  { name: "execution-armor crash", at: executionCrash },
  { name: "FTM crash", at: (scene) => ftmFault(scene, "SIGKILL") },
  { name: "FTM hang", at: (scene) => ftmFault(scene, "SIGSTOP") },
  { name: "node loss", at: nodeLoss },
];

type Blow = "SIGKILL" | "SIGSTOP";
const flag = (signal: Blow): string => (signal === "SIGKILL" ? "-9" : "-STOP");

/** Wait for an answer of another process than `before`. */
const otherAnswers = ({ cluster }: Scene, before: number) =>
  until(async () => {
    const answer = await askApplication(cluster);
    return answer !== undefined && answer.pid !== before ? answer : undefined;
  }, { withinMs: recoverWithinMs, pauseMs: probePauseMs });

/** Ask the application once. */
export async function askApplication({ applicationPort: port }: Cluster): Promise<ApplicationAnswer | undefined> {
  // A stopped program takes the connection and says nothing: when it is killed, the connection ends.
  return (await getJson({ host: "127.0.0.1", port }, recoverWithinMs)) as ApplicationAnswer | undefined;
}

function applicationFault(scene: Scene, signal: Blow): Fault {
  const { pid, node, instance } = scene.answer;
  const crash = signal === "SIGKILL";
  return {
    node,
    target: `${applicationName} on ${node}`,
    command: `kill ${flag(signal)} ${pid}`,
    inject: () => process.kill(pid, signal),
    detects: ({ kind, subject }) => kind === (crash ? "application.exited" : "application.hung") && subject === instance,
    recovery: async () => {
      const found = await otherAnswers(scene, pid);
      return found && { ...found, value: `answers again on ${found.value.node}` };
    },
    leavesApplication: false,
  };
}

function executionCrash(scene: Scene): Fault {
  const { node } = scene.answer;
  const armor = scene.status.armors!.find((one) => one.role === "execution" && one.node === node)!;
  const { session } = nodeNamed(scene, node);
  const back = async (): Promise<string | undefined> => {
    const now = (await session.status())?.armors?.find(({ id }) => id === armor.id);
    return now?.state === "running" && now.pid !== null && now.pid !== armor.pid ? "reinstalled; adopted the application" : undefined;
  };
  return {
    node,
    target: `execution armor of ${node}`,
    command: `kill ${flag("SIGKILL")} ${armor.pid}`,
    inject: () => process.kill(armor.pid!, "SIGKILL"),
    detects: ({ kind, subject }) => kind === "armor.crashed" && subject === armor.id,
    recovery: () => until(back, { withinMs: recoverWithinMs, pauseMs: statusPauseMs }),
    leavesApplication: true,
  };
}

function ftmFault(scene: Scene, signal: Blow): Fault {
  const crash = signal === "SIGKILL";
  const { node, pid } = scene.status.ftm!;
  const epoch = scene.status.epoch!.number;
  // Another node's daemon: what it says of the new FTM it has from the new FTM.
  const { session } = scene.nodes.find(({ name }) => name !== node)!;
  const back = async (): Promise<string | undefined> => {
    const now = await session.status();
    const serves = now?.stale === false && now.ftm?.state === "running" && now.ftm.pid !== pid && (now.epoch?.number ?? 0) > epoch;
    return serves ? `new FTM on ${now.ftm!.node}, epoch ${now.epoch!.number}` : undefined;
  };
  return {
    node,
    target: `FTM on ${node}`,
    command: `kill ${flag(signal)} ${pid}`,
    inject: () => process.kill(pid!, signal),
    detects: ({ kind, subject, cause }) =>
      subject === "ftm" && (kind === (crash ? "armor.crashed" : "armor.hung") || (kind === "ftm.takeover" && cause === "silent")),
    recovery: () => until(back, { withinMs: recoverWithinMs, pauseMs: statusPauseMs }),
    leavesApplication: true,
  };
}

function nodeLoss(scene: Scene): Fault {
  const { pid, node } = scene.answer;
  const lost = nodeNamed(scene, node);
  const withFtm = scene.status.ftm?.node === node;
  return {
    node,
    target: `everything on ${node}`,
    command: `kill -9 of every process of ${node}, ${applicationName} included`,
    inject: () => void killNode(lost.folder),
    detects: ({ kind, subject }) => (kind === "node.failed" && subject === node) || (withFtm && kind === "ftm.takeover"),
    recovery: async () => {
      const found = await otherAnswers(scene, pid);
      return found && { ...found, value: `answers again on ${found.value.node}` };
    },
    leavesApplication: false,
  };
}

function nodeNamed({ cluster }: Scene, name: string): ClusterNode {
  return cluster.nodes.find((node) => node.name === name)!;
}
