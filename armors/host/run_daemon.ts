/**
 * Run the daemon of a node on the real machine: lock, files, certificate and
 * sockets.
 *
 * @module
 */
import { lstatSync } from "node:fs";
import { ArmorError } from "../../core/errors.ts";
import { parseAddress } from "../../transports/address.ts";
import { heartbeatKeys } from "../../transports/heartbeat_datagram.ts";
import { connectLink } from "../../transports/http2_client.ts";
import { type RunningHttp2Server, startHttp2Server } from "../../transports/http2_server.ts";
import { readSecretFile } from "../../transports/secret.ts";
import type { TlsIdentity } from "../../transports/tls_identity.ts";
import { daemonOf } from "../shapes.ts";
import { createApi } from "./api.ts";
import { armorSystem } from "./armor_processes.ts";
import { Ballast } from "./ballast.ts";
import { openCheckpointFiles } from "./checkpoint_file.ts";
import { type Daemon, makeDaemon } from "./daemon.ts";
import { daemonApi } from "./daemon_api.ts";
import { writeDaemonEnd } from "./daemon_end.ts";
import type { DaemonMachine } from "./daemon_machine.ts";
import { type DataDir, dataDir } from "./data_dir.ts";
import { DeadLetterFile, deadLetterPath } from "./dead_letters.ts";
import { ElementLoader } from "./element_loader.ts";
import { forgetCluster } from "./enter_cluster.ts";
import { EventStore } from "./event_store.ts";
import { guardSystem } from "./guard_watch.ts";
import { handFile, handPath } from "./hand_record.ts";
import { identityFile, KeptIdentity } from "./identity.ts";
import { forgetConfiguration, storedApplications } from "./initial_configuration.ts";
import { askCluster } from "./join.ts";
import { KeptSocket } from "./kept_socket.ts";
import { tryLock } from "./lock_file.ts";
import { nodeFlags } from "./node_flags.ts";
import { connectWithinMs, type PeersOptions } from "./peers.ts";
import type { RoleOptions } from "./role_flags.ts";
import { openRunDir } from "./run_dir.ts";
import { nowMs, systemClock } from "./system_clock.ts";
import { logLine, systemMachine } from "./system_machine.ts";

const lockWithinMs = 2_000;
const lockEveryMs = 10;

/** The daemon proper; started by the guard. Returns while it runs. */
export async function runDaemon(options: RoleOptions): Promise<undefined> {
  const { secretFile, listen, allowInjection, allowElements } = options;
  if (!secretFile || !listen) throw new ArmorError("usage", "the daemon proper is started by its guard: use --role daemon");
  const data = dataDir(options.dataDir);
  await takeLock(data, options.dataDir);
  const ballast = new Ballast(data.ballast);
  const identity = new KeptIdentity(identityFile(data.identity, ballast));
  const { id, cluster } = identity.now;
  const armor = daemonOf(id);
  const secret = readSecretFile(secretFile);
  const run = openRunDir(data);
  const { host: listenHost } = parseAddress(listen);
  if (cluster === "") await forgetCluster(data);

  let daemon: Daemon | undefined;
  // Where faults may be injected; without the flag there is no such place.
  const injecting = allowInjection ? await import("./injection.ts") : undefined;
  const seams = injecting?.openSeams(data, armor, logLine, () => daemon?.kernel);

  let tls: TlsIdentity | undefined;
  const system = systemMachine(run, seams);
  const events = new EventStore(data.events.replace(/\.cborseq$/, ".jsonl"), logLine);
  const letters = new DeadLetterFile(deadLetterPath(data, armor), armor, logLine);
  const machine: DaemonMachine = {
    ...system,
    identity,
    hand: handFile(handPath(data, armor)),
    store: openCheckpointFiles(data.armor(armor), armor, "disk", ballast),
    loader: new ElementLoader(),
    armors: armorSystem(data, allowInjection ? ["--allow-injection"] : []),
    guards: guardSystem(data, nodeFlags(options)),
    events,
    configuration: { applications: () => storedApplications(data), forget: () => forgetConfiguration(data) },
    folder: data.path,
    keyOf: heartbeatKeys(secret),
    wallMs: () => Date.now(),
    hasRoom: () => ballast.refill(),
    deadLetter: (args) => letters.add(args, new Date().toISOString()),
    connect: (at, headers, handlers) => {
      const open: PeersOptions["connect"] = (_at, passed) =>
        tls && connectLink({ address: parseAddress(at), tls, headers, connectTimeoutMs: connectWithinMs, ...passed });
      return (seams?.connect(open, connectWithinMs) ?? open)(at, handlers, "");
    },
    ask: (at) => askCluster(at, tls!),
    leaveWord: (status) => writeDaemonEnd(run, system.self, status),
  };
  daemon = await makeDaemon(machine, {
    address: options.advertise ?? listen,
    listenHost,
    joins: options.join,
    allowElements,
    restart: Number(options.incarnation ?? 0),
    ownEnd: options.ended === "own",
  });

  const { processes } = daemon;
  const injection = injecting && new injecting.Injection({ data, node: id, living: (of) => processes.living(of), log: logLine });
  const { fetch } = createApi(daemonApi({ daemon, data, events, tls: () => tls, injection }));
  let inner: KeptSocket | undefined;
  let outer: RunningHttp2Server | undefined;
  await daemon.start({
    openInner: async (onLink) => {
      let { path } = run;
      inner = new KeptSocket({
        clock: systemClock,
        open: () => {
          const opened = openRunDir(data, path);
          path = opened.path;
          return opened.socket;
        },
        listen: (at) => startHttp2Server({ listen: { path: at }, fetch, onLink }),
        fileAt: (at) => {
          const stat = lstatSync(at, { throwIfNoEntry: false });
          return stat && `${stat.dev}:${stat.ino}`;
        },
        log: logLine,
      });
      await inner.open();
    },
    // The certificate takes a moment, local service does not wait for it.
    openOuter: async (onLink) => {
      const { mintCertificate } = await import("../../transports/certificates.ts");
      tls = await mintCertificate(secret, id);
      outer = await startHttp2Server({ listen: parseAddress(listen), tls, fetch, onLink: seams?.takes(onLink) ?? onLink });
    },
    close: async () => {
      await Promise.all([inner?.close(), outer?.close()]);
    },
  });
}

/** The daemon before this one may still be about to end. */
async function takeLock(data: DataDir, name: string): Promise<void> {
  for (const until = nowMs() + lockWithinMs; !tryLock(data.daemonLock);) {
    if (nowMs() > until) throw new ArmorError("locked", `Cannot start: another daemon runs on ${JSON.stringify(name)}`);
    await new Promise((resolve) => setTimeout(resolve, lockEveryMs));
  }
}
