/**
 * Run one armor other than the daemon, on whatever machine: restore its
 * checkpoint, register with the daemon of its node, go on.
 *
 * @module
 */
import type { Data } from "../../core/data.ts";
import type { HostCommand } from "../../core/effects.ts";
import { CheckpointError } from "../../core/errors.ts";
import type { Frame } from "../../core/frame.ts";
import { ArmorHost, type ArmorSurroundings } from "./armor_host.ts";
import type { ArmorKind } from "./armor_kind.ts";
import type { ArmorMachine } from "./armor_machine.ts";
import type { ArmorOrder } from "./armor_order.ts";
import { type ArmorState, describeError, makeKernel, openArmorState } from "./armor_state.ts";
import { badStateStatus, diskStatus, HandRecord, type InHand, type Life } from "./hand_record.ts";
import { type Heartbeats, openHeartbeats } from "./heartbeats.ts";
import { DaemonLink, type Registered } from "./local_link.ts";

/** In hand while an armor makes itself from its checkpoint. */
const restoring: InHand = { kind: "restore", id: "", op: "" };

/** Returns while it runs. */
export async function runArmor(kind: ArmorKind, machine: ArmorMachine, order: ArmorOrder): Promise<void> {
  const { armor, keepsCheckpoint } = kind;
  const hand = new HandRecord(machine.hand, keepsCheckpoint);
  const life = hand.begin(order.ownEnd);
  machine.onExit((status) => hand.end(status));
  if (life === "failed") {
    machine.log(`armor "${armor}" gives up: it died again and again with nothing in hand`);
    return machine.exit(badStateStatus);
  }
  if (life === "careful") machine.log(`armor "${armor}" is careful: its last lives ended early; it died under ${JSON.stringify(hand.suspects)}`);

  // Started by the daemon: the generation is known, and restoring a checkpoint needs nobody.
  hand.hold(restoring);
  const running = new RunningArmor(kind, machine, order, hand, life);
  await running.restore();
  hand.release();
  running.connect();
}

/** One armor, from its start on. */
class RunningArmor {
  #state: ArmorState | undefined;
  #host: ArmorHost | undefined;
  #link: DaemonLink | undefined;
  #heartbeats: Heartbeats | undefined;
  #registered: Registered | undefined;
  #started = false;
  /** Came before the armor knew what it starts from. */
  readonly #early: Frame[] = [];

  constructor(readonly kind: ArmorKind, readonly machine: ArmorMachine, readonly order: ArmorOrder, readonly hand: HandRecord, readonly life: Life) {}

  /** Go on from the checkpoint, if the order says under which generation and there is one. */
  async restore(): Promise<void> {
    const { generation, again } = this.order;
    if (!generation) return;
    const state = this.#state = openArmorState(this.kind, this.machine, generation, again);
    if (!state.restored?.snapshot || !state.follows) return;
    const host = await this.#makeHost(state, undefined);
    // The daemon will order the generation under which it registers: without a checkpoint of that the next life would begin anew.
    host.keep();
    this.machine.markBoot();
  }

