/** An armor with a thousand peers has little to do when it speaks with one of them. */
import { afterEach, expect, test } from "bun:test";
import { element } from "../../core/element.ts";
import { op } from "../../core/micro_operation.ts";
import { ReliableChannel } from "../../core/reliable_channel.ts";
import { KernelNetwork } from "../sim/kernel_network.ts";

const { prototype } = ReliableChannel;
const overdue = Object.getOwnPropertyDescriptor(prototype, "overdue")!;
afterEach(() => void Object.defineProperty(prototype, "overdue", overdue));

test("a step looks only at the channels that have something to do", () => {
  const network = new KernelNetwork(1);
  const said: string[] = [];
  const talker = element({
    name: "talker",
    version: 1,
    state: {},
    handlers: {
      "talk.say": (_state, thread) => void thread.send({ ops: [op("talk.hear", String(thread.payload["to"]))] }),
      "talk.hear": (_state, thread) => void said.push(thread.self),
    },
  });
  network.add("hub", [talker]);
  const peers = Array.from({ length: 100 }, (_, index) => `peer${index}`);
  for (const peer of peers) network.add(peer, [talker]);
  for (const to of peers) network.local("hub", "talk.say", { to });
  network.advance(1_000);
  // The next commit writes down what has been acknowledged.
  network.local("hub", "talk.say", { to: "peer7" });
  network.advance(1_000);
  let looks = 0;
  Object.defineProperty(prototype, "overdue", {
    ...overdue,
    get(this: ReliableChannel) {
      if (this.self === "hub") looks += 1;
      return overdue.get!.call(this) as boolean;
    },
  });
  network.local("hub", "talk.say", { to: "peer7" });
  network.advance(1_000);
  expect(said.length).toBe(102);
  // A few steps with one channel; there are 100.
  expect(looks).toBeLessThan(20);
});
