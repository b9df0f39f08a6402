/**
 * A counter pair: two armors, each made of this file. `pair.start` at one has it
 * send so many messages to the other; each counts what it sent and received, and
 * adds up the numbers it received, so that a message lost or doubled shows.
 *
 *   armor install --name ping --elements examples/counter_pair.ts --node n1
 *   armor install --name pong --elements examples/counter_pair.ts --node n2
 *   armor send ping pair.start '{"peer": "ID OF pong", "messages": 100}'
 *   armor send pong pair.read
 *
 * @module
 */
import type { ElementFactory, Message, Thread } from "../mod.ts";

type State = {
  /** Armor that gets the messages; empty: none yet. */
  readonly peer: string;
  /** Messages still to be sent. */
  readonly left: number;
  readonly sent: number;
  /** Numbers of messages that came back because they were not taken in time: they are sent again. */
  readonly back: readonly number[];
  readonly received: number;
  /** Sum of the numbers in the messages received: 1 + 2 + … if each came once. */
  readonly sum: number;
};

/** Messages of one segment. */
const batch = 20;
const pauseMs = 10;

const counterPair: ElementFactory = ({ element, op, OperationError }) => {
  const more = (state: State, thread: Thread): State => {
    let { left, sent, back } = state;
    for (let one = 0; one < batch && back.length + left > 0; one++) {
      if (!thread.send({ ops: [op("pair.take", state.peer)], payload: { number: back[0] ?? sent + 1 } })) break;
      if (back.length > 0) back = back.slice(1);
      else [left, sent] = [left - 1, sent + 1];
    }
    // A timer is volatile: after a crash `armor.started` sets it again.
    if (back.length + left > 0) thread.after("more", pauseMs, "pair.more");
    return { ...state, left, sent, back };
  };

  return element<State>({
    name: "counter",
    version: 1,
    state: { peer: "", left: 0, sent: 0, back: [], received: 0, sum: 0 },
    handlers: {
      "armor.started": (state, thread) => {
        if (state.back.length + state.left > 0) thread.after("more", 0, "pair.more");
      },
      "pair.start": (state, thread) => {
        const { peer, messages } = thread.payload;
        if (typeof peer !== "string" || typeof messages !== "number" || messages < 1) {
          throw new OperationError("refused", "pair.start needs a peer and a number of messages");
        }
        return more({ ...state, peer, left: state.left + messages }, thread);
      },
      "armor.op-failed": (state, thread) => {
        const { message } = thread.payload as unknown as { readonly message: Message };
        if (message.ops[0]?.name !== "pair.take") return;
        thread.after("more", pauseMs, "pair.more");
        return { ...state, back: [...state.back, Number(message.payload["number"])] };
      },
      "pair.more": (state, thread) => more(state, thread),
      "pair.take": (state, thread) => ({ ...state, received: state.received + 1, sum: state.sum + Number(thread.payload["number"]) }),
      "pair.read": (state, thread) => {
        Object.assign(thread.payload, state);
      },
    },
    check: ({ left, sent, received }) => (left < 0 || sent < 0 || received < 0 ? "a count is below zero" : undefined),
  });
};

export default counterPair;
