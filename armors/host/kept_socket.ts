/**
 * The daemon's Unix socket, kept where it is looked for: the folder it is in may
 * vanish, and whoever listens on a deleted path hears nobody for ever.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { lookAtRunDirMs } from "../../core/limits.ts";

/** A server that listens. */
export interface Listener {
  close(): Promise<void>;
}

/** What is asked of the machine. */
export interface SocketPlace {
  readonly clock: Clock;
  /** Make what is missing of the folder. @returns Path of the socket in it. @throws If it cannot be made. */
  open(): string;
  listen(path: string): Promise<Listener>;
  /** Tells one file at a path from another; `undefined`: there is none. */
  fileAt(path: string): string | undefined;
  log(text: string): void;
}

/** Servers kept for the links they hold. */
const listenersMax = 4;

/** A socket that comes back. */
export class KeptSocket {
  /** The latest listens at the path. Those before hold links that were open when their path vanished. */
  readonly #listeners: Listener[] = [];
  #file: string | undefined;
  #stopLooking: (() => void) | undefined;
  /** A look is not over. */
  #busy = false;
  #failing = false;

  constructor(readonly place: SocketPlace) {}

  /** Listen, from now on always. @throws If it cannot be done at first. */
  async open(): Promise<void> {
    await this.#listen(this.place.open());
    this.#stopLooking = this.place.clock.every(lookAtRunDirMs, () => void this.#look());
  }

  async close(): Promise<void> {
    this.#stopLooking?.();
    await Promise.all(this.#listeners.map((listener) => listener.close()));
  }

  async #look(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    const { open, fileAt, log } = this.place;
    try {
      const path = open();
      if (this.#file === undefined || fileAt(path) !== this.#file) {
        await this.#listen(path);
        log(`the daemon's socket had vanished: it listens again, at ${path}`);
      }
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) log(`the daemon's socket has vanished and cannot be made anew yet: ${String(error)}`);
      this.#failing = true;
    } finally {
      this.#busy = false;
    }
  }

  async #listen(path: string): Promise<void> {
    // Before the next one listens: a server that closes deletes its path. Its links are made again.
    if (this.#listeners.length === listenersMax) await this.#listeners.shift()!.close();
    this.#listeners.push(await this.place.listen(path));
    this.#file = this.place.fileAt(path);
  }
}
