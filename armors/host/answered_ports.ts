/**
 * Ports of a node's processes as they are published, in files. Who has just answered from its
 * port still has it, and its file is not read again for the next ask.
 *
 * @module
 */
import type { ArmorId } from "../../core/micro_operation.ts";

/** Ports by id. An ask that is not answered has the file read for the next one: a process that was started again has another port. */
export class AnsweredPorts {
  readonly #asked = new Map<string, number>();
  readonly #answered = new Set<string>();

  constructor(readonly readFile: (id: ArmorId | "guard") => number | undefined) {}

  /** The port to ask. */
  read(id: ArmorId | "guard"): number | undefined {
    if (this.#answered.delete(id)) return this.#asked.get(id);
    // A file that is gone says nothing: the folder may have vanished under a process that is well.
    const port = this.readFile(id) ?? this.#asked.get(id);
    if (port !== undefined) this.#asked.set(id, port);
    return port;
  }

  /** A signed answer came. From another port than was asked it says nothing: that may be anybody's copy of an older one. */
  answered(from: string, port: number): void {
    const id = from.startsWith("guard@") ? "guard" : from;
    if (this.#asked.get(id) === port) this.#answered.add(id);
  }
}
