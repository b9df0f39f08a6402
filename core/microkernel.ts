/**
 * Microkernel: distributes messages between the elements of an armor and between
 * armors. Deterministic: `step(event, nowMs)` returns effects, in an order the
 * host must keep. It owns every element's state, so a segment that fails is
 * undone by forgetting its staged copies.
 *
 * @module
 */
import { checkpointFormat, type CommitRecord, type Continuation, type Snapshot } from "./checkpoint.ts";
import { CodecError, decode, encode } from "./codec.ts";
import type { Caution } from "./caution.ts";
import type { Data, DataRecord } from "./data.ts";
import { DurableState, difference } from "./durable_state.ts";
import type { Diagnostic, Effects, HostCommand } from "./effects.ts";
import type { Completion, Element, ElementDescription, EventRecord, OutgoingMessage } from "./element.ts";
import type { Frame } from "./frame.ts";
import { type Generation, generationText } from "./generation.ts";
import { ArmorError, OperationError } from "./errors.ts";
import { invariant, InvariantError } from "./invariant.ts";
import { limits } from "./limits.ts";
import { type Failure, isMessage, type Lane, type Message, opFailed } from "./message.ts";
import { type ArmorId, op, type MicroOperation } from "./micro_operation.ts";
import type { Payload } from "./payload.ts";
import type { RandomSource } from "./random.ts";
import type { ReconfigurationPlan } from "./reconfiguration.ts";
import { type Received, ReliableChannel } from "./reliable_channel.ts";
import { Segment, type SegmentEnd } from "./segment.ts";
import { SubscriptionList } from "./subscription_list.ts";
import { Timers } from "./timers.ts";

/** What happened outside. */
export type KernelEvent =
  /** The armor starts or has restarted: elements get `armor.started`, unfinished work goes on. */
  | { readonly kind: "start"; readonly payload?: Payload }
  | { readonly kind: "frame"; readonly frame: Frame }
  /** The host has something to say to the elements. */
  | { readonly kind: "local"; readonly op: string; readonly payload: Payload }
  | { readonly kind: "work-done"; readonly key: string; readonly completion: Completion }
  /** Time has passed. */
  | { readonly kind: "tick" }
  /** The way to other armors has changed: transmit again at once. */
  | { readonly kind: "link-up" };

/** How a microkernel is made. */
export interface MicrokernelOptions {
  readonly armor: ArmorId;
  /** The generation of the state: that of the checkpoint, or a new one when a rewind was ordered. */
  readonly generation: Generation;
  readonly elements: readonly Element[];
  readonly random: RandomSource;
  /** Armor whose `events.note` takes this armor's events. */
  readonly eventSink?: ArmorId;
  /** What a checkpoint holds. */
  readonly restored?: { readonly snapshot: Snapshot; readonly records: readonly CommitRecord[] };
  /** Told about every failed segment; texts of engines stay there. */
  readonly diagnose?: (diagnostic: Diagnostic) => void;
}

/** A message about to be enqueued; `body` where it leaves the armor. */
type Prepared = { readonly message: Message; readonly body: Uint8Array | undefined };
type Origin = { readonly peer: ArmorId; readonly lane: Lane; readonly sequence: number };
/** A record in the making; what can be long grows in place. */
type Draft = { -readonly [K in keyof CommitRecord]: CommitRecord[K] } & {
  sent?: NonNullable<CommitRecord["sent"]>[number][];
  continuations?: Record<string, Continuation | null>;
};

/** One armor's microkernel. */
export class Microkernel {
  readonly armor: ArmorId;
  readonly generation: Generation;
  readonly #options: MicrokernelOptions;
  #subscriptions = new SubscriptionList();
  readonly #states = new Map<string, DataRecord>();
  readonly #volatiles = new Map<string, unknown>();
  readonly #continuations = new Map<string, Continuation>();
  readonly #channels = new Map<ArmorId, ReliableChannel>();
  readonly #timers = new Timers(limits.timersMax);
  /** Time-outs and deadlines of suspended threads: apart, so that many threads leave elements their timers. */
  readonly #threadTimers = new Timers(2 * limits.continuationsMax);
  /** Keys of continuations that can run now. */
  readonly #ready: string[] = [];
  #commit = 0;
  #messages = 0;
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
  #sends: Frame[] = [];
  #work: { key: string; kind: string; args: Data }[] = [];
  #acks: Frame[] = [];
  #commands: HostCommand[] = [];

