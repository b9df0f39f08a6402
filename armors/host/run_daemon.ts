/**
 * Run the daemon of a node: its microkernel, the links of local armors, the
 * links to other nodes, the operator's API.
 *
 * @module
 */
import process from "node:process";
import { decode, encode } from "../../core/codec.ts";
import type { Data, DataRecord } from "../../core/data.ts";
import type { HostCommand } from "../../core/effects.ts";
import { ArmorError } from "../../core/errors.ts";
import type { Generation } from "../../core/generation.ts";
import { timing } from "../../core/limits.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { parseAddress } from "../../transports/address.ts";
import type { FrameLink, LinkHandlers } from "../../transports/frame_link.ts";
import { heartbeatKey } from "../../transports/heartbeat_datagram.ts";
import { connectLink, request } from "../../transports/http2_client.ts";
import { type LinkPeer, type LinkRefusal, type RunningHttp2Server, startHttp2Server } from "../../transports/http2_server.ts";
import { readSecretFile } from "../../transports/secret.ts";
import type { TlsIdentity } from "../../transports/tls_identity.ts";
import { daemonArmor } from "../daemon_armor.ts";
import type { ElementSet } from "../elements/element_source.ts";
import { findArmor } from "../elements/armor_names.ts";
import type { ClusterDocument } from "../join_search.ts";
import type { OperationAnswer } from "../elements/operator.ts";
import type { FaultOrder } from "../fault_order.ts";
import type { RoleOptions } from "./role_flags.ts";
import { type ArmorReport, daemonOf, elementsKey, type NodeRegistration } from "../shapes.ts";
import { version } from "../version.ts";
import { createApi, type LogPlace } from "./api.ts";
import { ArmorHost } from "./armor_host.ts";
import { ArmorProcesses, armorSystem } from "./armor_processes.ts";
import { Ballast } from "./ballast.ts";
import { openCheckpointFiles } from "./checkpoint_file.ts";
import { againStatus, hopelessStatus, writeDaemonEnd } from "./daemon_end.ts";
import { dataDir } from "./data_dir.ts";
import { collectDeadLetters, type CollectionOptions, type DeadLetterDocument } from "./dead_letter_collection.ts";
import { DeadLetterFile, deadLetterPath } from "./dead_letters.ts";
import { ElementLoader, hashOf } from "./element_loader.ts";
import { enterCluster, forgetCluster, giveUpCluster, isEmptyCluster, leaveUnjoined } from "./enter_cluster.ts";
import { EventStore, type StoredEvent } from "./event_store.ts";
import { guardSystem, GuardWatch } from "./guard_watch.ts";
import { handFile, handPath, HandRecord } from "./hand_record.ts";
import { type Heartbeats, openHeartbeats } from "./heartbeats.ts";
import { readIdentity, unjoined, writeIdentity } from "./identity.ts";
import { forgetConfiguration, storedApplications } from "./initial_configuration.ts";
import { askCluster } from "./join.ts";
import type { LinkUp, LocalFrame, Refused, Register, Registered } from "./local_link.ts";
import { tryLock } from "./lock_file.ts";
import { nodeFlags } from "./node_flags.ts";
import { greetingHeaders, inUse, PeerAdmission, type PeerGreeting } from "./peer_admission.ts";
import { connectWithinMs, Peers, type PeersOptions } from "./peers.ts";
import { type NodeMemory, recall, rememberingStore } from "./node_memory.ts";
import { guardAnswers, probeNode } from "./probe_node.ts";
import { RefusalNotes } from "./refusal_notes.ts";
import { identify } from "./process_table.ts";
import { Router } from "./router.ts";
import { openRunDir } from "./run_dir.ts";
import { statusDocument } from "./status.ts";
import { bootId, nowMs, systemClock } from "./system_clock.ts";
import { systemRandom } from "./system_random.ts";

const lockWithinMs = 2_000;
/** Operations that are refused while the disk is full. */
const takesRoom: readonly string[] = ["application.submit", "own.install", "elements.change"];
const lookAroundMs = 2_000;

