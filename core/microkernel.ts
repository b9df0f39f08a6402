/**
 * Microkernel: distributes messages between the elements of an armor and between
 * armors. Deterministic: `step(event, nowMs)` returns effects, in an order the
 * host must keep. It owns every element's state, so a segment that fails is
 * undone by forgetting its staged copies.
 *
 * @module
 */
import type { Caution } from "./caution.ts";
import { Channels } from "./channels.ts";
import { checkpointFormat, type CommitRecord, type Snapshot } from "./checkpoint.ts";
import { type CommitDraft, type Origin, saysSomething } from "./commit_draft.ts";
import { Continuations } from "./continuations.ts";
import type { Data, DataRecord } from "./data.ts";
import { DurableState } from "./durable_state.ts";
import type { Diagnostic, Effects, HostCommand } from "./effects.ts";
import type { Completion, Element, ElementDescription, EventRecord, WorkRequest } from "./element.ts";
import { ArmorError, OperationError } from "./errors.ts";
import type { Frame } from "./frame.ts";
import type { Generation } from "./generation.ts";
import { invariant } from "./invariant.ts";
import type { KernelEvent } from "./kernel_event.ts";
import { limits } from "./limits.ts";
import { LiveElements } from "./live_elements.ts";
import type { Failure, Message } from "./message.ts";
import { decodeMessage, MessageMaker, type Prepared } from "./message_maker.ts";
import { type ArmorId, op } from "./micro_operation.ts";
import type { Payload } from "./payload.ts";
import type { RandomSource } from "./random.ts";
import type { Received, ReliableChannel } from "./reliable_channel.ts";
import { Segment, type SegmentEnd } from "./segment.ts";
import { Timers } from "./timers.ts";

/** How a microkernel is made. */
export interface MicrokernelOptions {
  readonly armor: ArmorId;
  /** The generation of the state: that of the checkpoint, or a new one when a rewind was ordered. */
  readonly generation: Generation;
  readonly elements: readonly Element[];
  readonly random: RandomSource;
  /** Armor whose `events.note` takes this armor's events. */
  readonly eventSink?: ArmorId;
  /** Identity of the boot whose clock it is told; a deadline of another boot has passed. */
  readonly boot?: string;
  /** What a checkpoint holds. */
  readonly restored?: { readonly snapshot: Snapshot; readonly records: readonly CommitRecord[] };
  /** Told about every failed segment; texts of engines stay there. */
  readonly diagnose?: (diagnostic: Diagnostic) => void;
}

/** What a thread is run with besides its message. */
interface Run {
  /** Where the message came from, if from another armor. */
  readonly origin?: Origin;
  /** Key of the continuation that goes on. */
  readonly key?: string;
  readonly completion?: Completion | undefined;
  /** The first op goes to this element alone. */
  readonly only?: string;
}

/** One armor's microkernel. */
export class Microkernel {
  readonly armor: ArmorId;
  readonly generation: Generation;
  readonly #options: MicrokernelOptions;
  readonly #elements: LiveElements;
  readonly #continuations: Continuations;
  readonly #channels: Channels;
  readonly #messages: MessageMaker;
  readonly #timers = new Timers(limits.timersMax);
  #commit = 0;
  #nowMs = 0;
  #steps = 0;
  /** Payload of `armor.started`, for elements that come later. */
  #startPayload: Payload = {};
  /** Threads run in this step. */
  #threads = 0;
  /** The element versions differ from those restored, or nothing was restored: the host writes a snapshot. */
  needsSnapshot = true;
  /** Set while the host fears that a message kills the armor: one thread at a time, each announced. */
  caution: Caution | undefined;
  // Collected during one step.
  #commits: CommitRecord[] = [];
  #work: { key: string; kind: string; args: Data }[] = [];
  #commands: HostCommand[] = [];

