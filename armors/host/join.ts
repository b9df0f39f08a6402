/**
 * Joining a cluster: ask the named daemons which cluster they belong to and
 * where its FTM is, until one has one, or this node is the one to start it.
 * Silent peers are asked again; one that refuses ends the attempt.
 *
 * @module
 */
import { ArmorError } from "../../core/errors.ts";
import { parseAddress } from "../../transports/address.ts";
import { request } from "../../transports/http2_client.ts";
import type { TlsIdentity } from "../../transports/tls_identity.ts";
import { type ClusterDocument, JoinSearch, type JoinStep } from "../join_search.ts";
import { version } from "../version.ts";
import type { DaemonMachine } from "./daemon_machine.ts";

/** What a search needs. */
export interface JoinOptions {
  readonly addresses: readonly string[];
  /** This node, which may be in the list. */
  readonly self: { readonly id: string; readonly address: string };
  readonly machine: DaemonMachine;
}

const againMs = 500;
const connectWithinMs = 1_000;
const answerWithinMs = 1_500;
/** Somebody may wonder why nothing happens. */
const sayEveryMs = 30_000;

/**
 * Ask until there is something to do.
 *
 * @throws {ArmorError} `"refused"`: another secret or another version.
 */
export async function joinCluster({ addresses, self, machine }: JoinOptions): Promise<Exclude<JoinStep, { kind: "wait" }>> {
  const { clock } = machine;
  const search = new JoinSearch(addresses, self, clock.nowMs());
  for (let saidMs = clock.nowMs();;) {
    const step = search.answered(await askAll(addresses, machine), clock.nowMs());
    if (step.kind !== "wait") return step;
    if (clock.nowMs() - saidMs >= sayEveryMs) {
      saidMs = clock.nowMs();
      machine.log(`waiting: none of ${addresses.join(", ")} has a cluster yet; the first of them starts one`);
    }
    await machine.pause(againMs);
  }
}

/** A refusal counts only if nobody takes us. */
async function askAll(addresses: readonly string[], machine: DaemonMachine): Promise<(ClusterDocument | undefined)[]> {
  const answers = await Promise.allSettled(addresses.map((address) => machine.ask(address)));
  const found = answers.map((answer) => (answer.status === "fulfilled" ? answer.value : undefined));
  const failed = answers.find((answer) => answer.status === "rejected");
  if (failed && !found.some((answer) => answer?.ftm)) throw failed.reason;
  return found;
}

/**
 * Ask one daemon.
 *
 * @returns `undefined` when it is silent.
 * @throws {ArmorError} `"refused"`.
 */
export async function askCluster(address: string, tls: TlsIdentity): Promise<ClusterDocument | undefined> {
  try {
    const to = { address: parseAddress(address), tls, connectTimeoutMs: connectWithinMs };
    const response = await request({ ...to, method: "GET", path: "/v1/cluster", timeoutMs: answerWithinMs });
    if (response.status !== 200) return void response.close();
    return checkVersion(await response.json() as ClusterDocument, address);
  } catch (error) {
    if (!(error instanceof ArmorError)) throw error;
    if (error.code === "wrong_secret") throw new ArmorError("refused", `cannot join ${address}: it has another cluster secret`);
    if (error.code === "refused") throw error;
    return undefined;
  }
}

/** @throws {ArmorError} `"refused"`. */
export function checkVersion(found: ClusterDocument, address: string): ClusterDocument {
  if (found.version === version) return found;
  throw new ArmorError("refused", `cannot join ${address}: it runs version ${found.version}, this is ${version}`);
}
