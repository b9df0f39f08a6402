/**
 * A daemon's API over one kept connection: asking costs it next to nothing, so
 * it can be asked every few milliseconds.
 *
 * @module
 */
import { linkedRunDir } from "../../armors/host/run_dir.ts";
import { dataDir } from "../../armors/host/data_dir.ts";
import { type OpenSession, openSession } from "../../transports/http2_session.ts";
import type { StatusDocument } from "../status_document.ts";

/** An event as `armor events --json` prints it. */
export interface EventDocument {
  readonly seq: number;
  /** Milliseconds since boot. */
  readonly atMs: number;
  readonly kind: string;
  readonly subject: string;
  /** Name of the node it happened on. */
  readonly node: string;
  readonly cause?: string;
  /** Id of the armor that found it. */
  readonly detectedBy?: string;
  readonly durationMs?: number;
}

const answerWithinMs = 1_000;

/** Asks one daemon; connects when needed. Every failure is `undefined`: the daemon may be dead, which is the point. */
export class NodeSession {
  #open: Promise<OpenSession> | undefined;

  /** @param folder The node's data dir. */
  constructor(readonly folder: string) {}

  /** @returns The status document, or `undefined` if the daemon does not answer now. */
  async status(): Promise<StatusDocument | undefined> {
    const text = await this.#get("/v1/status");
    return text === undefined ? undefined : (JSON.parse(text) as StatusDocument);
  }

  /** @returns Events the daemon knows, oldest first; none if it does not answer. */
  async events(): Promise<EventDocument[]> {
    const text = (await this.#get("/v1/events")) ?? "";
    return text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as EventDocument);
  }

  /** End the connection. */
  close(): void {
    void this.#open?.then(({ destroy }) => destroy(), () => {});
    this.#open = undefined;
  }

  async #get(path: string): Promise<string | undefined> {
    try {
      const { session } = await (this.#open ??= this.#connect());
      return await new Promise((answered, failed) => {
        const stream = session.request({ ":method": "GET", ":path": path });
        const timer = setTimeout(() => failed(new Error("silent")), answerWithinMs);
        const end = (error?: Error): void => {
          clearTimeout(timer);
          if (error) failed(error);
        };
        let text = "";
        stream.setEncoding("utf8");
        stream.on("response", (headers) => headers[":status"] === 200 || end(new Error(`status ${headers[":status"]}`)));
        stream.on("data", (part: string) => {
          text += part;
        });
        stream.on("end", () => {
          end();
          answered(text);
        });
        stream.on("error", end);
        stream.on("close", () => end(new Error("closed")));
      });
    } catch {
      this.close();
      return undefined;
    }
  }

  async #connect(): Promise<OpenSession> {
    const run = linkedRunDir(dataDir(this.folder));
    if (run === undefined) throw new Error("no daemon has run here");
    const open = await openSession({ address: { path: run.socket }, connectTimeoutMs: answerWithinMs });
    open.session.on("close", () => {
      this.#open = undefined;
    });
    return open;
  }
}
