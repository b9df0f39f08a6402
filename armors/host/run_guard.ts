/**
 * Run a guard: the node's UDP port, the loopback port for local armors, and the
 * daemon's process around the pure {@link Guard}.
 *
 * @module
 */
import process from "node:process";
import { readFileSync, realpathSync } from "node:fs";
import type { ProcessIdentity } from "../../core/process_identity.ts";
import type { HostPort } from "../../transports/address.ts";
import { decodeHeartbeat, encodeHeartbeat, heartbeatKey } from "../../transports/heartbeat_datagram.ts";
import { readSecretFile } from "../../transports/secret.ts";
import { openUdp } from "../../transports/udp.ts";
import { cleanEnvironment } from "../environment.ts";
import { Guard, type GuardEffect, type GuardEvent } from "../guard.ts";
import type { RoleOptions } from "./role_flags.ts";
import { daemonOf } from "../shapes.ts";
import { isOwnEnd, selfArgv, spawnDetached } from "./child_process.ts";
import { againStatus, hopelessStatus, readDaemonEnd } from "./daemon_end.ts";
import type { DataDir } from "./data_dir.ts";
import { type NodeIdentity, readIdentity, unjoined } from "./identity.ts";
import { lockHolder } from "./lock_file.ts";
import { nodeFlags } from "./node_flags.ts";
import { findByArguments, identify, isAlive, kill, killAndConfirm, readArguments } from "./process_table.ts";
import { readPort, type RunDir, writePort } from "./run_dir.ts";
import { nowMs } from "./system_clock.ts";
import { systemRandom } from "./system_random.ts";

/** What a guard is given. */
export interface GuardOptions {
  readonly options: RoleOptions;
  readonly data: DataDir;
  readonly run: RunDir;
  readonly identity: NodeIdentity;
  /** Where it listens. */
  readonly address: HostPort;
  /** Started by an operator, not by a daemon. */
  readonly operator: boolean;
}

const loopback = "127.0.0.1";
const killWithinMs = 5_000;
const endWithinMs = 10_000;
const lookEveryMs = 50;