  /** @throws {CheckpointError} If the checkpoint's format is not ours. */
  constructor(options: MicrokernelOptions) {
    const { armor, generation, elements, random, restored, eventSink, boot } = options;
    this.#options = options;
    this.armor = armor;
    this.generation = generation;
    const durable = restored && new DurableState(restored.snapshot);
    for (const record of restored?.records ?? []) durable!.apply(record);
    this.#elements = new LiveElements(elements, durable);
    this.#continuations = new Continuations(durable?.continuations);
    this.#channels = new Channels({ armor, generation, random, boot, fresh: !durable, ...(durable && { saved: durable.channels.values() }) });
    this.#messages = new MessageMaker(armor, generation, eventSink);
    if (!durable) return;
    this.#commit = durable.commit;
    this.#messages.count = durable.messages;
    this.needsSnapshot = elements.some(({ name, version }) => durable.elements.get(name)?.version !== version);
  }

  /** Take one event; perform the effects in their order before the next call. */
  step(event: KernelEvent, nowMs: number): Effects {
    invariant(nowMs >= this.#nowMs, `time ran backwards from ${this.#nowMs} to ${nowMs}`);
    this.#nowMs = nowMs;
    this.#steps += 1;
    this.#threads = 0;
    this.#handle(event);
    this.#runReady();
    for (const bodies of this.#channels.takeExpired(nowMs)) this.#turnRound(bodies);
    this.#runReady();
    const draft = this.#draft();
    this.#channels.stageOverdue(draft);
    this.#commitDraft(draft, undefined);
    return this.#takeEffects();
  }

  /** Everything durable, for the checkpoint store. */
  snapshot(): Snapshot {
    return {
      format: checkpointFormat,
      armor: this.armor,
      generation: this.generation,
      commit: this.#commit,
      messages: this.#messages.count,
      elements: this.#elements.snapshot(),
      continuations: this.#continuations.snapshot(),
      channels: this.#channels.snapshot(),
    };
  }

  /** Elements with their versions and ops. */
  describe(): ElementDescription[] {
    return this.#elements.describe();
  }

  /** An element's durable state; for tests, checkers and read-only views of the host. */
  state(element: string): DataRecord | undefined {
    return this.#elements.states.get(element);
  }

  /** An element's volatile part; for tests, checkers and read-only views of the host. */
  volatile(element: string): unknown {
    return this.#elements.volatiles.get(element);
  }

  /** Steps taken: what heartbeat replies show as progress. */
  get steps(): number {
    return this.#steps;
  }

  /**
   * Run every element's `check` over its committed state, and look whether any of it has changed in place.
   *
   * @throws {InvariantError} If committed state is wrong: nothing is left to undo.
   */
  audit(): void {
    this.#elements.audit();
  }

  #handle(event: KernelEvent): void {
    switch (event.kind) {
      case "start":
        return this.#start(event.payload ?? {});
      case "frame":
        return this.#receive(event.frame);
      case "local":
        return this.#runLocal(event.op, event.payload);
      case "work-done":
        return this.#continuations.complete(event.key, event.completion);
      case "link-up":
        return this.#channels.kick(this.#nowMs, event.at);
      case "tick":
        for (const { kind, key } of this.#continuations.takeLapsed(this.#nowMs)) {
          if (kind === "deadline") this.#deadlinePassed(key);
          else this.#continuations.complete(key, { ok: false, error: "timeout" });
        }
        for (const timer of this.#timers.takeDue(this.#nowMs)) this.#runLocal(timer.op, timer.payload);
    }
  }

  #start(payload: Payload): void {
    // What `armor.started` begins is begun already; what it completes is ready already.
    const unfinished = this.#continuations.inOrder();
    this.#channels.begin(this.#nowMs);
    this.#startPayload = payload;
    this.#runLocal("armor.started", payload);
    for (const key of unfinished) {
      const continuation = this.#continuations.get(key);
      if (!continuation || this.#continuations.isReady(key)) continue;
      const { work, completion } = continuation;
      if (!work || completion) this.#continuations.makeReady(key);
      else if (this.caution?.isPoison(key)) this.#failAsPoison(continuation.message, { key });
      else this.#startWork(key, work);
    }
  }

  #startWork(key: string, { kind, args = null, timeoutMs }: WorkRequest): void {
    if (kind !== "wait") this.#work.push({ key, kind, args });
    this.#continuations.watch(key, timeoutMs, this.#nowMs);
  }

  #deadlinePassed(key: string): void {
    if (!this.#continuations.isOpen(key)) return;
    const { message } = this.#continuations.get(key)!;
    this.#commitFailure(message, this.#messages.failure("deadline", message, "the deadline passed"), { key });
  }

  #receive(frame: Frame): void {
    if (frame.to !== this.armor) return;
    const channel = this.#channels.to(frame.from);
    const received = channel.receive(frame, this.#nowMs);
    if (received.kind === "deliver") this.#deliver(channel, received);
    if (received.kind === "rewound" || received.kind === "renumbered") this.#commitAgreement(channel, received);
  }

  #deliver(channel: ReliableChannel, { lane, sequence, frame }: Received & { kind: "deliver" }): void {
    const late = frame.deadlineMs !== undefined && frame.deadlineMs < 0;
    if (lane === "user" && !late && !this.#admits()) {
      channel.refused = true;
      return;
    }
    const message = decodeMessage(frame.body);
    const origin = { peer: channel.peer, lane, sequence };
    if (!message) this.#dropUnreadable(frame.body, origin);
    else if (late) this.#commitFailure(message, this.#messages.failure("deadline", message, "the deadline passed on the way"), { origin });
    // A deadline that the message itself does not have was for being admitted.
    else this.#runThread({ ...message, ...(message.deadlineMs !== undefined && frame.deadlineMs !== undefined && { deadlineMs: frame.deadlineMs }) }, { origin });
  }

