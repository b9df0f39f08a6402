/**
 * A simulated daemon's process: `run_daemon.ts` with the real loop around the
 * microkernel, the real router, peers, armor processes and guard watch.
 *
 * @module
 */
import { decode, encode } from "../../core/codec.ts";
import type { Data, DataRecord } from "../../core/data.ts";
import type { HostCommand } from "../../core/effects.ts";
import type { Generation } from "../../core/generation.ts";
import { timing } from "../../core/limits.ts";
import { Microkernel } from "../../core/microkernel.ts";
import type { FrameLink, LinkHandlers } from "../../transports/frame_link.ts";
import type { LinkRefusal } from "../../transports/http2_server.ts";
import { daemonArmor } from "../../armors/daemon_armor.ts";
import type { OperationAnswer } from "../../armors/elements/operator.ts";
import { ArmorHost } from "../../armors/host/armor_host.ts";
import { ArmorProcesses } from "../../armors/host/armor_processes.ts";
import { GuardWatch } from "../../armors/host/guard_watch.ts";
import type { ClusterDocument } from "../../armors/join_search.ts";
import type { LinkUp, LocalFrame, Refused, Register } from "../../armors/host/local_link.ts";
import { Peers } from "../../armors/host/peers.ts";
import { Router } from "../../armors/host/router.ts";
import { statusDocument } from "../../armors/host/status.ts";
import { type ArmorReport, daemonOf, type Role } from "../../armors/shapes.ts";
import { version } from "../../armors/version.ts";
import { startSimArmor } from "./sim_armor.ts";
import { startSimGuard } from "./sim_guard.ts";
import { openSimHeartbeats } from "./sim_heartbeats.ts";
import type { SimNode } from "./sim_node.ts";
import type { SimProcess } from "./sim_processes.ts";

/** Exit status of a daemon that must not be started again. */
export const hopelessStatus = 78;
const lockWithinMs = 2_000;
const joinAgainMs = 500;
const lookAgainMs = 4_000;

/** What others see of a running daemon. */
export type SimDaemon = {
  readonly process: SimProcess;
  readonly kernel: Microkernel;
  /** `POST /v1/operations`. */
  operate(operation: string, args: DataRecord, answered: (answer: OperationAnswer) => void): void;
  /** `GET /v1/status`. */
  status(): Record<string, unknown>;
};

/** Start one as its guard does. */
export function startSimDaemon(node: SimNode, incarnation: number): SimProcess {
  const takeLock = (process: SimProcess, waitedMs: number): void => {
    if (!node.daemonLock?.alive) {
      node.daemonLock = process;
      return runSimDaemon(node, process, incarnation);
    }
    if (waitedMs > lockWithinMs) return process.end({ code: 1, signal: null });
    process.clock.after(10, () => takeLock(process, waitedMs + 10));
  };
  return node.machine.spawn("daemon", "daemon", 40 + node.random.below(60), (process) => takeLock(process, 0));
}