  /** @throws {CheckpointError} If the checkpoint's format is not ours. */
  constructor(options: MicrokernelOptions) {
    this.#options = options;
    this.armor = options.armor;
    this.generation = options.generation;
    const durable = options.restored && new DurableState(options.restored.snapshot);
    for (const record of options.restored?.records ?? []) durable!.apply(record);
    for (const element of options.elements) this.#addElement(element, durable);
    if (!durable) return;
    this.#commit = durable.commit;
    this.#messages = durable.messages;
    for (const [key, continuation] of durable.continuations) this.#continuations.set(key, continuation);
    for (const [peer, saved] of durable.channels) {
      this.#channels.set(peer, new ReliableChannel(this.armor, peer, this.generation, this.#attempt(), saved));
    }
    this.needsSnapshot = options.elements.some(({ name, version }) => durable.elements.get(name)?.version !== version);
  }

  /** Take one event; perform the effects in their order before the next call. */
  step(event: KernelEvent, nowMs: number): Effects {
    invariant(nowMs >= this.#nowMs, `time ran backwards from ${this.#nowMs} to ${nowMs}`);
    this.#nowMs = nowMs;
    this.#steps += 1;
    this.#threads = 0;
    this.#handle(event);
    this.#runReady();
    for (const channel of this.#channels.values()) this.#turnRound(channel.takeExpired(nowMs));
    this.#runReady();
    return this.#takeEffects();
  }

  /** Everything durable, for the checkpoint store. */
  snapshot(): Snapshot {
    const elements: Record<string, { version: number; state: DataRecord }> = {};
    for (const { name, version } of this.#subscriptions.elements()) {
      elements[name] = { version, state: this.#states.get(name)! };
    }
    return {
      format: checkpointFormat,
      armor: this.armor,
      generation: this.generation,
      commit: this.#commit,
      messages: this.#messages,
      elements,
      continuations: Object.fromEntries(this.#continuations),
      channels: [...this.#channels.values()].map((channel) => channel.snapshot()),
    };
  }

  /** Elements with their versions and ops. */
  describe(): ElementDescription[] {
    return this.#subscriptions.describe();
  }

  /** An element's durable state; for tests, checkers and read-only views of the host. */
  state(element: string): DataRecord | undefined {
    return this.#states.get(element);
  }

  /** An element's volatile part; for tests, checkers and read-only views of the host. */
  volatile(element: string): unknown {
    return this.#volatiles.get(element);
  }

  /** Steps taken: what heartbeat replies show as progress. */
  get steps(): number {
    return this.#steps;
  }

  /**
   * Run every element's `check` over its committed state.
   *
   * @throws {InvariantError} If committed state is wrong: nothing is left to undo.
   */
  audit(): void {
    for (const element of this.#subscriptions.elements()) {
      const wrong = element.check?.(this.#states.get(element.name)!, this.#volatiles.get(element.name));
      if (wrong !== undefined) throw new InvariantError(`state of element "${element.name}" is corrupt: ${wrong}`);
    }
  }

  #addElement(element: Element, durable: DurableState | undefined): void {
    this.#subscriptions.add(element);
    const saved = durable?.elements.get(element.name);
    let state = element.state;
    if (saved) {
      state = saved.version === element.version ? saved.state : element.migrate?.(saved.state, saved.version) ?? element.state;
    }
    this.#states.set(element.name, state);
    this.#volatiles.set(element.name, element.volatile?.());
  }

  #attempt(): number {
    return this.#options.random.below(2 ** 32);
  }

  #channel(peer: ArmorId): ReliableChannel {
    let channel = this.#channels.get(peer);
    if (!channel) {
      const fresh = this.#options.restored === undefined;
      channel = new ReliableChannel(this.armor, peer, this.generation, this.#attempt(), undefined, undefined, fresh);
      this.#channels.set(peer, channel);
    }
    return channel;
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
        return this.#workDone(event.key, event.completion);
      case "link-up":
        for (const channel of this.#channels.values()) channel.kick(this.#nowMs);
        return;
      case "tick":
        for (const { op: name, payload } of this.#threadTimers.takeDue(this.#nowMs)) {
          const key = payload["key"] as string;
          if (name === "deadline") this.#deadlinePassed(key);
          else this.#workDone(key, { ok: false, error: "timeout" });
        }
        for (const timer of this.#timers.takeDue(this.#nowMs)) this.#runLocal(timer.op, timer.payload);
    }
  }

  #start(payload: Payload): void {
    // What `armor.started` begins is begun already; what it completes is ready already.
    const unfinished = [...this.#continuations.keys()].sort(inOrderOfCounters);
    this.#startPayload = payload;
    this.#runLocal("armor.started", payload);
    for (const key of unfinished) {
      const continuation = this.#continuations.get(key);
      if (!continuation || this.#ready.includes(key)) continue;
      const { work, completion } = continuation;
      if (!work || completion) this.#ready.push(key);
      else if (this.caution?.isPoison(key)) this.#failAsPoison(continuation.message, undefined, key);
      else this.#startWork(key, work);
    }
  }

  #startWork(key: string, { kind, args = null, timeoutMs }: NonNullable<Continuation["work"]>): void {
    if (kind !== "wait") this.#work.push({ key, kind, args });
    if (timeoutMs !== undefined) {
      const payload = { key };
      this.#threadTimers.set(`work ${key}`, { atMs: this.#nowMs + timeoutMs, op: "timeout", payload });
    }
    const { message } = this.#continuations.get(key)!;
    if (message.deadlineMs !== undefined) {
      const payload = { key };
      this.#threadTimers.set(`deadline ${key}`, { atMs: this.#nowMs + message.deadlineMs, op: "deadline", payload });
    }
  }

  #receive(frame: Frame): void {
    if (frame.to !== this.armor) return;
    const channel = this.#channel(frame.from);
    const received = channel.receive(frame, this.#nowMs);
    if (received.kind === "deliver") this.#deliver(frame.from, received);
    if (received.kind === "rewound" || received.kind === "renumbered") this.#commitAgreement(channel, received);
  }

  #deliver(peer: ArmorId, { lane, sequence, frame }: Received & { kind: "deliver" }): void {
    const late = frame.deadlineMs !== undefined && frame.deadlineMs < 0;
    if (lane === "user" && !late && !this.#admits()) {
      this.#channel(peer).refused = true;
      return;
    }
    const message = decodeMessage(frame.body);
    const origin = { peer, lane, sequence };
    if (!message) this.#dropUnreadable(frame, origin);
    else if (late) this.#commitFailure(message, this.#failure("deadline", message, "the deadline passed on the way"), origin);
    else this.#runThread({ ...message, ...(frame.deadlineMs !== undefined && { deadlineMs: frame.deadlineMs }) }, origin);
  }

  /** Room for what one segment may send, in the user lane of every channel, and for one more suspended thread. */
  #admits(): boolean {
    if (this.#continuations.size >= limits.continuationsMax) return false;
    for (const channel of this.#channels.values()) {
      if (channel.room("user") < limits.sendsPerSegmentMax) return false;
    }
    return true;
  }

  #runLocal(name: string, payload: Payload): void {
    if (this.#subscriptions.subscribers(name).length === 0) return;
    this.#runThread(this.#message([op(name)], payload, "user"), undefined);
  }

  #message(ops: readonly MicroOperation[], payload: Payload, lane: Lane, deadlineMs?: number): Message {
    this.#messages += 1;
    return {
      id: `${this.armor}/${generationText(this.generation)}/${this.#messages}`,
      from: this.armor,
      to: ops[0]!.at ?? this.armor,
      lane,
      ops,
      payload,
      executed: 0,
      segments: 0,
      hops: 0,
      ...(deadlineMs !== undefined && { deadlineMs }),
    };
  }

  #workDone(key: string, completion: Completion): void {
    const continuation = this.#continuations.get(key);
    if (!continuation || continuation.completion) return;
    this.#continuations.set(key, { ...continuation, completion });
    this.#ready.push(key);
  }

  #deadlinePassed(key: string): void {
    const continuation = this.#continuations.get(key);
    if (!continuation || continuation.completion) return;
    const { message } = continuation;
    this.#commitFailure(message, this.#failure("deadline", message, "the deadline passed"), undefined, key);
  }

  #runReady(): void {
    for (let runs = 0; this.#ready.length > 0 && runs < limits.opsPerThread; runs++) {
      // Under caution the effects of one thread are done before the next one runs.
      if (this.caution && this.#threads > 0) return;
      const key = this.#ready.shift()!;
      const continuation = this.#continuations.get(key);
      if (continuation) this.#runThread(this.#withRemainingTime(key, continuation.message), undefined, key, continuation.completion);
    }
  }

  /** A deadline goes on counting while its thread is suspended; what was left survives a restart. */
  #withRemainingTime(key: string, message: Message): Message {
    const timer = this.#threadTimers.get(`deadline ${key}`);
    return timer ? { ...message, deadlineMs: Math.max(0, timer.atMs - this.#nowMs) } : message;
  }

  #runThread(message: Message, origin: Origin | undefined, key?: string, completion?: Completion, only?: string): void {
    this.#threads += 1;
    if (this.caution) {
      const name = message.ops[0]?.name ?? "";
      const kind = key !== undefined ? "continuation" : origin ? "message" : "local";
      const id = key ?? (origin ? message.id : name);
      if (kind !== "local" && this.caution.isPoison(id)) return this.#failAsPoison(message, origin, key);
      this.caution.begins({ kind, id, op: name });
    }
    const segment = new Segment(
      {
        self: this.armor,
        generation: this.generation,
        nowMs: this.#nowMs,
        random: this.#options.random,
        subscriptions: this.#subscriptions,
        states: this.#states,
        volatiles: this.#volatiles,
        room: (peer, lane) => this.#channels.get(peer)?.room(lane) ?? limits.outboxMax,
        continuations: this.#continuations.size,
        timers: this.#timers,
        waiting: () => this.#waiting(key),
        ...(only !== undefined && { only }),
      },
      message,
      completion,
    );
    const end = segment.run();
    if (end.kind === "failed") return this.#fail(message, end.failure, end.error, origin, key);
    const moved = {
      ...message,
      payload: segment.payload,
      executed: message.executed + segment.executed,
      segments: message.segments + 1,
    };
    const messages = this.#messages;
    let outgoing: readonly Prepared[];
    try {
      outgoing = this.#outgoing(segment, end, moved);
    } catch (error) {
      if (!(error instanceof ArmorError)) throw error;
      this.#messages = messages;
      const [code, text] = error instanceof OperationError ? [error.code, error.message] : ["handler-threw", "a message is not plain data"];
      return this.#fail(message, this.#failure(code, message, text), error, origin, key);
    }
    this.#commitSegment(segment, end, moved, outgoing, origin, key);
  }

  #fail(message: Message, failure: Failure, error: unknown, origin: Origin | undefined, key?: string): void {
    this.#options.diagnose?.({ op: failure.op, element: failure.element, code: failure.code, error: error ?? failure.text });
    this.#commitFailure(message, failure, origin, key);
  }

