/**
 * An element is replaced again and again while messages flow over a bad network and
 * either armor dies between any two of its effects: a run is a function of its seed.
 */
import { expect, test } from "bun:test";
import { type Element, element } from "../../core/element.ts";
import { elementSdk } from "../../core/element_sdk.ts";
import counterPair from "../../examples/counter_pair.ts";
import { KernelNetwork } from "../sim/kernel_network.ts";

type Counts = { readonly left: number; readonly sent: number; readonly received: number; readonly sum: number };

const [pair] = [counterPair(elementSdk)].flat() as [Element];
const counter = (version: number): Element => ({ ...pair, version, migrate: (state) => state });
const changer = element({
  name: "changer",
  version: 1,
  state: {},
  handlers: { "change.to": (_state, thread) => thread.reconfigure({ replace: counter(thread.payload["version"] as number) }) },
});

for (const seed of [1, 2]) {
  test(`messages take effect exactly once, seed ${seed}`, () => {
    const network = new KernelNetwork(seed);
    network.compared = false;
    network.faults = { drop: 30, duplicate: 30, reorder: true, delayMaxMs: 20 };
    const { random } = network;
    // As a host does it: after a crash the armor is made of what it has come to be made of.
    for (const id of ["ping", "pong"]) network.add(id, (saved) => [counter(saved?.elements.get("counter")?.version ?? 1), changer]);
    const versionOf = (id: string): number => network.armor(id).kernel?.describe().find(({ name }) => name === "counter")?.version ?? 0;

    const [messages, replacements] = [5_000, 50];
    network.local("ping", "pair.start", { peer: "pong", messages });
    let crashes = 0;
    for (let version = 2; version < 2 + replacements; version++) {
      for (const id of ["ping", "pong"]) {
        while (versionOf(id) !== version) {
          network.restart(id);
          if (random.below(3) === 0) {
            network.crashAfter(id, random.below(12));
            crashes += 1;
          }
          network.local(id, "change.to", { version });
          network.advance(random.below(30));
        }
      }
    }
    const { received } = network.state<Counts>("pong", "counter");
    expect([received > 0, received < messages]).toEqual([true, true]);
    expect(network.settle()).toBe(true);

    expect(network.state<Counts>("ping", "counter")).toMatchObject({ left: 0, sent: messages });
    expect(network.state<Counts>("pong", "counter")).toMatchObject({ received: messages, sum: (messages * (messages + 1)) / 2 });
    expect(crashes).toBeGreaterThan(10);
  });
}
