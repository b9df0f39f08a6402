/**
 * What the API of a daemon answers: itself, or by asking the node that knows.
 *
 * @module
 */
import { ArmorError } from "../../core/errors.ts";
import type { DataRecord } from "../../core/data.ts";
import { parseAddress } from "../../transports/address.ts";
import { request } from "../../transports/http2_client.ts";
import type { TlsIdentity } from "../../transports/tls_identity.ts";
import { findArmor } from "../elements/armor_names.ts";
import type { FaultOrder } from "../fault_order.ts";
import type { ApiOptions, LogPlace } from "./api.ts";
import type { Daemon } from "./daemon.ts";
import type { DataDir } from "./data_dir.ts";
import { collectDeadLetters, type CollectionOptions, type DeadLetterDocument } from "./dead_letter_collection.ts";
import type { EventStore } from "./event_store.ts";
import type { Injection } from "./injection.ts";

/** What it takes from. */
export interface DaemonApiMeans {
  readonly daemon: Daemon;
  readonly data: DataDir;
  readonly events: EventStore;
  /** `undefined` while there is no certificate. */
  readonly tls: () => TlsIdentity | undefined;
  /** Absent: this node takes no injected faults. */
  readonly injection: Injection | undefined;
}

const letterWithinMs = 2_000;

/** The daemon's answers. */
export function daemonApi({ daemon, data, events, tls, injection }: DaemonApiMeans): ApiOptions {
  const { node, kernel, links } = daemon;
  const view = (): { nodes: { id: string; name: string; state: string }[] } | null =>
    (kernel.volatile("gateway") as { view: { nodes: { id: string; name: string; state: string }[] } | null }).view;

  /** @throws {ArmorError} `"refused"` with this text if the way is not known. */
  const wayTo = (id: string, text: string): { address: ReturnType<typeof parseAddress>; tls: TlsIdentity } => {
    const at = links.peers.address(id);
    const identity = tls();
    if (!at || !identity) throw new ArmorError("refused", text);
    return { address: parseAddress(at), tls: identity };
  };

  const findLog = (application: string, instance: string | undefined): LogPlace => {
    const document = daemon.status() as {
      applications: { name: string; instances: { id: string; node: string | null }[] }[];
      nodes: { id: string; name: string }[];
    };
    const known = document.applications.find((one) => one.name === application);
    if (!known) throw new ArmorError("refused", `there is no application "${application}"`);
    const chosen = instance === undefined ? known.instances[0] : known.instances.find((one) => one.id === instance);
    if (!chosen) throw new ArmorError("refused", `application "${application}" has no instance "${instance}"`);
    const at = document.nodes.find((one) => one.name === chosen.node)?.id ?? node.id;
    return at === node.id ? { kind: "local", path: data.log(application, chosen.id) } : { kind: "remote", node: at };
  };

  /** The other nodes, to be asked for what only they have. */
  const otherNodes = (of: string | undefined): CollectionOptions["others"] => {
    const others = (view()?.nodes ?? []).filter((one) => one.id !== node.id && one.state !== "left");
    const path = `/v1/dead-letters?here=1${of === undefined ? "" : `&armor=${encodeURIComponent(of)}`}`;
    return others.map((one) => ({ name: one.name, ask: () => askForLetters(one.id, path) }));
  };

  const askForLetters = async (id: string, path: string): Promise<DeadLetterDocument> => {
    const response = await request({ ...wayTo(id, "the node cannot be reached"), method: "GET", path, timeoutMs: letterWithinMs });
    if (response.status !== 200) throw new ArmorError("refused", "the node has no answer");
    return await response.json() as DeadLetterDocument;
  };

  const injectElsewhere = async (order: FaultOrder): Promise<string> => {
    const way = wayTo(order.node, `node "${order.node}" cannot be reached`);
    const response = await request({ ...way, method: "POST", path: "/v1/faults", json: order });
    const answer = (await response.json()) as { text?: string; code?: string; error?: string };
    if (response.status !== 200) throw new ArmorError(answer.code === "usage" || answer.code === "absent" ? answer.code : "refused", answer.error ?? "it was refused there");
    return answer.text ?? "";
  };

  return {
    status: () => daemon.status(),
    cluster: () => links.cluster(),
    events,
    operate: (operation, args) => daemon.operate(operation, args),
    log: findLog,
    deadLetters: (named, everywhere) => {
      const of = named === undefined ? undefined : findArmor(named, kernel.state("table_replica") as DataRecord) ?? named;
      return collectDeadLetters({ data, node: node.name, others: everywhere ? otherNodes(of) : [] }, of);
    },
    proxyLog: async (id, path, signal) => {
      const response = await request({ ...wayTo(id, "the node that holds the log cannot be reached"), method: "GET", path, signal });
      if (response.status !== 200) throw new ArmorError("refused", ((await response.json()) as { error?: string }).error ?? "no log");
      return response.stream;
    },
    inject: async (order) => {
      if (order.node !== node.id) return await injectElsewhere(order);
      if (!injection) throw new ArmorError("refused", `node "${node.name}" takes no injected faults: start its daemon with --allow-injection`);
      return await injection.perform(order);
    },
  };
}