  /** The armor has died under it before: it has no effect here but this answer. */
  #failAsPoison(message: Message, origin: Origin | undefined, key?: string): void {
    const failure = this.#failure("poison", message, `"${this.armor}" died under it again and again`);
    this.#fail(message, failure, undefined, origin, key);
  }

  /** What no armor of ours can have sent: it counts as handled, and there is nobody to answer. */
  #dropUnreadable({ body }: Frame & { type: "data" }, origin: Origin): void {
    const draft = this.#draft();
    const { peer, lane, sequence } = origin;
    const id = `${peer}/${lane}/${sequence}`;
    this.#startEvents(draft, [{ kind: "message.dead-lettered", subject: id, cause: "unreadable", op: "" }]);
    const failure = { code: "unreadable", op: "", element: "", text: `${body.length} bytes are not a message`, armor: this.armor, committed: 0 };
    this.#commands.push({ kind: "dead-letter", args: { message: { id, from: peer }, failure } });
    this.#commitDraft(draft, origin);
  }

  /**
   * Encode everything a segment sends before anything of it is kept.
   *
   * @throws {ArmorError} If a message is not plain data, or too large.
   */
  #outgoing(segment: Segment, end: SegmentEnd, moved: Message): Prepared[] {
    const messages = segment.sends.map((send) => this.#newMessage(send));
    if (end.kind === "hop") messages.unshift({ ...moved, ops: end.ops, to: end.ops[0]!.at!, hops: moved.hops + 1 });
    messages.push(...this.#notes(segment.events));
    return messages.map((message) => this.#prepare(message));
  }

  #prepare(message: Message): Prepared {
    if (message.to === this.armor) return { message, body: undefined };
    const body = encode(message);
    if (body.length > limits.messageBytesMax) throw new OperationError("limit", `a message of ${body.length} bytes is too large`);
    return { message, body };
  }

  #commitSegment(segment: Segment, end: SegmentEnd, moved: Message, outgoing: readonly Prepared[], origin: Origin | undefined, key?: string): void {
    const draft = this.#draft();
    if (segment.plan) this.#stagePlan(segment.plan, draft);
    this.#stageStates(segment, draft);
    for (const [name, value] of segment.volatiles) this.#volatiles.set(name, value);
    if (key !== undefined) this.#setContinuation(draft, key, null);
    if (end.kind === "reconfigured") {
      this.#setContinuation(draft, segment.key, { message: { ...moved, ops: end.ops } });
      this.#ready.push(segment.key);
    }
    if (end.kind === "blocked") {
      this.#setContinuation(draft, segment.key, { message: { ...moved, ops: end.ops }, work: end.work });
      this.#startWork(segment.key, end.work);
    }
    for (const one of outgoing) this.#enqueue(draft, one);
    for (const { key: waiting, completion } of segment.completions) this.#stageCompletion(draft, waiting, completion);
    for (const { key: timer, timer: value } of segment.timers) {
      if (value) this.#timers.set(timer, value);
      else this.#timers.cancel(timer);
    }
    this.#commands.push(...segment.commands);
    this.#commitDraft(draft, origin, segment.forgotten);
    if (segment.plan?.fresh) this.#startElement(segment.plan.name);
  }

  /** Take the new list of elements; what a removed one held goes, what begins anew has no timers yet. */
  #stagePlan({ name, version, subscriptions, fresh }: ReconfigurationPlan, draft: Draft): void {
    this.#subscriptions = subscriptions;
    if (version === undefined || fresh) this.#timers.cancelAll(`${name} `);
    if (version === undefined) {
      draft.removed = [name];
      this.#states.delete(name);
      this.#volatiles.delete(name);
    } else {
      draft.versions = { [name]: version };
    }
  }

  /** What a start of the armor is to all elements, this is to one. */
  #startElement(name: string): void {
    if (!this.#subscriptions.subscribers("armor.started").some((element) => element.name === name)) return;
    this.#runThread(this.#message([op("armor.started")], this.#startPayload, "user"), undefined, undefined, undefined, name);
  }

  /** Messages suspended here, all but the one that runs, and those that peers have not acknowledged. */
  *#waiting(running: string | undefined): Generator<Message> {
    for (const [key, { message }] of this.#continuations) if (key !== running) yield message;
    for (const channel of this.#channels.values()) {
      for (const { body } of channel.snapshot().outbox) yield decode(body) as Message;
    }
  }

  /**
   * Undo the segment (nothing of it was kept) and send the message back to where
   * it came from. Nobody waits for the outcome of what the host or a timer started.
   */
  #commitFailure(
    message: Message,
    failure: Failure,
    origin: Origin | undefined,
    key?: string,
    answer = origin !== undefined || key !== undefined,
  ): void {
    const draft = this.#draft();
    if (key !== undefined) this.#setContinuation(draft, key, null);
    if (message.failed || failure.code === "poison") {
      this.#startEvents(draft, [{ kind: "message.dead-lettered", subject: message.id, cause: failure.code, op: failure.op }]);
      this.#commands.push({ kind: "dead-letter", args: { message: message as unknown as DataRecord, failure } });
    }
    if (answer && !message.failed) this.#enqueue(draft, this.#answer(message, failure));
    this.#commitDraft(draft, origin);
  }

  /** The message that reports a failure; without the payload of the failed one where that would make it too large. */
  #answer(message: Message, failure: Failure): Prepared {
    const answer = { ...this.#message([op(opFailed, message.from)], {}, "system"), failed: true } as const;
    try {
      return this.#prepare({ ...answer, payload: { failure, message: message as unknown as DataRecord } });
    } catch (error) {
      if (!(error instanceof ArmorError)) throw error;
      const { payload: _, ...stripped } = message;
      return this.#prepare({ ...answer, payload: { failure, message: { ...stripped, payload: {} } as unknown as DataRecord } });
    }
  }

  #failure(code: string, message: Message, text: string): Failure {
    return { code, op: message.ops[0]?.name ?? "", element: "", text, armor: this.armor, committed: message.segments };
  }

  /** Messages that never left and whose deadline passed: they leave the outbox and are answered in one commit. */
  #turnRound(bodies: readonly Uint8Array[]): void {
    if (bodies.length === 0) return;
    const draft = this.#draft();
    for (const body of bodies) {
      const message = decode(body) as Message;
      this.#enqueue(draft, this.#answer(message, this.#failure("deadline", message, "the deadline passed before it could be sent")));
    }
    this.#commitDraft(draft, undefined);
  }

  /** Nothing is sent under new numbers before they are durable: a restart would number the same messages otherwise. */
  #commitAgreement(channel: ReliableChannel, received: Received & { kind: "rewound" | "renumbered" }): void {
    const draft = this.#draft();
    if (received.kind === "rewound") {
      const { inDoubt, lost } = received;
      const messages = inDoubt.slice(0, limits.inDoubtNamesMax).map((body) => (decode(body) as Message).id);
      this.#startEvents(draft, [
        { kind: "armor.rewound", subject: channel.peer, reporter: this.armor, inDoubt: inDoubt.length + lost, messages },
      ]);
    }
    if (channel.dirty === "agreement") this.#stageAgreement(draft, channel);
    this.#commitDraft(draft, undefined);
  }

  #draft(): Draft {
    return { commit: this.#commit + 1, generation: this.generation };
  }

  #stageStates(segment: Segment, draft: Draft): void {
    const set: Record<string, Record<string, Data>> = {};
    const unset: Record<string, string[]> = {};
    for (const [name, after] of segment.states) {
      const changes = difference(this.#states.get(name) ?? {}, after);
      if (Object.keys(changes.set).length > 0) set[name] = changes.set;
      if (changes.unset.length > 0) unset[name] = changes.unset;
      this.#states.set(name, after);
    }
    if (Object.keys(set).length > 0) draft.set = set;
    if (Object.keys(unset).length > 0) draft.unset = unset;
  }

  #setContinuation(draft: Draft, key: string, continuation: Continuation | null): void {
    if (continuation === null && !this.#continuations.has(key)) return;
    (draft.continuations ??= {})[key] = continuation;
    if (continuation) this.#continuations.set(key, continuation);
    else {
      this.#continuations.delete(key);
      this.#threadTimers.cancel(`work ${key}`);
      this.#threadTimers.cancel(`deadline ${key}`);
    }
  }

  #stageCompletion(draft: Draft, key: string, completion: Completion): void {
    const continuation = this.#continuations.get(key);
    if (!continuation || continuation.completion) return;
    this.#setContinuation(draft, key, { ...continuation, completion });
    this.#ready.push(key);
  }

  #newMessage({ ops, payload = {}, lane = "user", deadlineMs }: OutgoingMessage): Message {
    return this.#message(ops, payload, lane, deadlineMs);
  }

  #enqueue(draft: Draft, { message, body }: Prepared): void {
    if (body === undefined) {
      this.#setContinuation(draft, message.id, { message });
      this.#ready.push(message.id);
      return;
    }
    const channel = this.#channel(message.to);
    if (channel.room(message.lane) === 0) {
      // What a segment sends has its room reserved; an answer or an event that finds none is kept by the host.
      this.#commands.push({ kind: "dead-letter", args: { message: message as unknown as DataRecord } });
      return;
    }
    const deadlineAtMs = message.deadlineMs === undefined ? undefined : this.#nowMs + message.deadlineMs;
    if (channel.dirty === "agreement") this.#stageAgreement(draft, channel);
    const sequence = channel.enqueue(message.lane, body, deadlineAtMs);
    (draft.sent ??= []).push({ peer: message.to, lane: message.lane, sequence, body });
  }

  #stageAgreement(draft: Draft, channel: ReliableChannel): void {
    draft.channels = [...(draft.channels ?? []), channel.snapshot()];
    channel.dirty = "no";
  }

  #startEvents(draft: Draft, events: readonly EventRecord[]): void {
    for (const message of this.#notes(events)) this.#enqueue(draft, this.#prepare(message));
  }

  /** The message that brings events to the armor that takes them. */
  #notes(events: readonly EventRecord[]): Message[] {
    const sink = this.#options.eventSink;
    if (!sink || events.length === 0) return [];
    const noted = events.map((event) => ({ ...event, atMs: this.#nowMs }));
    return [this.#newMessage({ ops: [op("events.note", sink)], payload: { events: noted }, lane: "system" })];
  }

  /** Write the draft, if it says anything, and let the message count as handled. */
  #commitDraft(draft: Draft, origin: Origin | undefined, forgotten: readonly ArmorId[] = []): void {
    if (origin) {
      const channel = this.#channel(origin.peer);
      if (channel.dirty === "agreement") this.#stageAgreement(draft, channel);
      channel.handled(origin.lane, origin.sequence);
      draft.handled = [origin];
    }
    if (forgotten.some((peer) => this.#channels.has(peer))) draft.forgotten = forgotten;
    if (Object.keys(draft).length === 2) return;
    for (const channel of this.#channels.values()) {
      if (channel.dirty === "agreement" && !draft.sent?.some(({ peer }) => peer === channel.peer)) this.#stageAgreement(draft, channel);
      if (channel.dirty === "acked") {
        draft.acked = [...(draft.acked ?? []), { peer: channel.peer, acked: channel.acked }];
        channel.dirty = "no";
      }
    }
    for (const peer of forgotten) this.#forget(peer);
    draft.messages = this.#messages;
    this.#commit += 1;
    this.#commits.push(draft);
  }

  /** The last thing a channel says is that it has handled what made us forget it. */
  #forget(peer: ArmorId): void {
    this.#acks.push(...(this.#channels.get(peer)?.replies(limits.windowMax) ?? []));
    this.#channels.delete(peer);
  }

  #takeEffects(): Effects {
    const acks = this.#acks;
    let wakeAtMs = this.#ready.length > 0 ? this.#nowMs : earliest(this.#timers.wakeAtMs, this.#threadTimers.wakeAtMs);
    const admits = this.#admits();
    for (const channel of this.#channels.values()) {
      if (channel.refused && admits) channel.announceRoom();
      acks.push(...channel.replies(admits ? limits.windowMax : 0));
      this.#sends.push(...channel.outgoing(this.#nowMs));
      wakeAtMs = earliest(wakeAtMs, channel.wakeAtMs);
    }
    const effects = { commits: this.#commits, sends: this.#sends, acks, work: this.#work, commands: this.#commands, wakeAtMs };
    this.#commits = [];
    this.#sends = [];
    this.#acks = [];
    this.#work = [];
    this.#commands = [];
    return effects;
  }
}

/** @returns `undefined` if the bytes are none. */
function decodeMessage(body: Uint8Array): Message | undefined {
  try {
    const value = decode(body);
    return isMessage(value) ? value : undefined;
  } catch (error) {
    if (error instanceof CodecError) return undefined;
    throw error;
  }
}

/** By length, then by text: numbers at the end of keys that begin alike are in order. */
function inOrderOfCounters(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}

function earliest(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || (b !== undefined && b < a) ? b : a;
}
