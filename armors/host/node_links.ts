/**
 * A daemon's side towards other nodes: the links it opens and takes, how its node
 * comes into a cluster, and when it gives up its own.
 *
 * @module
 */
import type { Data, DataRecord } from "../../core/data.ts";
import type { Frame } from "../../core/frame.ts";
import { timing } from "../../core/limits.ts";
import type { Microkernel } from "../../core/microkernel.ts";
import type { FrameLink, LinkHandlers } from "../../transports/frame_link.ts";
import type { LinkPeer, LinkRefusal } from "../../transports/http2_server.ts";
import { version } from "../version.ts";
import type { ClusterDocument } from "../join_search.ts";
import { againStatus } from "./daemon_end.ts";
import type { DaemonMachine } from "./daemon_machine.ts";
import { enterCluster, giveUpCluster, isEmptyCluster, leaveUnjoined } from "./enter_cluster.ts";
import { lookAround } from "./look_around.ts";
import { NodeLooks } from "./node_looks.ts";
import { nodesOf } from "./node_memory.ts";
import { greetingHeaders, PeerAdmission, type PeerGreeting } from "./peer_admission.ts";
import { Peers } from "./peers.ts";
import { guardAnswers, type ProbeMeans } from "./probe_node.ts";
import { RefusalNotes } from "./refusal_notes.ts";

/** What the links need of their daemon. */
export interface NodeLinkOptions {
  readonly machine: DaemonMachine;
  readonly kernel: Microkernel;
  /** Under which others reach this node. */
  readonly address: string;
  /** `--join`. */
  readonly joins: readonly string[];
  readonly probe: ProbeMeans;
  readonly onFrame: (frame: Frame, bytes: Uint8Array, node: string) => void;
  /** The way to some node is there. */
  readonly onOpen: (node: string) => void;
  /** Start a local thread in the daemon. */
  readonly local: (op: string, payload: DataRecord) => void;
  /** From here on nothing is acknowledged, and all armors of this node end. */
  readonly endAll: () => Promise<void>;
  readonly leave: (status: number) => void;
  /** It makes no sense to start this daemon again. */
  readonly hopeless: (text: string) => void;
}

/** One daemon's. */
export class NodeLinks {
  readonly peers: Peers;
  /** Nodes that may be silent. */
  readonly looks: NodeLooks;
  readonly #id: string;
  readonly #notes: RefusalNotes;
  readonly #admission: PeerAdmission;

  constructor(readonly options: NodeLinkOptions) {
    const { machine, local, probe } = options;
    const { clock, identity } = machine;
    const { id, name } = identity.now;
    this.#id = id;
    this.#notes = new RefusalNotes(clock);
    this.peers = this.#openPeers();
    this.looks = new NodeLooks({
      clock,
      peers: this.peers,
      guardAnswers: (question) => guardAnswers(question, probe),
      looked: (node, answered) => local("node.looked", { node, answered }),
    });
    this.#admission = new PeerAdmission({
      node: id,
      name,
      cluster: () => identity.now.cluster,
      addressOf: (node) => this.peers.address(node),
      answers: (node, address, except) => guardAnswers({ node, address, withinMs: timing.nodeConfirmMs, except }, probe),
      giveWay: (greeting) => this.#giveWay(greeting),
      refused: (node, cause) => {
        if (this.#notes.isNews(`${node} ${cause}`)) local("peer.refused", { subject: node, cause });
      },
      clock,
    });
  }

  /** Take a link that another daemon opens, or decline it. */
  take(link: FrameLink, { headers, peerName }: LinkPeer): LinkHandlers | LinkRefusal {
    return this.#admission.judge(headers, peerName) ?? this.peers.accept(String(headers["armor-node"]), link);
  }

  /**
   * There is a certificate: join a cluster unless this node belongs to one, and hold on to its nodes.
   *
   * @throws {ArmorError} `"refused"` by one that was asked.
   */
  async begin(): Promise<void> {
    const { machine, kernel, joins, address, local } = this.options;
    if (!this.isJoined) await this.#enter();
    this.peers.reach();
    void lookAround({
      machine,
      self: this.#id,
      peers: this.peers,
      addresses: joins.filter((one) => one !== address),
      cluster: () => machine.identity.now.cluster,
      others: () => nodesOf(kernel).filter((node) => node.id !== this.#id),
      sighted: (node, at) => local("node.sighted", { id: node, address: at }),
    });
  }

  /** Command `routes.nodes`. */
  setAddresses(nodes: { readonly [node: string]: string }): void {
    for (const [node, at] of Object.entries(nodes)) if (node !== this.#id) this.peers.setAddress(node, at);
  }

  /** The FTM of a cluster has taken this node in. */
  get isJoined(): boolean {
    return this.options.machine.identity.now.bootstrap || (this.options.kernel.state("membership") as { joined: boolean }).joined;
  }

  /** `GET /v1/cluster`. */
  cluster(): ClusterDocument {
    const { kernel, machine, address } = this.options;
    const { ftm } = kernel.state("epoch_promise") as { ftm: ClusterDocument["ftm"] };
    const at = ftm && (ftm.node === this.#id ? address : this.peers.address(ftm.node));
    return { version, node: this.#id, cluster: machine.identity.now.cluster, ftm, address: at ?? "" };
  }

  /** Command `membership.refused`: the cluster does not take this node. */
  refused(text: string): void {
    const { machine, hopeless } = this.options;
    if (!this.isJoined) leaveUnjoined(machine.identity, machine.random);
    hopeless(text);
  }

  #openPeers(): Peers {
    const { machine, kernel, address, onFrame, onOpen, local, hopeless } = this.options;
    return new Peers({
      connect: (at, handlers, target) => {
        const nodes = nodesOf(kernel).filter(({ left }) => !left).length;
        const headers = greetingHeaders({ cluster: machine.identity.now.cluster, node: this.#id, address, nodes, target });
        return machine.connect(at, headers, handlers);
      },
      clock: machine.clock,
      node: this.#id,
      onFrame,
      onOpen: (node) => {
        local("node.looked", { node, answered: true });
        onOpen(node);
      },
      onClosed: (node, reason, error, wasOpen) => {
        if (error?.code === "expelled") return hopeless(error.message);
        const refusal = reason === "refused" && `node ${node} refuses this one: ${error?.message}`;
        if (refusal && this.#notes.isNews(refusal)) machine.log(refusal);
        if (!wasOpen) return;
        this.looks.begin(node);
        local("link.closed", { node });
      },
    });
  }

  async #enter(): Promise<void> {
    const { machine, address, joins, local, leave } = this.options;
    const tell = (found: ClusterDocument): void => {
      machine.configuration.forget();
      local("membership.join", { ftm: found.ftm as unknown as Data, address: found.address });
    };
    const entered = await enterCluster({ address, joins, machine, joined: () => this.isJoined, tell });
    if (entered !== "joined") leave(againStatus);
  }

  /** From here on nothing is acknowledged any more, so that nothing is lost with the cluster. */
  #giveWay({ node, nodes, cluster, address }: PeerGreeting): boolean {
    const { machine, kernel, endAll, leave } = this.options;
    const { identity } = machine;
    const table = kernel.state("table_replica") as DataRecord;
    if (!identity.now.bootstrap || nodes < 2 || machine.configuration.applications() || !isEmptyCluster(table, this.#id)) return false;
    machine.log(`cluster ${identity.now.cluster} of this node alone is given up: node ${node} of cluster ${cluster} knows this address`);
    identity.forget();
    void endAll().then(() => {
      giveUpCluster(identity, address);
      leave(againStatus);
    });
    return true;
  }
}
