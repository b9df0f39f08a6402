/**
 * Departure: the ways in which a daemon ends on purpose. Applications and armors
 * stay when it is only restarted; an FTM here is handed over first.
 *
 * @module
 */
import { timing } from "../../core/limits.ts";
import type { Microkernel } from "../../core/microkernel.ts";
import type { ArmorProcesses } from "./armor_processes.ts";
import { hopelessStatus } from "./daemon_end.ts";
import type { Machine } from "./machine.ts";

/** What a departure needs of its daemon. */
export interface DepartureOptions {
  readonly machine: Machine;
  readonly kernel: Microkernel;
  readonly processes: ArmorProcesses;
  /** Start a local thread in the daemon. */
  readonly local: (op: string) => void;
  /** End the daemon with this status. */
  readonly leave: (status: number) => void;
}

const lookEveryMs = 20;

/** One daemon's. */
export class Departure {
  #asked = false;

  constructor(readonly options: DepartureOptions) {}

  /** SIGTERM, SIGINT; the second one means now. */
  asked(): void {
    const { machine, kernel, local, leave } = this.options;
    if (this.#asked) return leave(0);
    this.#asked = true;
    const { view } = kernel.volatile("gateway") as { view: { nodes: { state: string }[] } | null };
    const others = (view?.nodes ?? []).filter(({ state }) => state === "alive").length > 1;
    if (!others) return leave(0);
    local("membership.leaving");
    machine.clock.after(timing.takeoverRetryMs, () => leave(0));
  }

  /** Command `membership.may-leave`: wait until the FTM, if it was here, is elsewhere. */
  async handOver(): Promise<void> {
    const { machine, kernel, leave } = this.options;
    for (let waitedMs = 0; waitedMs < timing.takeoverRetryMs && "ftm" in (kernel.state("local_armors") as object); waitedMs += lookEveryMs) {
      await machine.pause(lookEveryMs);
    }
    leave(0);
  }

  /** Command `membership.end`: the node has left, and nothing of it stays behind. A text says why nobody had ordered that. */
  async end(text?: string): Promise<void> {
    await this.options.processes.endAll();
    if (text === undefined) this.options.local("membership.ended");
    else this.hopeless(text);
  }

  /** It makes no sense to start this daemon again. */
  hopeless(text: string): void {
    this.options.machine.tell(text);
    this.options.leave(hopelessStatus);
  }
}
