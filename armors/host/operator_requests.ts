/**
 * Operators' requests on their way through the daemon's microkernel and back.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { CodecError, encode } from "../../core/codec.ts";
import type { Data, DataRecord } from "../../core/data.ts";
import type { RandomSource } from "../../core/random.ts";
import type { OperationAnswer } from "../elements/operator.ts";
import { hashOf } from "./element_loader.ts";

/** Operations that are refused while the disk is full. */
const takesRoom: readonly string[] = ["application.submit", "own.install", "elements.change"];

/** Levels of nesting around a request, in messages, in commits and in answers that report a failure. */
const levelsAround = 16;

/** What the requests need of their daemon. */
export interface RequestOptions {
  readonly random: RandomSource;
  /** Start a local thread in the daemon. */
  readonly local: (op: string, payload: DataRecord) => void;
  /** Why nothing new may be taken, if that is so. */
  readonly isFull: () => string | undefined;
}

/** Requests that wait for an answer. */
export class OperatorRequests {
  readonly #waiting = new Map<string, (answer: OperationAnswer) => void>();

  constructor(readonly options: RequestOptions) {}

  /** `POST /v1/operations`. */
  operate(operation: string, args: DataRecord): Promise<OperationAnswer> {
    const full = takesRoom.includes(operation) ? this.options.isFull() : undefined;
    if (full !== undefined) return Promise.resolve({ ok: false, code: "refused", error: full });
    if (!isPlain(args)) {
      return Promise.resolve({ ok: false, code: "usage", error: 'the request holds what no message can carry: it is nested too deep, or has a key "__proto__"' });
    }
    const request = Buffer.from(this.options.random.bytes(12)).toString("hex");
    return new Promise((resolve) => {
      this.#waiting.set(request, resolve);
      // The hash is this daemon's own finding, whatever the client says.
      const source = args["source"];
      const checked = typeof source === "string" ? { ...args, hash: hashOf(source) } : args;
      this.options.local("operator.request", { request, operation, args: checked });
    });
  }

  /** Command `operator.respond`. */
  respond({ request, body }: DataRecord): void {
    const answered = this.#waiting.get(String(request));
    this.#waiting.delete(String(request));
    answered?.(body as unknown as OperationAnswer);
  }
}

/** Whether messages and commits can hold it, wherever it goes. */
function isPlain(args: DataRecord): boolean {
  let wrapped: Data = args;
  for (let level = 0; level < levelsAround; level++) wrapped = [wrapped];
  try {
    encode(wrapped);
    return true;
  } catch (error) {
    if (error instanceof CodecError) return false;
    throw error;
  }
}
