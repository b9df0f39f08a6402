/**
 * Microkernel: distributes messages between the elements of an armor and between
 * armors. Deterministic: `step(event, nowMs)` returns effects, in an order the
 * host must keep. It owns every element's state, so a segment that fails is
 * undone by forgetting its staged copies.
 *
 * @module
 */
import { checkpointFormat, type CommitRecord, type Continuation, type Snapshot } from "./checkpoint.ts";
import { decode, encode } from "./codec.ts";
import type { Data, DataRecord } from "./data.ts";
import { DurableState, difference } from "./durable_state.ts";
import type { Diagnostic, Effects, HostCommand } from "./effects.ts";
import type { Completion, Element, EventRecord, OutgoingMessage } from "./element.ts";
import type { DataFrame, Frame } from "./frame.ts";
import { type Generation, generationText } from "./generation.ts";
import { invariant, InvariantError } from "./invariant.ts";
import { limits } from "./limits.ts";
import { type Failure, type Lane, type Message, opFailed } from "./message.ts";
import { type ArmorId, op, type MicroOperation } from "./micro_operation.ts";
import type { Payload } from "./payload.ts";
import type { RandomSource } from "./random.ts";
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

type Origin = { readonly peer: ArmorId; readonly lane: Lane; readonly sequence: number };
type Draft = { -readonly [K in keyof CommitRecord]: CommitRecord[K] };

/** One armor's microkernel. */
export class Microkernel {
  readonly armor: ArmorId;
  readonly generation: Generation;
  readonly #options: MicrokernelOptions;
  readonly #subscriptions = new SubscriptionList();
  readonly #states = new Map<string, DataRecord>();
  readonly #volatiles = new Map<string, unknown>();
  readonly #continuations = new Map<string, Continuation>();
  readonly #channels = new Map<ArmorId, ReliableChannel>();
  readonly #timers = new Timers();
  /** Keys of continuations that can run now. */
  readonly #ready: string[] = [];
  #commit = 0;
  #messages = 0;
  #nowMs = 0;
  #steps = 0;
  /** The element versions differ from those restored, or nothing was restored: the host writes a snapshot. */
  needsSnapshot = true;
  // Collected during one step.
  #commits: CommitRecord[] = [];
  #sends: Frame[] = [];
  #work: { key: string; kind: string; args: Data }[] = [];
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
    this.#handle(event);
    this.#runReady();
    for (const channel of this.#channels.values()) {
      for (const body of channel.takeExpired(nowMs)) this.#turnRound(decode(body) as Message);
    }
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
  describe(): { name: string; version: number; ops: string[] }[] {
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
      channel = new ReliableChannel(this.armor, peer, this.generation, this.#attempt());
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
        for (const timer of this.#timers.takeDue(this.#nowMs)) this.#runLocal(timer.op, timer.payload);
    }
  }

  #start(payload: Payload): void {
    this.#runLocal("armor.started", payload);
    for (const [key, { work, completion }] of this.#continuations) {
      if (!work || completion) this.#ready.push(key);
      else this.#startWork(key, work);
    }
  }

