/**
 * What a daemon's elements ask of its host.
 *
 * @module
 */
import type { DataRecord } from "../../core/data.ts";
import type { HostCommand } from "../../core/effects.ts";
import type { Generation } from "../../core/generation.ts";
import type { ArmorProcesses } from "./armor_processes.ts";
import type { DaemonMachine } from "./daemon_machine.ts";
import type { Departure } from "./departure.ts";
import type { StoredEvent } from "./event_store.ts";
import type { GuardWatch } from "./guard_watch.ts";
import type { Heartbeats } from "./heartbeats.ts";
import type { LocalArmorAnswers } from "./local_armor_links.ts";
import type { NodeLinks } from "./node_links.ts";
import type { OperatorRequests } from "./operator_requests.ts";
import type { Router } from "./router.ts";

/** Those who do it. */
export interface DaemonParts {
  readonly machine: DaemonMachine;
  readonly links: NodeLinks;
  readonly router: Router;
  readonly processes: ArmorProcesses;
  readonly answers: LocalArmorAnswers;
  readonly requests: OperatorRequests;
  readonly departure: Departure;
  /** Absent while the daemon starts. */
  readonly heartbeats: () => Heartbeats | undefined;
  readonly guard: () => GuardWatch | undefined;
  /** Start a local thread in the daemon. */
  readonly local: (op: string, payload: DataRecord) => void;
}

/** Do it; harmless if done twice. */
export function performDaemonCommand(parts: DaemonParts, { kind, args }: HostCommand): void {
  const { machine, links, router, processes, departure } = parts;
  switch (kind) {
    case "heartbeat.ask":
      return parts.heartbeats()?.ask(args);
    case "heartbeat.reply":
      return parts.heartbeats()?.reply(args);
    case "armor.spawn":
      return void processes.spawn(args);
    case "armor.answer":
      return parts.answers.release(String(args["armor"]));
    case "armor.end":
      return void processes.end(args);
    case "process.watch":
      return processes.watch(args);
    case "process.kill":
      return processes.kill(args);
    case "routes.nodes":
      return links.setAddresses(args["nodes"] as { [node: string]: string });
    case "routes.armors":
      for (const [armor, at] of Object.entries(args["armors"] as { [armor: string]: string })) router.setNode(armor, at, armor === "ftm" ? args["ftm"] as Generation | undefined : undefined);
      return;
    case "events.store":
      return machine.events.add(args["events"] as unknown as StoredEvent[]);
    case "events.settle":
      return void machine.clock.after(0, () => parts.local("events.kept", args));
    case "operator.respond":
      return parts.requests.respond(args);
    case "membership.refused":
      return links.refused(String(args["text"]));
    case "membership.may-leave":
      return void departure.handOver();
    case "membership.end":
      return void departure.end(args["text"] as string | undefined);
    case "membership.leave":
      return departure.options.leave(0);
    case "configuration.done":
      return machine.configuration.forget();
    case "guard.hung":
      return parts.guard()?.hung();
    case "guard.heard":
      return parts.guard()?.heard();
  }
}