function runSimDaemon(node: SimNode, process: SimProcess, incarnation: number): void {
  const { id, name, address, machine, network } = node;
  const armor = daemonOf(id);
  const log = (text: string): void => node.log(`${armor}: ${text}`);
  let certified = false;
  let heartbeats: ReturnType<typeof openSimHeartbeats> | undefined;
  let leaving = false;

  const store = node.disk.store(armor, "disk", process);
  const restored = store.restore();
  const saved: Generation = restored.records.at(-1)?.generation ?? restored.snapshot?.generation ?? { epoch: 0, node: id, counter: 0 };
  const kernel = new Microkernel({
    armor,
    generation: restored.complete ? saved : { ...saved, counter: saved.counter + 1 },
    elements: node.watch.elements(process, daemonArmor({ id, name, address, boot: machine.bootId, bootstrap: node.bootstrap })),
    random: node.random,
    eventSink: armor,
    diagnose: ({ op, element, code, error }) => log(`${op} at ${element || "no element"}: ${code}: ${error instanceof Error ? error.stack : String(error)}`),
    ...(restored.snapshot && { restored: { snapshot: restored.snapshot, records: restored.records } }),
  });
  node.watch.made(node, process, kernel, store, true);
  const self: ArmorReport = {
    armor,
    role: "daemon",
    pid: process.pid,
    state: "running",
    incarnation: { placement: 0, restart: incarnation },
    generation: kernel.generation,
    elements: kernel.describe(),
  };

  const peers = new Peers({
    connect: (at, handlers) => {
      if (!certified) return undefined;
      const headers = { "armor-cluster": node.cluster, "armor-node": id, "armor-version": version };
      return network.connect(process, node.nameAt(at), at, headers, handlers);
    },
    clock: process.clock,
    node: id,
    onFrame: (frame, bytes, from) => router.fromPeer(frame, bytes, from),
    onOpen: () => {
      host.dispatch({ kind: "link-up" });
      router.toAll(encode({ type: "link-up" } satisfies LinkUp));
    },
    onClosed: (peer, reason, error, wasOpen) => {
      if (reason === "refused") log(`node ${peer} refuses this one: ${error?.message}`);
      if (wasOpen) host.local("link.closed", { node: peer });
    },
  });
  const router = new Router(id, peers, (frame) => host.frame(frame));
  const processes = new ArmorProcesses(
    {
      clock: process.clock,
      start: (role, of, flags) => {
        const [epoch, at, counter] = flags[flags.indexOf("--epoch") + 1]!.split(".");
        const generation = { epoch: Number(epoch), node: at!, counter: Number(counter) };
        const again = !flags[flags.indexOf("--incarnation") + 1]!.endsWith(".0");
        return machine.child(process, startSimArmor(node, role, of, generation, again));
      },
      find: (role) => machine.all(role)[0]?.identity,
      forget: () => {},
      isAlive: (identity) => machine.find(identity) !== undefined,
      killAndConfirm: (identity, signal, timeoutMs) => process.killAndConfirm(identity, signal, timeoutMs),
    },
    (op, payload) => process.run(() => host.local(op, payload)),
    log,
  );
  const waiting = new Map<string, (answer: OperationAnswer) => void>();
  let requests = 0;

  const end = (code: number): never => {
    node.watch.ended(node, process, code);
    process.end({ code, signal: null });
    return undefined as never;
  };
  const host = new ArmorHost(kernel, {
    store,
    durability: "disk",
    clock: process.clock,
    exit: end,
    send: (frame) => {
      if (!process.effect()) return;
      node.watch.sent(process, frame);
      router.fromHere(frame);
    },
    command: (command) => {
      if (process.effect()) perform(command);
    },
    work: (kind, args) => {
      if (kind !== "node.probe") throw new Error(`no work of kind "${kind}"`);
      return probe(args as DataRecord);
    },
    log,
  });

  function perform({ kind, args }: HostCommand): void {
    switch (kind) {
      case "heartbeat.ask":
        return heartbeats?.ask(args);
      case "heartbeat.reply":
        return heartbeats?.reply(args);
      case "armor.spawn":
        machine.clock.settled = true;
        return void processes.spawn(args);
      case "armor.end":
        return void processes.end(args);
      case "process.watch":
        return processes.watch(args);
      case "process.kill":
        return processes.kill(args);
      case "routes.nodes":
        for (const [of, at] of Object.entries(args["nodes"] as { [node: string]: string })) if (of !== id) peers.setAddress(of, at);
        return;
      case "routes.armors":
        for (const [of, at] of Object.entries(args["armors"] as { [armor: string]: string })) router.setNode(of, at);
        return;
      case "events.store":
        return node.watch.events(node, args["events"] as unknown as DataRecord[]);
      case "events.settle":
        return void process.clock.after(0, () => host.local("events.kept", args));
      case "operator.respond":
        return waiting.get(String(args["request"]))?.(args["body"] as unknown as OperationAnswer);
      case "membership.refused":
        log(`refused: ${String(args["text"])}`);
        return leave(hopelessStatus);
      case "membership.may-leave":
        return handOver(0);
      case "membership.end":
        machine.clock.settled = true;
        return void processes.endAll().then(() => process.run(() => host.local("membership.ended")));
      case "membership.leave":
        return leave(0);
      case "guard.hung":
        return guard.hung();
      case "guard.heard":
        return guard.heard();
    }
  }

  /** `probe_node.ts`. */
  function probe({ node: of, address: at, withinMs }: DataRecord): Promise<Data> {
    let heard = false;
    const nonces = new Set<string>();
    const port = node.ports.open({
      node,
      process,
      receive: (beat) => void (heard ||= beat.type === "reply" && nonces.has(beat.nonce)),
    });
    peers.ping(String(of));
    return new Promise((resolve) => {
      const ask = (asked: number): void => {
        if (heard || asked === 3) {
          machine.clock.settled = true;
          return resolve(heard || peers.isHeard(String(of), Number(withinMs)));
        }
        const nonce = `probe-${port}-${asked}`;
        nonces.add(nonce);
        const beat = { type: "ask", cluster: node.clusterOrNone, from: armor, to: `guard@${of}`, nonce, path: `outer ${port}` } as const;
        node.ports.sendToGuard(node, String(at), beat);
        process.clock.after(Number(withinMs) / 3, () => ask(asked + 1));
      };
      ask(0);
    });
  }

  const onLocalLink = (link: FrameLink): LinkHandlers => {
    let registered: string | undefined;
    return {
      onFrames: (frames) => {
        for (const bytes of frames) {
          const frame = decode(bytes) as LocalFrame;
          if (frame.type === "register") registered = register(link, frame);
          else if (registered !== undefined && "from" in frame && frame.from === registered) router.fromHere(frame, bytes);
        }
      },
      onClose: () => {
        if (registered !== undefined && router.detach(registered, link)) processes.hint(registered);
      },
    };
  };

  function register(link: FrameLink, { armor: of, role, process: identity, generation, elements }: Register): string | undefined {
    const living = processes.living(of);
    const kept = (kernel.state("local_armors") as { [armor: string]: { generation: Generation; begin: DataRecord | null } })[of];
    if ((living && living.pid !== identity.pid) || !kept) {
      link.send(encode({ type: "refused", reason: `cannot start ${role}` } satisfies Refused));
      return undefined;
    }
    processes.adopt(of, identity);
    router.attach(of, link);
    const given = generation ?? kept.generation ?? kernel.generation;
    const answer = { type: "registered", key: new Uint8Array(1), cluster: node.cluster, node: id, host: name, generation: given, begin: kept.begin ?? null };
    link.send(encode(answer));
    host.local("armor.registered", { armor: of, role: role as Role, process: identity, generation: given, elements: elements as Data });
    host.dispatch({ kind: "link-up" });
    return of;
  }

  function clusterDocument(): ClusterDocument {
    const { ftm } = kernel.state("epoch_promise") as { ftm: ClusterDocument["ftm"] };
    const at = ftm && (ftm.node === id ? address : peers.address(ftm.node));
    return { version, node: id, cluster: node.cluster, ftm, address: at ?? "" };
  }

  function onPeerLink(link: FrameLink, headers: Readonly<Record<string, string>>): LinkHandlers | LinkRefusal {
    if (node.cluster === "" || headers["armor-cluster"] !== node.cluster) return { refuse: `node ${name} belongs to another cluster` };
    return peers.accept(headers["armor-node"]!, link);
  }

  function join(): void {
    const others = node.join.filter((one) => one !== address);
    const ask = (index: number): void => {
      const at = others[index];
      if (at === undefined) return void process.clock.after(joinAgainMs, () => ask(0));
      void network.request(process, node.nameAt(at), at, "/v1/cluster").then((answer) => {
        const found = answer as ClusterDocument | undefined;
        if (!process.alive) return;
        if (!found?.address || found.cluster === "") return ask(index + 1);
        node.cluster = found.cluster;
        host.local("membership.join", { ftm: found.ftm as unknown as Data, address: found.address });
        peers.reach();
        // The FTM may have moved meanwhile: `enter_cluster.ts`.
        process.clock.after(lookAgainMs, () => isRegistered() || ask(0));
      });
    };
    ask(0);
  }

  function isRegistered(): boolean {
    return (kernel.state("membership") as { joined: boolean }).joined;
  }

  function handOver(waitedMs: number): void {
    if (waitedMs >= timing.takeoverRetryMs || !("ftm" in (kernel.state("local_armors") as object))) return leave(0);
    process.clock.after(20, () => handOver(waitedMs + 20));
  }

  function leave(status: number): void {
    guard.close();
    host.end();
    machine.clock.settled = true;
    void store.sync().then(() => end(status));
  }

  process.onSignal = (signal) => {
    if (signal !== "SIGTERM") return;
    if (leaving) return leave(0);
    leaving = true;
    const { view } = kernel.volatile("gateway") as { view: { nodes: { state: string }[] } | null };
    const others = (view?.nodes ?? []).filter(({ state }) => state === "alive").length > 1;
    if (!others) return leave(0);
    host.local("membership.leaving");
    process.clock.after(timing.takeoverRetryMs, () => leave(0));
  };

  network.listen(node.socket, { process, onLink: onLocalLink });
  heartbeats = openSimHeartbeats({
    node,
    process,
    armor,
    asksOtherNodes: true,
    knowsKeyOf: () => true,
    cluster: () => node.clusterOrNone,
    progress: () => kernel.steps,
    epoch: () => (kernel.state("epoch_promise") as { promised: { number: number } }).promised.number,
    local: (op, payload) => host.local(op, payload),
  });
  host.start({ self: self as unknown as Data, bootId: machine.bootId });
  const guard = new GuardWatch(
    {
      clock: process.clock,
      holder: () => node.guardLock?.alive ? node.guardLock.identity : undefined,
      isAlive: (identity) => machine.find(identity) !== undefined,
      killAndConfirm: (identity, signal, timeoutMs) => process.killAndConfirm(identity, signal, timeoutMs),
      start: () => machine.child(process, startSimGuard(node, false)),
    },
    (kind, cause) => host.local("guard.noticed", { kind, cause }),
    log,
  );
  host.local("guard.watch");
  node.daemon = {
    process,
    kernel,
    operate: (operation, args, answered) =>
      process.run(() => {
        const request = `${machine.bootId}-${process.identity.startTicks}-${++requests}`;
        waiting.set(request, (answer) => {
          waiting.delete(request);
          answered(answer);
        });
        host.local("operator.request", { request, operation, args });
      }),
    status: () => statusDocument({ kernel, node: { id, name, address }, cluster: node.cluster, nowMs: machine.nowMs, self }),
  };
  process.clock.after(20 + node.random.below(20), () => {
    certified = true;
    network.listen(address, { process, onLink: onPeerLink, onRequest: clusterDocument });
    const unregistered = !node.bootstrap && !isRegistered();
    peers.reach();
    if (node.cluster === "" || unregistered) join();
  });
}

