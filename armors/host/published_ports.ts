/**
 * Ports that this process has published for the others of its node, and keeps
 * published: the files are in the run-time folder, which may vanish.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { lookAtRunDirMs } from "../../core/limits.ts";
import type { ArmorId } from "../../core/micro_operation.ts";
import type { PortBook } from "./machine.ts";

/** What one process has published. */
export class PublishedPorts {
  readonly #ports = new Map<ArmorId | "guard", number>();
  #looking = false;
  #failing = false;

  /** @param files Where ports are read and written; `write` may throw. */
  constructor(readonly clock: Clock, readonly files: PortBook, readonly log: (text: string) => void) {}

  /** Publish. Where it cannot be done now, it is tried again and again. */
  write(id: ArmorId | "guard", port: number): void {
    this.#ports.set(id, port);
    this.#publish(id, port);
    if (!this.#looking) this.clock.every(lookAtRunDirMs, () => this.#look());
    this.#looking = true;
  }

  #look(): void {
    for (const [id, port] of this.#ports) if (this.files.read(id) !== port) this.#publish(id, port);
  }

  #publish(id: ArmorId | "guard", port: number): void {
    try {
      this.files.write(id, port);
      this.#failing = false;
    } catch (error) {
      // The folder will be there again, and a process is worth more than its file.
      if (!this.#failing) this.log(`the port of ${id} cannot be published yet: ${String(error)}`);
      this.#failing = true;
    }
  }
}
