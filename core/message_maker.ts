/**
 * Message maker: gives an armor's messages their ids and the form in which they
 * leave; says how failures are reported.
 *
 * @module
 */
import { CodecError, decode, encode } from "./codec.ts";
import type { Data, DataRecord } from "./data.ts";
import type { EventRecord } from "./element.ts";
import { ArmorError, OperationError } from "./errors.ts";
import { type Generation, generationText } from "./generation.ts";
import { limits } from "./limits.ts";
import { type Failure, isMessage, type Lane, type Message, opFailed } from "./message.ts";
import { type ArmorId, op, type MicroOperation } from "./micro_operation.ts";
import type { Payload } from "./payload.ts";

/** A message about to be enqueued; `body` where it leaves the armor. */
export type Prepared = { readonly message: Message; readonly body: Uint8Array | undefined };

/** Makes messages for one armor. */
export class MessageMaker {
  readonly #armor: ArmorId;
  readonly #generation: Generation;
  readonly #eventSink: ArmorId | undefined;
  /** Messages made; the counter in their ids. */
  count = 0;

  /** @param eventSink Armor whose `events.note` takes this armor's events. */
  constructor(armor: ArmorId, generation: Generation, eventSink: ArmorId | undefined) {
    this.#armor = armor;
    this.#generation = generation;
    this.#eventSink = eventSink;
  }

  /** A new message. */
  make(ops: readonly MicroOperation[], payload: Payload, lane: Lane, deadlineMs?: number): Message {
    this.count += 1;
    return {
      id: `${this.#armor}/${generationText(this.#generation)}/${this.count}`,
      from: this.#armor,
      to: ops[0]!.at ?? this.#armor,
      lane,
      ops,
      payload,
      executed: 0,
      segments: 0,
      hops: 0,
      ...(deadlineMs !== undefined && { deadlineMs }),
    };
  }

  /** @throws {ArmorError} If the message is not plain data, or too large. */
  prepare(message: Message): Prepared {
    if (message.to === this.#armor) {
      this.checkKept(message);
      return { message, body: undefined };
    }
    const body = encode(message);
    if (body.length > limits.messageBytesMax) throw new OperationError("limit", `a message of ${body.length} bytes is too large`);
    return { message, body };
  }

  /**
   * What stays here is written down all the same, in a commit, and deeper in it than in a message.
   *
   * @throws {ArmorError} If it cannot be.
   */
  checkKept(message: Message): void {
    encode({ continuations: { "": { message } } } as unknown as Data);
  }

  /** What went wrong with a message here, at its next op. */
  failure(code: string, message: Message, text: string): Failure {
    return { code, op: message.ops[0]?.name ?? "", element: "", text, armor: this.#armor, committed: message.segments };
  }

  /** The message that reports a failure; without the payload of the failed one where that would make it too large. */
  answer(message: Message, failure: Failure): Prepared {
    const answer = { ...this.make([op(opFailed, message.from)], {}, "system"), failed: true } as const;
    try {
      return this.prepare({ ...answer, payload: { failure, message: message as unknown as DataRecord } });
    } catch (error) {
      if (!(error instanceof ArmorError)) throw error;
      const { payload: _, ...stripped } = message;
      return this.prepare({ ...answer, payload: { failure, message: { ...stripped, payload: {} } as unknown as DataRecord } });
    }
  }

  /** The message that brings events to the armor that takes them; none where there is no such armor. */
  notes(events: readonly EventRecord[], nowMs: number): Message[] {
    if (!this.#eventSink || events.length === 0) return [];
    const noted = events.map((event) => ({ ...event, atMs: nowMs }));
    return [this.make([op("events.note", this.#eventSink)], { events: noted }, "system")];
  }
}

/** A message as it travelled; `undefined` if the bytes are none. */
export function decodeMessage(body: Uint8Array): Message | undefined {
  try {
    const value = decode(body);
    return isMessage(value) ? value : undefined;
  } catch (error) {
    if (error instanceof CodecError) return undefined;
    throw error;
  }
}