  connect(): void {
    const { machine, kind, order, hand } = this;
    this.#link = new DaemonLink({
      connect: (handlers) => machine.connect(handlers),
      clock: machine.clock,
      register: () => ({
        type: "register",
        armor: kind.armor,
        role: order.role,
        process: machine.self,
        // Not always the ordered one: the daemon must know it, or would order one that was used.
        generation: this.#state?.generation ?? null,
        elements: this.#host?.kernel.describe() ?? [],
      }),
      onRegistered: (answer) => {
        const first = this.#registered === undefined;
        this.#registered = answer;
        if (first) this.#begin(answer).catch((error) => this.#fail(error));
        else this.#host?.dispatch({ kind: "link-up" });
      },
      onFrame: (frame) => {
        if (this.#started) machine.hear(frame, (passed) => this.#host!.frame(passed));
        else this.#early.push(frame);
      },
      onLinkUp: (node) => this.#started && this.#host?.dispatch({ kind: "link-up", at: node }),
      onRefused: (reason) => {
        hand.refused();
        machine.tell(reason);
        machine.exit(1);
      },
    });
  }

  async #begin(answer: Registered): Promise<void> {
    const { kind, machine, hand } = this;
    if (kind.needsBegin && !answer.begin) {
      // Its daemon died after the answer that had it, and the answer before it came here.
      machine.log(`armor "${kind.armor}" ends: its daemon does not know any more what it begins from`);
      return machine.exit(0);
    }
    hand.hold(restoring);
    const state = this.#state ??= openArmorState(kind, machine, answer.generation, this.order.again);
    let host = this.#host;
    if (!host) {
      host = await this.#makeHost(state, answer);
      this.#link?.describe(host.kernel.describe());
    }
    const { kernel } = host;
    this.#heartbeats = await openHeartbeats({
      machine,
      armor: kind.armor,
      ...(kind.asksOtherNodes && { outerHost: answer.host }),
      keyOf: (id) => (id === kind.armor ? this.#registered?.key : undefined),
      cluster: () => this.#registered?.cluster ?? "",
      progress: () => kernel.steps,
      epoch: () => kernel.generation.epoch,
      local: (op, payload) => host.local(op, payload),
    });
    host.start({ bootId: machine.bootId }, state.restored?.snapshot === undefined);
    // As above, of one that begins anew. Not before its generation is in its checkpoint: the next life, should this one end early, has lost as much as this one.
    if (state.store) machine.markBoot();
    const { damage, complete } = state;
    if (damage.length > 0) host.local("checkpoint.restored", { damage: [...damage], complete });
    if (answer.begin) host.local("ftm.begin", { begin: answer.begin });
    this.#started = true;
    for (const frame of this.#early.splice(0)) host.frame(frame);
  }

  async #makeHost(state: ArmorState, answer: Registered | undefined): Promise<ArmorHost> {
    const { kind, machine } = this;
    const kernel = await makeKernel(kind, machine, state, answer && kind.given(answer));
    return this.#host = new ArmorHost(kernel, machine.around(this.#surroundings(state), kernel));
  }

  #surroundings({ store }: ArmorState): ArmorSurroundings {
    const { kind, machine, hand, life } = this;
    return {
      store,
      durability: "process",
      hand,
      careful: life === "careful",
      clock: machine.clock,
      deadLetter: (args) => machine.deadLetter(args),
      send: (frame) => this.#link?.send(frame),
      command: (command) => this.#perform(command),
      work: (name, args) => this.#work(name, args),
      reconfigured: () => this.#link?.describe(this.#host!.kernel.describe()),
      log: machine.log,
      exit: (status) => machine.exit(status),
    };
  }

  #perform(command: HostCommand): void {
    const { kind, machine } = this;
    switch (command.kind) {
      case "heartbeat.ask":
        return this.#heartbeats?.ask(command.args);
      case "heartbeat.reply":
        return this.#heartbeats?.reply(command.args);
      case "exit":
        machine.log(`armor "${kind.armor}" ends: ${String(command.args["text"])}`);
        return machine.exit(0);
      default:
        return kind.command?.(command, (op, payload) => this.#host!.local(op, payload));
    }
  }

  #work(name: string, args: Data): Promise<Data> {
    const { kind, machine } = this;
    if (name === "element.load") return machine.loader.work(args, this.#registered?.allowElements === true, machine.log);
    return kind.work?.(name, args) ?? Promise.reject(new Error(`no work of kind "${name}"`));
  }

  #fail(error: unknown): never {
    const { kind, machine } = this;
    machine.log(`armor "${kind.armor}" cannot begin: ${describeError(error)}`);
    return machine.exit(error instanceof CheckpointError ? diskStatus : 70);
  }
}