  #startWork(key: string, { kind, args = null, timeoutMs }: NonNullable<Continuation["work"]>): void {
    if (kind !== "wait") this.#work.push({ key, kind, args });
    if (timeoutMs !== undefined) {
      const payload = { key };
      this.#timers.set(`work ${key}`, { atMs: this.#nowMs + timeoutMs, op: "kernel.work-timeout", payload });
    }
    const { message } = this.#continuations.get(key)!;
    if (message.deadlineMs !== undefined) {
      const payload = { key };
      this.#timers.set(`deadline ${key}`, { atMs: this.#nowMs + message.deadlineMs, op: "kernel.deadline", payload });
    }
  }

  #receive(frame: Frame): void {
    if (frame.to !== this.armor) return;
    const received: Received = this.#channel(frame.from).receive(frame, this.#nowMs);
    if (received.kind === "deliver") this.#deliver(frame.from, received);
    if (received.kind === "rewound") this.#reportRewind(frame.from, received);
  }

  #deliver(peer: ArmorId, { lane, sequence, frame }: Received & { kind: "deliver" }): void {
    if (lane === "user" && !this.#admits()) {
      this.#channel(peer).refused = true;
      return;
    }
    const message = decode(frame.body) as Message;
    const origin = { peer, lane, sequence };
    const late = frame.deadlineMs !== undefined && frame.deadlineMs < 0;
    if (late) this.#commitFailure(message, this.#failure("deadline", message, "the deadline passed on the way"), origin);
    else this.#runThread({ ...message, ...(frame.deadlineMs !== undefined && { deadlineMs: frame.deadlineMs }) }, origin);
  }

  /** Room for what one segment may send, in both lanes of every channel, and for one more suspended thread. */
  #admits(): boolean {
    if (this.#continuations.size >= limits.continuationsMax) return false;
    for (const channel of this.#channels.values()) {
      if (channel.room("user") < limits.sendsPerSegmentMax) return false;
    }
    return true;
  }

  #runLocal(name: string, payload: Payload): void {
    if (name === "kernel.work-timeout") return this.#workDone(payload["key"] as string, { ok: false, error: "timeout" });
    if (name === "kernel.deadline") return this.#deadlinePassed(payload["key"] as string);
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
      const key = this.#ready.shift()!;
      const continuation = this.#continuations.get(key);
      if (continuation) this.#runThread(continuation.message, undefined, key, continuation.completion);
    }
  }

  #runThread(message: Message, origin: Origin | undefined, key?: string, completion?: Completion): void {
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
      },
      message,
      completion,
    );
    const end = segment.run();
    if (end.kind === "failed") {
      const { failure, error } = end;
      this.#options.diagnose?.({ op: failure.op, element: failure.element, code: failure.code, error: error ?? failure.text });
      this.#commitFailure(message, failure, origin, key);
      return;
    }
    this.#commitSegment(segment, end, message, origin, key);
  }

  #commitSegment(segment: Segment, end: SegmentEnd, message: Message, origin: Origin | undefined, key?: string): void {
    const draft: Draft = { commit: this.#commit + 1, generation: this.generation };
    this.#stageStates(segment, draft);
    for (const [name, value] of segment.volatiles) this.#volatiles.set(name, value);
    for (const peer of segment.forgotten) {
      if (this.#channels.delete(peer)) draft.forgotten = [...(draft.forgotten ?? []), peer];
    }
    if (key !== undefined) this.#setContinuation(draft, key, null);
    const moved = {
      ...message,
      payload: segment.payload,
      executed: message.executed + segment.executed,
      segments: message.segments + 1,
    };
    if (end.kind === "hop") this.#enqueue(draft, { ...moved, ops: end.ops, to: end.ops[0]!.at!, hops: message.hops + 1 });
    if (end.kind === "blocked") {
      this.#setContinuation(draft, segment.key, { message: { ...moved, ops: end.ops }, work: end.work });
      this.#startWork(segment.key, end.work);
    }
    for (const send of segment.sends) this.#startMessage(draft, send);
    for (const { key: waiting, completion } of segment.completions) this.#stageCompletion(draft, waiting, completion);
    for (const { key: timer, timer: value } of segment.timers) {
      if (value) this.#timers.set(timer, value);
      else this.#timers.cancel(timer);
    }
    this.#commands.push(...segment.commands);
    this.#startEvents(draft, segment.events);
    this.#commitDraft(draft, origin);
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
    const draft: Draft = { commit: this.#commit + 1, generation: this.generation };
    if (key !== undefined) this.#setContinuation(draft, key, null);
    if (message.failed) {
      this.#startEvents(draft, [{ kind: "message.dead-lettered", subject: message.id, cause: failure.code, op: failure.op }]);
      this.#commands.push({ kind: "dead-letter", args: { message: message as unknown as DataRecord, failure } });
    } else if (answer) {
      const payload = { failure, message: message as unknown as DataRecord };
      this.#enqueue(draft, { ...this.#message([op(opFailed, message.from)], payload, "system"), failed: true });
    }
    this.#commitDraft(draft, origin);
  }

  #failure(code: string, message: Message, text: string): Failure {
    return { code, op: message.ops[0]?.name ?? "", element: "", text, armor: this.armor, committed: message.segments };
  }

  /** A message that never left and whose deadline passed. */
  #turnRound(message: Message): void {
    this.#commitFailure(message, this.#failure("deadline", message, "the deadline passed before it could be sent"), undefined, undefined, true);
  }

  #reportRewind(peer: ArmorId, { inDoubt, lost }: Received & { kind: "rewound" }): void {
    const names = inDoubt.slice(0, limits.inDoubtNamesMax).map((body) => (decode(body) as Message).id);
    const draft: Draft = { commit: this.#commit + 1, generation: this.generation };
    const event = { kind: "armor.rewound", subject: peer, reporter: this.armor, inDoubt: inDoubt.length + lost, messages: names };
    this.#startEvents(draft, [event]);
    this.#commitDraft(draft, undefined);
  }

  #stageStates(segment: Segment, draft: Draft): void {
    const set: Record<string, Record<string, Data>> = {};
    const unset: Record<string, string[]> = {};
    for (const [name, after] of segment.states) {
      const changes = difference(this.#states.get(name)!, after);
      if (Object.keys(changes.set).length > 0) set[name] = changes.set;
      if (changes.unset.length > 0) unset[name] = changes.unset;
      this.#states.set(name, after);
    }
    if (Object.keys(set).length > 0) draft.set = set;
    if (Object.keys(unset).length > 0) draft.unset = unset;
  }

  #setContinuation(draft: Draft, key: string, continuation: Continuation | null): void {
    if (continuation === null && !this.#continuations.has(key)) return;
    draft.continuations = { ...draft.continuations, [key]: continuation };
    if (continuation) this.#continuations.set(key, continuation);
    else {
      this.#continuations.delete(key);
      this.#timers.cancel(`work ${key}`);
      this.#timers.cancel(`deadline ${key}`);
    }
  }

  #stageCompletion(draft: Draft, key: string, completion: Completion): void {
    const continuation = this.#continuations.get(key);
    if (!continuation || continuation.completion) return;
    this.#setContinuation(draft, key, { ...continuation, completion });
    this.#ready.push(key);
  }

  #startMessage(draft: Draft, { ops, payload = {}, lane = "user", deadlineMs }: OutgoingMessage): void {
    this.#enqueue(draft, this.#message(ops, payload, lane, deadlineMs));
  }

  #enqueue(draft: Draft, message: Message): void {
    if (message.to === this.armor) {
      this.#setContinuation(draft, message.id, { message });
      this.#ready.push(message.id);
      return;
    }
    const channel = this.#channel(message.to);
    if (channel.room(message.lane) === 0) return;
    const body = encode(message);
    const deadlineAtMs = message.deadlineMs === undefined ? undefined : this.#nowMs + message.deadlineMs;
    if (channel.dirty === "agreement") this.#stageAgreement(draft, channel);
    const sequence = channel.enqueue(message.lane, body, deadlineAtMs);
    draft.sent = [...(draft.sent ?? []), { peer: message.to, lane: message.lane, sequence, body }];
  }

  #stageAgreement(draft: Draft, channel: ReliableChannel): void {
    draft.channels = [...(draft.channels ?? []), channel.snapshot()];
    channel.dirty = "no";
  }

  #startEvents(draft: Draft, events: readonly EventRecord[]): void {
    const sink = this.#options.eventSink;
    if (!sink || events.length === 0) return;
    const noted = events.map((event) => ({ ...event, atMs: this.#nowMs }));
    this.#startMessage(draft, { ops: [op("events.note", sink)], payload: { events: noted }, lane: "system" });
  }

  /** Write the draft, if it says anything, and let the message count as handled. */
  #commitDraft(draft: Draft, origin: Origin | undefined): void {
    if (origin) {
      const channel = this.#channel(origin.peer);
      if (channel.dirty === "agreement") this.#stageAgreement(draft, channel);
      channel.handled(origin.lane, origin.sequence);
      draft.handled = [origin];
    }
    const changed = Object.keys(draft).length > 2;
    if (!changed) return;
    for (const channel of this.#channels.values()) {
      if (channel.dirty === "agreement" && !draft.sent?.some(({ peer }) => peer === channel.peer)) this.#stageAgreement(draft, channel);
      if (channel.dirty === "acked") {
        draft.acked = [...(draft.acked ?? []), { peer: channel.peer, acked: channel.acked }];
        channel.dirty = "no";
      }
    }
    draft.messages = this.#messages;
    this.#commit += 1;
    this.#commits.push(draft);
  }

  #takeEffects(): Effects {
    const acks: Frame[] = [];
    let wakeAtMs = this.#ready.length > 0 ? this.#nowMs : this.#timers.wakeAtMs;
    const admits = this.#admits();
    for (const channel of this.#channels.values()) {
      if (channel.refused && admits) channel.announceRoom();
      acks.push(...channel.replies(admits ? limits.windowMax : 0));
      this.#sends.push(...channel.outgoing(this.#nowMs));
      const at = channel.wakeAtMs;
      if (at !== undefined) wakeAtMs = Math.min(wakeAtMs ?? at, at);
    }
    const effects = { commits: this.#commits, sends: this.#sends, acks, work: this.#work, commands: this.#commands, wakeAtMs };
    this.#commits = [];
    this.#sends = [];
    this.#work = [];
    this.#commands = [];
    return effects;
  }
}
