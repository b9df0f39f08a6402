/**
 * The real machine, as a process of a node sees it.
 *
 * @module
 */
import process from "node:process";
import { ArmorError } from "../../core/errors.ts";
import { openHeartbeatPort } from "../../transports/heartbeat_port.ts";
import { AnsweredPorts } from "./answered_ports.ts";
import type { Machine } from "./machine.ts";
import { readPort, writePort } from "./port_files.ts";
import { identify } from "./process_table.ts";
import { PublishedPorts } from "./published_ports.ts";
import type { RunDir } from "./run_dir.ts";
import type { Seams } from "./seams.ts";
import { bootId, joinTurn, systemClock } from "./system_clock.ts";
import { systemRandom } from "./system_random.ts";

/** One line of a process's own log. */
export const logLine = (text: string): void => void process.stderr.write(`${new Date().toISOString()} ${text}\n`);

/**
 * This process's machine.
 *
 * @param seams Where faults may be injected.
 * @throws {ArmorError} `"no_proc"`: a process must know itself.
 */
export function systemMachine(run: RunDir, seams?: Seams): Machine {
  const self = identify(process.pid);
  if (!self) throw new ArmorError("no_proc", "Cannot start: /proc is not readable");
  const ports = new AnsweredPorts((id) => readPort(run, id));
  const published = new PublishedPorts(systemClock, { read: (id) => readPort(run, id), write: (id, port) => writePort(run, id, port) }, logLine);
  return {
    clock: systemClock,
    random: systemRandom,
    bootId: bootId(),
    self,
    ports: { read: (id) => ports.read(id), write: (id, port) => published.write(id, port) },
    pause: (delayMs) => new Promise((resolve) => setTimeout(resolve, delayMs)),
    openPort: (way, options) => {
      const onHeartbeat: typeof options.onHeartbeat = (heartbeat, from) => {
        if (way === "here" && heartbeat.type === "reply") ports.answered(heartbeat.from, from.port);
        options.onHeartbeat(heartbeat, from);
        joinTurn();
      };
      return openHeartbeatPort({ ...options, onHeartbeat }, seams?.udp(way));
    },
    around: (surroundings) => (seams ? { ...surroundings, clock: seams.clock() } : surroundings),
    log: logLine,
    tell: (text) => void process.stderr.write(`armor: ${text}\n`),
    onTerminate: (asked) => {
      process.on("SIGTERM", asked);
      process.on("SIGINT", asked);
    },
    onExit: (ends) => void process.on("exit", ends),
    exit: (status) => process.exit(status),
  };
}
