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
import type { ElementFactory, Thread } from "../mod.ts";

type State = {
  /** Armor that gets the messages; empty: none yet. */
  readonly peer: string;
  /** Messages still to be sent. */
  readonly left: number;
  readonly sent: number;
  readonly received: number;
  /** Sum of the numbers in the messages received: 1 + 2 + … if each came once. */
  readonly sum: number;
};

/** Messages of one segment. */
const batch = 20;
const pauseMs = 10;

const counterPair: ElementFactory = ({ element, op, OperationError }) => {
  const more = (state: State, thread: Thread): State => {
    let { left, sent } = state;
    for (let one = 0; one < batch && left > 0; one++) {
      if (!thread.send({ ops: [op("pair.take", state.peer)], payload: { number: sent + 1 } })) break;
      left -= 1;
      sent += 1;
    }
    // A timer is volatile: after a crash `armor.started` sets it again.
    if (left > 0) thread.after("more", pauseMs, "pair.more");
    return { ...state, left, sent };
  };

  return element<State>({
    name: "counter",
    version: 1,
    state: { peer: "", left: 0, sent: 0, received: 0, sum: 0 },
    handlers: {
      "armor.started": (state, thread) => {
        if (state.left > 0) thread.after("more", 0, "pair.more");
      },
      "pair.start": (state, thread) => {
        const { peer, messages } = thread.payload;
        if (typeof peer !== "string" || typeof messages !== "number" || messages < 1) {
          throw new OperationError("refused", "pair.start needs a peer and a number of messages");
        }
        return more({ ...state, peer, left: state.left + messages }, thread);
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
