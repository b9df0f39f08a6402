/**
 * Machine: what every process of a node needs of the machine it runs on. The
 * processes themselves know only this; `system_machine.ts` is the real one, and
 * the simulator has its own.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import type { ArmorId } from "../../core/micro_operation.ts";
import type { Microkernel } from "../../core/microkernel.ts";
import type { ProcessIdentity } from "../../core/process_identity.ts";
import type { RandomSource } from "../../core/random.ts";
import type { HeartbeatPort, HeartbeatPortOptions } from "../../transports/heartbeat_port.ts";
import type { ArmorSurroundings } from "./armor_host.ts";

/** Loopback ports of a node's processes, by which they find each other. */
export interface PortBook {
  read(id: ArmorId | "guard"): number | undefined;
  write(id: ArmorId | "guard", port: number): void;
}

/** Where heartbeats travel: within this node, or between nodes. */
export type HeartbeatWay = "here" | "between nodes";

/** One process's view of its machine. */
export interface Machine {
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly bootId: string;
  /** This process. */
  readonly self: ProcessIdentity;
  readonly ports: PortBook;
  /** Wait; everything else goes on meanwhile. */
  pause(delayMs: number): Promise<void>;
  /** @throws {AddressError} */
  openPort(way: HeartbeatWay, options: HeartbeatPortOptions): Promise<HeartbeatPort>;
  /** What an armor's loop is given; the place where faults are put in between. */
  around(surroundings: ArmorSurroundings, kernel: Microkernel): ArmorSurroundings;
  /** One line for the process's own log. */
  log(text: string): void;
  /** One line for whoever started the node. */
  tell(text: string): void;
  /** Called with SIGTERM or SIGINT. */
  onTerminate(asked: () => void): void;
  /** Called before the process ends by {@link exit}. */
  onExit(ends: (status: number) => void): void;
  exit(status: number): never;
}