  /** Room for what one segment may send, and for one more suspended thread. */
  #admits(): boolean {
    return this.#continuations.size < limits.continuationsMax && this.#channels.hasRoom;
  }

  #runLocal(name: string, payload: Payload): void {
    if (this.#elements.subscriptions.subscribers(name).length === 0) return;
    this.#runThread(this.#messages.make([op(name)], payload, "user"), {});
  }

  #runReady(): void {
    for (let runs = 0; this.#continuations.hasReady && runs < limits.opsPerThread; runs++) {
      // Under caution the effects of one thread are done before the next one runs.
      if (this.caution && this.#threads > 0) return;
      const key = this.#continuations.takeReady()!;
      const continuation = this.#continuations.get(key);
      if (continuation) this.#runThread(this.#continuations.messageOf(key, this.#nowMs), { key, completion: continuation.completion });
    }
  }

  #runThread(message: Message, run: Run): void {
    this.#threads += 1;
    if (this.caution && !this.#mayRun(this.caution, message, run)) return this.#failAsPoison(message, run);
    const { completion, only } = run;
    const segment = new Segment(
      {
        self: this.armor,
        generation: this.generation,
        nowMs: this.#nowMs,
        random: this.#options.random,
        subscriptions: this.#elements.subscriptions,
        states: this.#elements.states,
        volatiles: this.#elements.volatiles,
        room: (peer, lane) => this.#channels.room(peer, lane),
        continuations: this.#continuations.size,
        timers: this.#timers,
        waiting: () => this.#waiting(run.key),
        ...(only !== undefined && { only }),
      },
      message,
      completion,
    );
    const end = segment.run();
    if (end.kind === "failed") return this.#fail(message, end.failure, end.error, run);
    const moved = {
      ...message,
      payload: segment.payload,
      executed: message.executed + segment.executed,
      segments: message.segments + 1,
    };
    const made = this.#messages.count;
    let outgoing: readonly Prepared[];
    try {
      outgoing = this.#outgoing(segment, end, moved);
    } catch (error) {
      if (!(error instanceof ArmorError)) throw error;
      this.#messages.count = made;
      const [code, text] = error instanceof OperationError ? [error.code, error.message] : ["handler-threw", "a message is not plain data"];
      return this.#fail(message, this.#messages.failure(code, message, text), error, run);
    }
    this.#commitSegment(segment, end, moved, outgoing, run);
  }

  /** Announce the thread to the host that fears for the armor, unless the armor has died under it before. */
  #mayRun(caution: Caution, message: Message, { origin, key }: Run): boolean {
    const name = message.ops[0]?.name ?? "";
    const kind = key !== undefined ? "continuation" : origin ? "message" : "local";
    const id = key ?? (origin ? message.id : name);
    if (kind !== "local" && caution.isPoison(id)) return false;
    caution.begins({ kind, id, op: name });
    return true;
  }

  /** Messages suspended here, all but the one that runs, and those that peers have not acknowledged. */
  *#waiting(running: string | undefined): Generator<Message> {
    yield* this.#continuations.messages(running);
    yield* this.#channels.unacknowledged();
  }

  /**
   * Encode everything a segment sends before anything of it is kept.
   *
   * @throws {ArmorError} If a message is not plain data, or too large.
   */
  #outgoing(segment: Segment, end: SegmentEnd, moved: Message): Prepared[] {
    const messages = segment.sends.map(({ ops, payload = {}, lane = "user", deadlineMs }) => this.#messages.make(ops, payload, lane, deadlineMs));
    if (end.kind === "hop") messages.unshift({ ...moved, ops: end.ops, to: end.ops[0]!.at!, hops: moved.hops + 1 });
    if (end.kind === "blocked" || end.kind === "reconfigured") this.#messages.checkKept({ ...moved, ops: end.ops });
    messages.push(...this.#messages.notes(segment.events, this.#nowMs));
    return messages.map((message) => this.#messages.prepare(message));
  }

  #commitSegment(segment: Segment, end: SegmentEnd, moved: Message, outgoing: readonly Prepared[], { origin, key }: Run): void {
    const draft = this.#draft();
    const { plan } = segment;
    if (plan) {
      this.#elements.stagePlan(plan, draft);
      // What is gone or begins anew has no timers.
      if (plan.version === undefined || plan.fresh) this.#timers.cancelAll(`${plan.name} `);
    }
    this.#elements.stageStates(segment.states, segment.volatiles, draft);
    if (key !== undefined) this.#continuations.remove(draft, key);
    if (end.kind === "reconfigured") this.#continuations.addReady(draft, segment.key, { message: { ...moved, ops: end.ops } });
    if (end.kind === "blocked") {
      this.#continuations.addBlocked(draft, segment.key, { message: { ...moved, ops: end.ops }, work: end.work });
      this.#startWork(segment.key, end.work);
    }
    for (const one of outgoing) this.#enqueue(draft, one);
    for (const { key: waiting, completion } of segment.completions) this.#continuations.complete(waiting, completion, draft);
    for (const { key: timer, timer: value } of segment.timers) {
      if (value) this.#timers.set(timer, value);
      else this.#timers.cancel(timer);
    }
    this.#commands.push(...segment.commands);
    this.#commitDraft(draft, origin, segment.forgotten);
    if (plan?.fresh) this.#startElement(plan.name);
  }

  /** What a start of the armor is to all elements, this is to one. */
  #startElement(name: string): void {
    if (!this.#elements.subscriptions.subscribers("armor.started").some((element) => element.name === name)) return;
    this.#runThread(this.#messages.make([op("armor.started")], this.#startPayload, "user"), { only: name });
  }

  #fail(message: Message, failure: Failure, error: unknown, run: Run): void {
    this.#options.diagnose?.({ op: failure.op, element: failure.element, code: failure.code, error: error ?? failure.text });
    // Undone is what the segment has made wrong; what was wrong before it cannot be.
    if (failure.code === "check") this.#elements.audit(failure.element);
    this.#commitFailure(message, failure, run);
  }

  /** The armor has died under it before: it has no effect here but this answer. */
  #failAsPoison(message: Message, run: Run): void {
    const failure = this.#messages.failure("poison", message, `"${this.armor}" died under it again and again`);
    this.#fail(message, failure, undefined, run);
  }

  /**
   * Undo the segment (nothing of it was kept) and send the message back to where
   * it came from. Nobody waits for the outcome of what the host or a timer started.
   */
  #commitFailure(message: Message, failure: Failure, { origin, key }: Run): void {
    const draft = this.#draft();
    if (key !== undefined) this.#continuations.remove(draft, key);
    if (message.failed || failure.code === "poison") {
      this.#noteEvents(draft, [{ kind: "message.dead-lettered", subject: message.id, cause: failure.code, op: failure.op }]);
      this.#commands.push({ kind: "dead-letter", args: { message: message as unknown as DataRecord, failure } });
    }
    if (!message.failed && (origin || key !== undefined)) this.#enqueue(draft, this.#messages.answer(message, failure));
    this.#commitDraft(draft, origin);
  }

  /** What no armor of ours can have sent: it counts as handled, and there is nobody to answer. */
  #dropUnreadable(body: Uint8Array, origin: Origin): void {
    const draft = this.#draft();
    const { peer, lane, sequence } = origin;
    const id = `${peer}/${lane}/${sequence}`;
    this.#noteEvents(draft, [{ kind: "message.dead-lettered", subject: id, cause: "unreadable", op: "" }]);
    const failure = { code: "unreadable", op: "", element: "", text: `${body.length} bytes are not a message`, armor: this.armor, committed: 0 };
    this.#commands.push({ kind: "dead-letter", args: { message: { id, from: peer }, failure } });
    this.#commitDraft(draft, origin);
  }

  /** Messages that never left and whose deadline passed: they leave the outbox and are answered in one commit. */
  #turnRound(bodies: readonly Uint8Array[]): void {
    const draft = this.#draft();
    for (const body of bodies) {
      const message = decodeMessage(body)!;
      const failure = this.#messages.failure("deadline", message, "the deadline passed before it could be sent");
      this.#enqueue(draft, this.#messages.answer(message, failure));
    }
    this.#commitDraft(draft, undefined);
  }

  /** Nothing is sent under new numbers before they are durable: a restart would number the same messages otherwise. */
  #commitAgreement(channel: ReliableChannel, received: Received & { kind: "rewound" | "renumbered" }): void {
    const draft = this.#draft();
    if (received.kind === "rewound") {
      const { inDoubt, lost } = received;
      const messages = inDoubt.slice(0, limits.inDoubtNamesMax).map((body) => decodeMessage(body)!.id);
      this.#noteEvents(draft, [
        { kind: "armor.rewound", subject: channel.peer, reporter: this.armor, inDoubt: inDoubt.length + lost, messages },
      ]);
    }
    if (channel.dirty === "agreement") this.#channels.stageAgreement(draft, channel);
    this.#commitDraft(draft, undefined);
  }

  #enqueue(draft: CommitDraft, { message, body }: Prepared): void {
    if (body === undefined) return this.#continuations.addReady(draft, message.id, { message });
    if (this.#channels.enqueue(draft, message, body, this.#nowMs)) return;
    // What a segment sends has its room reserved; an answer or an event that finds none is kept by the host.
    this.#commands.push({ kind: "dead-letter", args: { message: message as unknown as DataRecord } });
  }

  #noteEvents(draft: CommitDraft, events: readonly EventRecord[]): void {
    for (const message of this.#messages.notes(events, this.#nowMs)) this.#enqueue(draft, this.#messages.prepare(message));
  }

  #draft(): CommitDraft {
    return { commit: this.#commit + 1, generation: this.generation };
  }

  /** Write the draft, if it says anything, and let the message count as handled. */
  #commitDraft(draft: CommitDraft, origin: Origin | undefined, forgotten: readonly ArmorId[] = []): void {
    if (origin) this.#channels.stageHandled(draft, origin);
    this.#channels.stageRest(draft, forgotten);
    if (!saysSomething(draft)) return;
    draft.messages = this.#messages.count;
    this.#commit += 1;
    this.#commits.push(draft);
  }

  #takeEffects(): Effects {
    const { acks, sends, wakeAtMs: channelsMs } = this.#channels.take(this.#admits(), this.#nowMs);
    const ownMs = this.#continuations.hasReady ? this.#nowMs : earliest(this.#timers.wakeAtMs, this.#continuations.wakeAtMs);
    const wakeAtMs = earliest(ownMs, channelsMs);
    const effects = { commits: this.#commits, sends, acks, work: this.#work, commands: this.#commands, wakeAtMs };
    this.#commits = [];
    this.#work = [];
    this.#commands = [];
    return effects;
  }
}

function earliest(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || (b !== undefined && b < a) ? b : a;
}
