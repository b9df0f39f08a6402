/**
 * Membership: how a daemon joins the cluster, tells it of a planned absence, and
 * leaves it.
 *
 * @module
 */
import type { DataRecord } from "../../core/data.ts";
import { type Element, element } from "../../core/element.ts";
import { type Failure, opFailed } from "../../core/message.ts";
import { op } from "../../core/micro_operation.ts";
import { type ArmorReport, ftmGeneration, type NodeRegistration } from "../shapes.ts";
import type { FtmLocation } from "./epoch_promise.ts";

type State = {
  readonly joined: boolean;
  /**
   * `ending`: by the FTM's order, after `armor down`, and not everything has ended yet; `ended`: it has; `returning`: started
   * again by a person, the FTM has not taken it back yet.
   */
  readonly left?: "ending" | "ended" | "returning";
};
/** `leaving`: this daemon, not the one before it, was told to end. */
type Volatile = { readonly leaving: boolean };

/** The wish is repeated until the FTM has answered. */
const repeatMs = 2_000;

/** `membership.join` comes from the host, with where the FTM is. */
export function membership(self: NodeRegistration): Element {
  return element<State, Volatile>({
    name: "membership",
    version: 1,
    state: { joined: false },
    volatile: () => ({ leaving: false }),
    handlers: {
      "armor.started": (state, thread) => {
        if (state.left !== "ending" && state.left !== "ended") return;
        const { incarnation } = thread.payload["self"] as ArmorReport;
        // It has crashed, or the machine has lost power, before everything was ended; started by its guard, before it had ended itself.
        if (state.left === "ending" || incarnation.restart > 0) return void thread.command({ kind: "membership.end", args: {} });
        return { ...state, left: "returning" };
      },
      "membership.join": (_state, thread) => {
        const { ftm, address } = thread.payload as unknown as { ftm: FtmLocation; address: string };
        thread.command({ kind: "routes.nodes", args: { nodes: { [ftm.node]: address } } });
        thread.command({ kind: "routes.armors", args: { armors: { ftm: ftm.node }, ftm: ftmGeneration(ftm.epoch) } });
        thread.after("ask", 0, "membership.ask");
      },
      "membership.ask": (state, thread) => {
        if (state.joined) return;
        thread.send({
          ops: [op("node.join", "ftm"), op("membership.joined", thread.self)],
          payload: { registration: self, membership: true },
          lane: "system",
          deadlineMs: repeatMs,
        });
        thread.after("ask", repeatMs, "membership.ask");
      },
      "membership.joined": (state, thread) => {
        thread.cancel("ask");
        thread.command({ kind: "membership.joined", args: {} });
        return state.joined ? state : { ...state, joined: true };
      },
      "membership.read": (state, thread) => void (thread.payload["returning"] = state.left === "returning"),
      // A changed address, and a restart: the FTM registers it again.
      "ftm.changed": (_state, thread) => thread.after("tell", 0, "membership.tell"),
      "membership.tell": (state, thread) => {
        const returning = state.left === "returning";
        thread.send({
          ops: [op("node.hello", "ftm"), op("membership.greeted", thread.self)],
          payload: { registration: self, returning, membership: returning },
          lane: "system",
          deadlineMs: repeatMs,
        });
        if (!returning) return;
        thread.after("tell", repeatMs, "membership.tell");
        // No FTM looks for a node that has left: the one that it knew may have a successor since.
        thread.insert(op("table.read"), op("ftm.ask-around"));
      },
      "membership.greeted": (state, thread) => {
        if (state.left !== "returning" || thread.payload["returning"] !== true) return;
        thread.cancel("tell");
        const { left: _back, ...rest } = state;
        return rest;
      },
      [opFailed]: (_state, thread) => {
        const failure = thread.payload["failure"] as Failure;
        const { payload } = thread.payload["message"] as unknown as { payload: DataRecord };
        const { code } = failure;
        // A member that is refused goes on, unless it is a copy; one that could not be heard in time says it again.
        if (code === "copied" || (code === "refused" && payload["membership"] === true)) {
          thread.command({ kind: "membership.refused", args: { text: failure.text } });
        } else if (code !== "refused" && payload["returning"] !== undefined) thread.after("tell", repeatMs, "membership.tell");
      },
      // From the host, at SIGTERM: applications stay, the FTM moves first.
      "membership.leaving": (_state, thread) => {
        thread.setVolatile({ ...thread.volatile, leaving: true });
        thread.send({ ops: [op("node.leaving", "ftm"), op("membership.may-leave", thread.self)], payload: { node: self.id }, lane: "system", deadlineMs: repeatMs });
      },
      // The FTM has moved everything: the node ends. One that returns has done so before; one whose name was given away cannot return.
      "membership.end": (state, thread) => {
        const text = thread.payload["text"];
        if (typeof text === "string") return void thread.command({ kind: "membership.end", args: { text } });
        if (state.left === "returning") return;
        thread.command({ kind: "membership.end", args: {} });
        return { ...state, left: "ending" };
      },
      // From the host: nothing runs here any more. From now on it is a person who starts this node.
      "membership.ended": (state, thread) => {
        thread.command({ kind: "membership.leave", args: {} });
        return { ...state, left: "ended" };
      },
      // From the host: a daemon of the list that was given to this one is a node that cannot be reached where it is registered.
      "node.sighted": (_state, thread) => {
        const { id, address } = thread.payload as { id: string; address: string };
        const registration: NodeRegistration = { id, name: "", address, draining: false, left: false };
        thread.send({ ops: [op("node.hello", "ftm")], payload: { registration, sighted: true }, lane: "system", deadlineMs: repeatMs });
      },
      // From the host, now and then: somebody was refused a link.
      "peer.refused": (_state, thread) => {
        const { subject, cause } = thread.payload as { subject: string; cause: string };
        thread.event({ kind: "peer.refused", subject, node: self.id, cause });
      },
      "membership.may-leave": (_state, thread) => {
        // An answer to the daemon before this one, which has ended without it.
        if (!thread.volatile.leaving) return;
        thread.command({ kind: "membership.may-leave", args: {} });
      },
    },
  });
}