/** Resolves to an exit status. */
export async function runGuard({ options, data, run, identity: first, address, operator }: GuardOptions): Promise<number> {
  const secret = readSecretFile(options.secretFile!);
  const guard = new Guard(first.id, systemRandom);
  const self = `guard@${first.id}`;
  const daemonId = daemonOf(first.id);
  const ownAddress = options.advertise ?? options.listen ?? "";
  let identity = first;
  let daemon: ProcessIdentity | undefined;
  let restarts = 0;
  /** The last daemon ended by its own doing. */
  let ownEnd = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let end: (status: number) => void = () => {};
  const ended = new Promise<number>((resolve) => (end = resolve));
  const log = (text: string): void => void process.stderr.write(`armor: ${text}\n`);
  const keys = new Map<string, Uint8Array>();
  const keyOf = (id: string): Uint8Array => {
    let key = keys.get(id);
    if (!key) {
      if (keys.size > 4_096) keys.clear();
      keys.set(id, key = heartbeatKey(secret, id));
    }
    return key;
  };
  /** A node that has joined meanwhile belongs to a cluster now. */
  const cluster = (): string => {
    if (identity.cluster === "") identity = readIdentity(data.identity) ?? identity;
    return identity.cluster || unjoined;
  };
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

  const seams = options.allowInjection ? new (await import("./seams.ts")).Seams(data.path, self, process.pid) : undefined;
  const inner = await (seams?.udp("here") ?? openUdp)({
    host: loopback,
    port: 0,
    onDatagram: (bytes, from) => {
      const datagram = decodeHeartbeat(bytes, ({ type, from: sender, to }) => (type === "ask" ? keyOf(to) : keyOf(sender)));
      if (!datagram || datagram.cluster !== cluster()) return;
      const nonce = hex(datagram.nonce);
      if (datagram.type === "reply") {
        const { from: armor, progress, epoch } = datagram;
        step({ kind: "answered", from: armor, nonce, progress, epoch });
      } else step({ kind: "asked", from: datagram.from, to: datagram.to, nonce, path: `local ${from.host} ${from.port}` });
    },
  });
  const outer = await (seams?.udp("between nodes") ?? openUdp)({
    ...address,
    onDatagram: (bytes, from) => {
      const datagram = decodeHeartbeat(bytes, ({ type, from: asker }) => (type === "ask" ? keyOf(asker) : undefined));
      if (!datagram || datagram.type !== "ask" || datagram.cluster !== cluster()) return;
      step({ kind: "asked", from: datagram.from, to: datagram.to, nonce: hex(datagram.nonce), path: `outer ${from.host} ${from.port}` });
    },
  }).catch((error) => {
    // Left open, it would keep this process alive.
    inner.close();
    throw error;
  });
  writePort(run, "guard", inner.port);

  function step(event: GuardEvent): void {
    for (const effect of guard.step(event, nowMs())) perform(effect);
    clearTimeout(timer);
    timer = setTimeout(() => step({ kind: "tick" }), Math.max(1, guard.wakeAtMs - nowMs()));
  }

  function perform(effect: GuardEffect): void {
    switch (effect.kind) {
      case "reply":
        return answer(effect.path, self, effect.to, effect.nonce, { turnAgeMs: effect.turnAgeMs, detail: ownAddress });
      case "relay":
        return answer(effect.path, effect.from, effect.to, effect.nonce, effect);
      case "forward":
        return ask(effect.from, effect.to, effect.nonce);
      case "ask-daemon":
        return ask(self, daemonId, effect.nonce);
      case "start-daemon":
        return startDaemon();
      case "kill-daemon":
        log("the daemon's main loop does not turn: it is restarted");
        ownEnd = true;
        return void (daemon && killAndConfirm(daemon, "SIGKILL", killWithinMs));
      case "end":
        return end(effect.status);
    }
  }

  function ask(from: string, to: string, nonce: string): void {
    const port = readPort(run, to);
    if (port === undefined) return;
    const datagram = { type: "ask", cluster: cluster(), from, to, nonce: Buffer.from(nonce, "hex") } as const;
    inner.send(encodeHeartbeat(datagram, keyOf(to)), { host: loopback, port });
  }

  /** On loopback an answer is signed with the answerer's key, elsewhere with the asker's. */
  function answer(path: string, from: string, to: string, nonce: string, more: { turnAgeMs?: number; progress?: number; epoch?: number; detail?: string }): void {
    const [way, host, port] = path.split(" ");
    const { turnAgeMs = 0, progress = 0, epoch = 0, detail = "" } = more;
    const reply = { type: "reply", cluster: cluster(), from, to, nonce: Buffer.from(nonce, "hex"), progress, turnAgeMs, epoch, detail } as const;
    const socket = way === "outer" ? outer : inner;
    socket.send(encodeHeartbeat(reply, keyOf(way === "outer" ? to : from)), { host: host!, port: Number(port) });
  }

  function startDaemon(): void {
    const incarnation = String(restarts++);
    const errors = `${data.path}/daemon.log`;
    const child = spawnDetached({
      argv: [...selfArgv(), "--role", "daemon-process", ...nodeFlags(options), "--incarnation", incarnation, ...(ownEnd ? ["--ended", "own"] : [])],
      env: cleanEnvironment(process.env),
      logFile: errors,
    });
    daemon = child.identity;
    ownEnd = false;
    child.onExit(({ code, signal }) => {
      ownEnd ||= isOwnEnd(code, signal);
      exited(child.identity, code);
    });
  }

  function exited(which: ProcessIdentity | undefined, code: number | null): void {
    if (daemon && which && daemon.pid !== which.pid) return;
    if (stopping) return end(0);
    const hopeless = code === hopelessStatus || code === 1;
    if (hopeless) log(lastLine(`${data.path}/daemon.log`));
    if (code === 0) return end(0);
    if (code === againStatus) [restarts, ownEnd] = [0, false];
    // It may have another cluster from now on: read again.
    identity = { ...identity, cluster: "" };
    step({ kind: "daemon-exited", hopeless });
  }

  /** A daemon from before this guard. */
  function adopt(): boolean {
    // The lock file of a copied data dir names the daemon of another one.
    const holder = lockHolder(data.daemonLock);
    const pid = holder !== undefined && isOurs(readArguments(holder)) ? holder : findByArguments(isOurs)[0];
    const found = pid === undefined ? undefined : identify(pid);
    if (!found || !isAlive(found)) return false;
    daemon = found;
    const look = setInterval(() => {
      if (isAlive(found)) return;
      clearInterval(look);
      exited(found, readDaemonEnd(run, found));
    }, lookEveryMs);
    return true;
  }

  /** Arguments of a daemon on this data dir, however its path was written. */
  function isOurs(argv: readonly string[]): boolean {
    const at = argv.indexOf("--data-dir");
    if (at < 0 || !argv.includes("daemon-process")) return false;
    try {
      return realpathSync(argv[at + 1] ?? "") === data.path;
    } catch {
      return false;
    }
  }

  let stopping = false;
  const stop = (): void => {
    if (stopping) return;
    stopping = true;
    if (!daemon || !isAlive(daemon)) return end(0);
    kill(daemon.pid, "SIGTERM");
    setTimeout(() => end(0), endWithinMs);
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  // A replacement gives way to the guard that a service manager starts.
  process.on("SIGUSR2", () => {
    if (!operator) process.exit(0);
  });
  process.on("SIGHUP", () => {});

  step({ kind: "start", daemonLives: adopt() });
  const status = await ended;
  inner.close();
  outer.close();
  process.exit(status);
}

/** What a daemon said last; it has told the reason in one line. */
function lastLine(path: string): string {
  try {
    const lines = readFileSync(path, "utf8").trimEnd().split("\n");
    return (lines.at(-1) ?? "").replace(/^armor: /, "");
  } catch {
    return "the daemon cannot start";
  }
}

