/**
 * An execution armor alone, in virtual time: its elements with a host in a few
 * lines whose programs and probes do what a test says.
 *
 * @module
 */
import type { Data, DataRecord } from "../../core/data.ts";
import type { HostCommand } from "../../core/effects.ts";
import { element } from "../../core/element.ts";
import type { Application } from "../../armors/application.ts";
import { parseApplication } from "../../armors/application_schema.ts";
import { executionArmor } from "../../armors/execution_armor.ts";
import type { InstanceOrder, InstanceReport } from "../../armors/shapes.ts";
import { KernelNetwork } from "../sim/kernel_network.ts";

const armor = "execution@n1";

/** What the host says to a probe, and when; `undefined`: never. */
export type ProbedAnswer = { readonly ok: boolean; readonly reason?: string; readonly afterMs?: number; readonly queuedMs?: number } | undefined;

/** One node's programs. */
export class Execution {
  readonly network = new KernelNetwork(1, { eventSink: "daemon@n1" });
  /** Launch of the program that runs, by instance. */
  readonly running = new Map<string, number>();
  readonly commands: { readonly atMs: number; readonly kind: string; readonly args: DataRecord }[] = [];
  /** When programs were asked. */
  readonly askedMs: number[] = [];
  /** What the FTM was told, one by one: whether it was the first word of a life. */
  readonly told: boolean[] = [];
  /** What probes find. */
  answer: (id: string) => ProbedAnswer = () => ({ ok: true });
  /** Whether a launch works; a text says why it cannot. */
  cannot = "";
  #pid = 100;
  #orders: InstanceOrder[] = [];

  constructor() {
    this.network.onCommand = (_, command) => this.#perform(command);
    this.network.add("daemon@n1", [element({ name: "event_log", version: 1, state: {}, handlers: { "events.note": () => {} } })]);
    this.network.add("ftm", [element({ name: "ftm", version: 1, state: {}, handlers: { "instances.told": (_state, { payload }) => void this.told.push(payload["started"] === true) } })]);
    this.network.add(armor, executionArmor({ node: "n1" }), { payload: { bootId: "boot" } });
  }

  get nowMs(): number {
    return this.network.nowMs;
  }

  /** The FTM orders one instance of an application. */
  run(fields: { readonly name?: string } & Record<string, unknown> = {}, more: Partial<InstanceOrder> = {}): string {
    const application = parseApplication({ name: "web", command: "web", ...fields });
    const id = `${application.name}.0`;
    this.order(application, { id, ...more });
    return id;
  }

  /** The FTM's list, with one order added or changed. */
  order(application: Application, more: Partial<InstanceOrder> = {}): void {
    const id = more.id ?? `${application.name}.0`;
    const order: InstanceOrder = { id, serial: "s", application, desired: "running", restart: 0, placement: { epoch: { number: 1, node: "n1" }, number: 1 }, ...more };
    this.#orders = [...this.#orders.filter((one) => one.id !== id), order];
    this.network.local(armor, "instances.assign", { instances: this.#orders as unknown as Data });
    this.advance(1);
  }

  advance(milliseconds: number): void {
    this.network.advance(milliseconds);
  }

  /** The host's process is paused: whatever is due meanwhile comes late. */
  pause(milliseconds: number): void {
    this.network.nowMs += milliseconds;
    this.advance(0);
  }

  /** The armor dies and comes back; programs go on. @param found What its host says at once. */
  restart(bootId = "boot", found: () => void = () => {}): void {
    this.network.crashAfter(armor, 0);
    this.network.restart(armor, { bootId });
    found();
    this.advance(1);
  }

  /** The machine restarts: programs are gone. */
  reboot(): void {
    this.running.clear();
    this.restart("next boot");
  }

  local(op: string, payload: DataRecord): void {
    this.network.local(armor, op, { ...payload });
  }

  /** A program ends. */
  exit(id: string, status: number | null): void {
    const launch = this.running.get(id);
    if (launch === undefined) return;
    this.running.delete(id);
    this.network.after(1, () => this.local("program.exited", { id, launch, status }));
  }

  state(id: string): { readonly state: InstanceReport["state"]; readonly restarts: number; readonly launch: number } | undefined {
    return this.network.state<Record<string, { state: InstanceReport["state"]; restarts: number; launch: number }>>(armor, "instances")[id];
  }

  /** Events of one kind, without what every event has. */
  events(kind: string): DataRecord[] {
    return this.network.events.filter(({ event }) => event.kind === kind).map(({ event }) => event);
  }

  count(kind: string): number {
    return this.commands.filter((command) => command.kind === kind).length;
  }

  #perform({ kind, args }: HostCommand): void {
    this.commands.push({ atMs: this.nowMs, kind, args });
    const { id, launch } = args as { id: string; launch: number };
    switch (kind) {
      case "program.launch":
        if (this.cannot !== "") return this.network.after(1, () => this.local("program.cannot", { id, launch, reason: this.cannot }));
        this.running.set(id, launch);
        return this.#started(id, launch);
      case "program.adopt":
        if (this.running.get(id) === launch) this.#started(id, launch);
        else this.network.after(1, () => this.local("program.exited", { id, launch, status: 0, adopted: true }));
        return;
      case "program.kill":
        return this.exit(id, 137);
      case "program.stop":
        return this.exit(id, 143);
      case "program.probe": {
        const { ok, reason = ok ? "" : "connection refused", afterMs = 1, queuedMs = 0 } = this.answer(id) ?? { ok: false, afterMs: Number.NaN };
        this.askedMs.push(this.nowMs);
        const askedMs = this.nowMs + queuedMs;
        if (!Number.isNaN(afterMs)) this.network.after(queuedMs + afterMs, () => this.local("program.probed", { id, launch, ok, reason, askedMs }));
      }
    }
  }

  #started(id: string, launch: number): void {
    const process = { pid: ++this.#pid, startTicks: launch, bootId: "boot" };
    this.network.after(1, () => this.local("program.started", { id, launch, process }));
  }
}