/** The daemon proper; started by the guard. Resolves to an exit status when it is to end. */
export async function runDaemon(options: RoleOptions): Promise<number> {
  const data = dataDir(options.dataDir);
  const log = (text: string): void => void process.stderr.write(`${new Date().toISOString()} ${text}\n`);
  let identity = readIdentity(data.identity);
  if (!identity || !options.secretFile || !options.listen) throw new ArmorError("usage", "the daemon proper is started by its guard: use --role daemon");
  for (const until = nowMs() + lockWithinMs; !tryLock(data.daemonLock);) {
    if (nowMs() > until) throw new ArmorError("locked", `Cannot start: another daemon runs on ${JSON.stringify(options.dataDir)}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const secret = readSecretFile(options.secretFile);
  const run = openRunDir(data);
  const { id, name } = identity;
  const armor = daemonOf(id);
  const address = options.advertise ?? options.listen;
  const listen = parseAddress(options.listen);
  let tls: TlsIdentity | undefined;
  let heartbeats: Heartbeats | undefined;
  let leave: ((status: number) => void) | undefined;
  const ended = new Promise<number>((resolve) => (leave = resolve));

  if (identity.cluster === "") await forgetCluster(data);

  // The microkernel and its state.
  const hand = new HandRecord(handFile(handPath(data, armor)), false);
  const life = hand.begin(options.ended === "own");
  process.on("exit", (status) => hand.end(status));
  if (life === "careful") log(`the daemon is careful: its last lives ended early; it died under ${JSON.stringify(hand.suspects)}`);
  hand.hold({ kind: "restore", id: "", op: "" });
  const ballast = new Ballast(data.ballast);
  /** The node gives its cluster up: what it knows of that must not come into the next one. */
  let forgets = false;
  const remember = (memory: NodeMemory): void => {
    if (forgets) return;
    const next = identity = { ...identity!, memory };
    ballast.relieve(() => writeIdentity(data.identity, next));
  };
  const store = rememberingStore(openCheckpointFiles(data.armor(armor), armor, "disk", ballast), () => kernel, identity.memory, remember);
  const restored = store.restore();
  const { memory } = identity;
  const { complete, damage, generation } = recall(restored, memory, { epoch: 0, node: id, counter: 0 });
  // Before anything is sent under it: the next loss counts from here.
  if (!complete && memory) remember({ ...memory, generation });
  const loader = new ElementLoader();
  const builtIn = daemonArmor({
    id,
    name,
    address,
    boot: bootId(),
    bootstrap: identity.bootstrap,
    allowElements: options.allowElements,
    supply: { library: loader.library },
  });
  const kernel: Microkernel = new Microkernel({
    armor,
    generation,
    elements: await loader.compose(builtIn, restored),
    random: systemRandom,
    eventSink: armor,
    diagnose: ({ op, element, code, error }) => log(`${op} at ${element || "no element"}: ${code}: ${error instanceof Error ? error.stack : String(error)}`),
    ...(restored.snapshot && { restored: { snapshot: restored.snapshot, records: restored.records } }),
  });
  // After damage the log goes on only behind a new snapshot.
  if (!complete) kernel.needsSnapshot = true;
  const self: ArmorReport = {
    armor,
    role: "daemon",
    pid: process.pid,
    state: "running",
    incarnation: { placement: 0, restart: Number(options.incarnation ?? 0) },
    generation: kernel.generation,
    get elements() {
      return kernel.describe();
    },
  };

  // Where faults may be injected; without the flag there is no such place.
  const injecting = options.allowInjection ? await import("./injection.ts") : undefined;
  const seams = injecting?.openSeams(data, armor, log, () => kernel);
  const clock = seams?.clock() ?? systemClock;

  // A data dir at a new address: it was moved, unless the node still answers at the old one.
  const means = { armor, key: heartbeatKey(secret, armor), listenHost: listen.host, cluster: identity.cluster || unjoined, seams };
  const registered = nodesOf(kernel).find((node) => node.id === id)?.address ?? address;
  if (registered !== address && await guardAnswers({ node: id, address: registered, withinMs: timing.nodeConfirmMs, except: address }, means)) {
    throw new ArmorError("refused", inUse(name, registered));
  }

  // Frames.
  const notes = new RefusalNotes(systemClock);
  const connect: PeersOptions["connect"] = (at, handlers, target) => {
    const nodes = nodesOf(kernel).filter(({ left }) => !left).length;
    const headers = greetingHeaders({ cluster: identity!.cluster, node: id, address, nodes, target });
    return tls && connectLink({ address: parseAddress(at), tls, headers, connectTimeoutMs: connectWithinMs, ...handlers });
  };
  const peers = new Peers({
    connect: seams?.connect(connect, connectWithinMs) ?? connect,
    clock: systemClock,
    node: id,
    onFrame: (frame, bytes, node) => router.fromPeer(frame, bytes, node),
    onOpen: () => {
      host.dispatch({ kind: "link-up" });
      router.toAll(encode({ type: "link-up" } satisfies LinkUp));
    },
    onClosed: (node, reason, error, wasOpen) => {
      if (error?.code === "expelled") return hopeless(error.message);
      const refusal = reason === "refused" && `node ${node} refuses this one: ${error?.message}`;
      if (refusal && notes.isNews(refusal)) log(refusal);
      if (wasOpen) host.local("link.closed", { node });
    },
  });
  const router = new Router(id, peers, (frame) => host.frame(frame));
  const processes = new ArmorProcesses(armorSystem(data, options.allowInjection ? ["--allow-injection"] : []), (op, payload) => host.local(op, payload), log);
  const injection = injecting && new injecting.Injection({ data, node: id, living: (of) => processes.living(of), log });
  const events = new EventStore(data.events.replace(/\.cborseq$/, ".jsonl"), log);
  const waiting = new Map<string, (answer: OperationAnswer) => void>();
  const keys = new Map<string, Uint8Array>();
  const keyOf = (of: string): Uint8Array => {
    let key = keys.get(of);
    if (!key) keys.set(of, key = heartbeatKey(secret, of));
    return key;
  };

  hand.release();
  const letters = new DeadLetterFile(deadLetterPath(data, armor), armor, log);
  const host = new ArmorHost(kernel, {
    store,
    durability: "disk",
    hand,
    careful: life === "careful",
    deadLetter: (args) => letters.add(args, new Date().toISOString()),
    send: (frame) => router.fromHere(frame),
    command: (command) => perform(command),
    work: async (kind, args) => {
      if (kind === "element.load") return await loader.work(args, options.allowElements, log);
      if (kind !== "node.probe") throw new Error(`no work of kind "${kind}"`);
      return await probeNode(args as DataRecord, { ...means, cluster: identity!.cluster, peers });
    },
    clock,
    reconfigured: () => queueMicrotask(() => host.local("armor.described", { armor, elements: kernel.describe() as Data })),
    log,
  });

  function perform({ kind, args }: HostCommand): void {
    switch (kind) {
      case "heartbeat.ask":
        return heartbeats?.ask(args);
      case "heartbeat.reply":
        return heartbeats?.reply(args);
      case "armor.spawn":
        return void processes.spawn(args);
      case "armor.end":
        return void processes.end(args);
      case "process.watch":
        return processes.watch(args);
      case "process.kill":
        return processes.kill(args);
      case "routes.nodes":
        for (const [node, at] of Object.entries(args["nodes"] as { [node: string]: string })) if (node !== id) peers.setAddress(node, at);
        return;
      case "routes.armors":
        for (const [of, node] of Object.entries(args["armors"] as { [armor: string]: string })) router.setNode(of, node);
        return;
      case "events.store":
        return events.add(args["events"] as unknown as StoredEvent[]);
      case "events.settle":
        return queueMicrotask(() => host.local("events.kept", args));
      case "operator.respond":
        return waiting.get(String(args["request"]))?.(args["body"] as unknown as OperationAnswer);
      case "membership.refused":
        if (!isJoined()) {
          forgets = true;
          leaveUnjoined(data);
        }
        return hopeless(String(args["text"]));
      case "membership.may-leave":
        return void handOver();
      case "membership.end":
        return void endNode(args["text"] as string | undefined);
      case "configuration.done":
        return forgetConfiguration(data);
      case "guard.hung":
        return void guard.hung();
    }
  }

  let full = false;
  /** Also makes the ballast whole, and tells of changes. */
  function isFull(): boolean {
    if (ballast.refill() === full) host.local("disk.changed", { full: full = !full, node: id });
    return full;
  }

  function hopeless(text: string): void {
    process.stderr.write(`armor: ${text}\n`);
    leave?.(hopelessStatus);
  }

  // Local armors, and the operator's API, over the Unix socket.
  const onLocalLink = (link: FrameLink): LinkHandlers => {
    let registered: string | undefined;
    return {
      onFrames: (frames) => {
        for (const bytes of frames) {
          const frame = decode(bytes) as LocalFrame;
          if (frame.type === "register") registered = register(link, frame);
          else if (registered !== undefined && frame.type === "described") host.local("armor.described", { armor: registered, elements: frame.elements });
          else if (registered !== undefined && "from" in frame && frame.from === registered) router.fromHere(frame, bytes);
        }
      },
      onClose: () => {
        if (registered !== undefined && router.detach(registered, link)) processes.hint(registered);
      },
    };
  };

  function register(link: FrameLink, { armor: of, role, process: identityOf, generation, elements }: Register): string | undefined {
    const living = processes.living(of);
    const known = of in (kernel.state("local_armors") as object);
    if ((living && living.pid !== identityOf.pid) || !known) {
      const why = living ? `is registered already (pid ${living.pid})` : "is not placed on this node: the fault-tolerance manager decides that";
      link.send(encode({ type: "refused", reason: `cannot start ${role}: armor "${of}" ${why}` } satisfies Refused));
      return undefined;
    }
    const kept = (kernel.state("local_armors") as { [armor: string]: { generation: Generation; begin: DataRecord | null } })[of];
    processes.adopt(of, identityOf);
    router.attach(of, link);
    const answer = {
      type: "registered" as const,
      key: keyOf(of),
      cluster: identity!.cluster,
      node: id,
      host: listen.host,
      generation: generation ?? kept?.generation ?? kernel.generation,
      begin: kept?.begin ?? null,
      given: ((kernel.state("table_replica") as DataRecord)[elementsKey(of)] ?? null) as ElementSet | null,
      allowElements: options.allowElements,
    } satisfies Registered;
    link.send(encode(answer));
    host.local("armor.registered", { armor: of, role, process: identityOf, generation: answer.generation, elements: elements as Data });
    host.dispatch({ kind: "link-up" });
    return of;
  }

  const api = createApi({
    status: () => statusDocument({ kernel, node: { id, name, address }, cluster: identity!.cluster, nowMs: clock.nowMs(), self }),
    cluster: () => clusterDocument(),
    events,
    operate: (operation, args) => {
      if (takesRoom.includes(operation) && isFull()) {
        const error = `the disk of node "${name}" is full (${data.path}): nothing new is taken before there is room`;
        return Promise.resolve({ ok: false, code: "refused", error } as const);
      }
      const asked = Buffer.from(systemRandom.bytes(12)).toString("hex");
      return new Promise((resolve) => {
        waiting.set(asked, (answer) => {
          waiting.delete(asked);
          resolve(answer);
        });
        // The hash is this daemon's own finding, whatever the client says.
        const source = args["source"];
        const checked = typeof source === "string" ? { ...args, hash: hashOf(source) } : args;
        host.local("operator.request", { request: asked, operation, args: checked });
      });
    },
    log: (application, instance) => findLog(application, instance),
    deadLetters: (named, everywhere) => {
      const of = named === undefined ? undefined : findArmor(named, kernel.state("table_replica") as { readonly [key: string]: Data }) ?? named;
      return collectDeadLetters({ data, node: name, others: everywhere ? otherNodes(of) : [] }, of);
    },
    proxyLog: async (node, path, signal) => {
      const at = peers.address(node);
      if (!at || !tls) throw new ArmorError("refused", "the node that holds the log cannot be reached");
      const response = await request({ address: parseAddress(at), tls, method: "GET", path, signal });
      if (response.status !== 200) throw new ArmorError("refused", ((await response.json()) as { error?: string }).error ?? "no log");
      return response.stream;
    },
    inject: async (order) => {
      if (order.node !== id) return await injectElsewhere(order);
      if (!injection) throw new ArmorError("refused", `node "${name}" takes no injected faults: start its daemon with --allow-injection`);
      return await injection.perform(order);
    },
  });

  async function injectElsewhere(order: FaultOrder): Promise<string> {
    const at = peers.address(order.node);
    if (!at || !tls) throw new ArmorError("refused", `node "${order.node}" cannot be reached`);
    const response = await request({ address: parseAddress(at), tls, method: "POST", path: "/v1/faults", json: order });
    const answer = (await response.json()) as { text?: string; code?: string; error?: string };
    if (response.status !== 200) throw new ArmorError(answer.code === "usage" ? "usage" : "refused", answer.error ?? "it was refused there");
    return answer.text ?? "";
  }

  /** The other nodes, to be asked for what only they have. */
  function otherNodes(of: string | undefined): CollectionOptions["others"] {
    const { view } = kernel.volatile("gateway") as { view: { nodes: { id: string; name: string; state: string }[] } | null };
    const others = (view?.nodes ?? []).filter((one) => one.id !== id && one.state !== "left");
    const path = `/v1/dead-letters?here=1${of === undefined ? "" : `&armor=${encodeURIComponent(of)}`}`;
    return others.map((one) => ({ name: one.name, ask: () => askPeer(one.id, path) }));
  }

  async function askPeer(node: string, path: string): Promise<DeadLetterDocument> {
    const at = peers.address(node);
    if (!at || !tls) throw new ArmorError("refused", "the node cannot be reached");
    const response = await request({ address: parseAddress(at), tls, method: "GET", path, timeoutMs: 2_000 });
    if (response.status !== 200) throw new ArmorError("refused", "the node has no answer");
    return await response.json() as DeadLetterDocument;
  }

  function clusterDocument(): ClusterDocument {
    const { ftm } = kernel.state("epoch_promise") as { ftm: ClusterDocument["ftm"] };
    const at = ftm && (ftm.node === id ? address : peers.address(ftm.node));
    return { version, node: id, cluster: identity!.cluster, ftm, address: at ?? "" };
  }

  function isJoined(): boolean {
    return identity!.bootstrap || (kernel.state("membership") as { joined: boolean }).joined;
  }

  function findLog(application: string, instance: string | undefined): LogPlace {
    const document = statusDocument({ kernel, node: { id, name, address }, cluster: identity!.cluster, nowMs: clock.nowMs(), self }) as {
      applications: { name: string; instances: { id: string; node: string | null }[] }[];
      nodes: { id: string; name: string }[];
    };
    const known = document.applications.find((one) => one.name === application);
    if (!known) throw new ArmorError("refused", `there is no application "${application}"`);
    const chosen = instance === undefined ? known.instances[0] : known.instances.find((one) => one.id === instance);
    if (!chosen) throw new ArmorError("refused", `application "${application}" has no instance "${instance}"`);
    const node = document.nodes.find((one) => one.name === chosen.node)?.id ?? id;
    return node === id ? { kind: "local", path: data.log(application, chosen.id) } : { kind: "remote", node };
  }

  const unix = await startHttp2Server({ listen: { path: run.socket }, fetch: api.fetch, onLink: onLocalLink });
  heartbeats = await openHeartbeats({
    armor,
    run,
    outerHost: listen.host,
    keyOf,
    cluster: () => identity!.cluster || unjoined,
    progress: () => kernel.steps,
    epoch: () => (kernel.state("epoch_promise") as { promised: { number: number } }).promised.number,
    local: (op, payload) => host.local(op, payload),
    seams,
  });
  host.local("clock.wall", { offsetMs: Date.now() - nowMs() });
  setInterval(() => host.local("clock.wall", { offsetMs: Date.now() - nowMs() }), 60_000);
  host.start({ self: { ...self } as unknown as Data, bootId: bootId() }, restored.snapshot === undefined);
  const configured = identity.bootstrap ? storedApplications(data) : undefined;
  if (configured) host.local("configuration.begin", { applications: configured as unknown as Data });
  if (damage.length > 0) host.local("checkpoint.restored", { damage: [...damage], complete, epochSeen: events.lastEpoch, memory: (memory ?? null) as unknown as Data });
  const guard = new GuardWatch(guardSystem(data, nodeFlags(options)), (kind, cause) => {
    host.local("guard.noticed", { kind, cause });
  }, log);
  host.local("guard.watch");
  isFull();
  setInterval(isFull, timing.ballastLookMs);

  // Other nodes, over mutual TLS: the certificate takes a moment, local service does not wait for it.
  let server: RunningHttp2Server | undefined;
  void (async () => {
    const { mintCertificate } = await import("../../transports/certificates.ts");
    tls = await mintCertificate(secret, id);
    server = await startHttp2Server({ listen, tls, fetch: api.fetch, onLink: onPeerLink });
    if (!isJoined()) await enter();
    peers.reach();
    void lookAround();
  })().catch((error) => {
    if (error instanceof ArmorError) hopeless(error.message);
    else host.fail(error);
  });

  const admission = new PeerAdmission({
    node: id,
    name,
    cluster: () => identity!.cluster,
    addressOf: (node) => peers.address(node),
    answers: (node, at, except) => guardAnswers({ node, address: at, withinMs: timing.nodeConfirmMs, except }, { ...means, cluster: identity!.cluster }),
    giveWay,
    refused: (node, cause) => {
      if (notes.isNews(`${node} ${cause}`)) host.local("peer.refused", { subject: node, cause });
    },
    clock: systemClock,
  });

  function onPeerLink(link: FrameLink, { headers, peerName }: LinkPeer): LinkHandlers | LinkRefusal {
    const refused = admission.judge(headers, peerName);
    if (refused) return refused;
    const node = String(headers["armor-node"]);
    return seams ? seams.handlers(peers.accept(node, seams.link(link)), () => link) : peers.accept(node, link);
  }

  async function enter(): Promise<void> {
    const tell = (found: ClusterDocument): void => {
      identity = readIdentity(data.identity);
      forgetConfiguration(data);
      host.local("membership.join", { ftm: found.ftm as unknown as Data, address: found.address });
    };
    const entered = await enterCluster({ data, address, joins: options.join, tls: tls!, joined: isJoined, tell, log });
    if (entered === "bootstrap") leave?.(againStatus);
  }

  /** A peer that is silent where it is registered may have moved together with this node: the operator's list says where to. */
  async function lookAround(): Promise<void> {
    const others = options.join.filter((one) => one !== address);
    let tried: ReadonlySet<string> = new Set();
    for (; others.length > 0; await new Promise((resolve) => setTimeout(resolve, lookAroundMs))) {
      const silent = nodesOf(kernel).filter((node) => node.id !== id && !node.left && !peers.isHeard(node.id, Infinity));
      const lost = silent.filter((node) => tried.has(node.id));
      // Perhaps there was nothing to say to it so far.
      for (const node of silent) peers.ping(node.id);
      tried = new Set(silent.map((node) => node.id));
      if (lost.length === 0) continue;
      const answers = await Promise.all(others.map((at) => askCluster(at, tls!).then((found) => ({ at, found }), () => ({ at, found: undefined }))));
      for (const { at, found } of answers) {
        const node = found?.cluster === identity!.cluster ? lost.find((one) => one.id === found.node) : undefined;
        if (!node || node.address === at) continue;
        peers.setAddress(node.id, at);
        peers.ping(node.id);
        host.local("node.sighted", { id: node.id, address: at });
      }
    }
  }

  /** From here on nothing is acknowledged any more, so that nothing is lost with the cluster. */
  function giveWay({ node, nodes, cluster, address: at }: PeerGreeting): boolean {
    const table = kernel.state("table_replica") as { [key: string]: Data };
    if (!identity!.bootstrap || nodes < 2 || storedApplications(data) || !isEmptyCluster(table, id)) return false;
    log(`cluster ${identity!.cluster} of this node alone is given up: node ${node} of cluster ${cluster} knows this address`);
    forgets = true;
    host.end();
    void processes.endAll().then(() => {
      giveUpCluster(data, at);
      leave?.(againStatus);
    });
    return true;
  }

  // SIGTERM: applications and armors stay; an FTM here is handed over first.
  let leaving = false;
  const onSignal = (): void => {
    if (leaving) return leave?.(0);
    leaving = true;
    const { view } = kernel.volatile("gateway") as { view: { nodes: { state: string }[] } | null };
    const others = (view?.nodes ?? []).filter(({ state }) => state === "alive").length > 1;
    if (!others) return leave?.(0);
    host.local("membership.leaving");
    setTimeout(() => leave?.(0), timing.takeoverRetryMs);
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);

  /** The node has left: nothing of it stays behind. A text says why nobody had ordered that. */
  async function endNode(text?: string): Promise<void> {
    await processes.endAll();
    if (text === undefined) leave?.(0);
    else hopeless(text);
  }

  async function handOver(): Promise<void> {
    for (const until = nowMs() + timing.takeoverRetryMs; nowMs() < until;) {
      if (!("ftm" in (kernel.state("local_armors") as object))) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    leave?.(0);
  }

  const status = await ended;
  const own = identify(process.pid);
  if (own) writeDaemonEnd(run, own, status);
  guard.close();
  host.end();
  await store.sync();
  store.close();
  await Promise.all([unix.close(), server?.close()]);
  peers.close();
  heartbeats.close();
  process.exit(status);
}

/** Nodes in a daemon's copy of the table. */
function nodesOf(kernel: Microkernel): NodeRegistration[] {
  const table = kernel.state("table_replica") as { [key: string]: Data };
  return Object.entries(table).filter(([key]) => key.startsWith("node:")).map(([, value]) => value as NodeRegistration);
}
