/** How a node that has asked a cluster, and was never taken in, comes to one. */
import { expect, test } from "bun:test";
import type { ClusterDocument } from "../../armors/join_search.ts";
import type { DaemonMachine } from "../../armors/host/daemon_machine.ts";
import { enterCluster } from "../../armors/host/enter_cluster.ts";
import type { NodeIdentity } from "../../armors/host/identity.ts";
import { version } from "../../armors/version.ts";
import { seededRandom } from "../../core/random.ts";

/**
 * A node whose identity names a cluster asks until it is taken in.
 *
 * @param answering The cluster that answers at its n-th round.
 * @param takenIn In which round it is taken in.
 */
async function enter(cluster: string, answering: (round: number) => string, takenIn = Infinity) {
  let identity = { id: "n4", name: "n4", cluster, bootstrap: false } as unknown as NodeIdentity;
  let [nowMs, rounds] = [0, 0];
  const logged: string[] = [];
  const asked: string[] = [];
  const machine = {
    identity: {
      get now() {
        return identity;
      },
      write: (next: NodeIdentity) => void (identity = next),
      forget: () => {},
    },
    random: seededRandom(1),
    clock: { nowMs: () => nowMs },
    pause: (ms: number) => Promise.resolve(void (nowMs += ms)),
    ask: () => {
      rounds += 1;
      if (rounds > 20) throw new Error("it asks for ever");
      const found: ClusterDocument = { version, node: "n1", cluster: answering(rounds), ftm: { epoch: { number: 1, node: "n1" }, node: "n1" }, address: "n1:1" };
      return Promise.resolve(found);
    },
    log: (text: string) => void logged.push(text),
  } as unknown as DaemonMachine;
  const result = await enterCluster({ address: "n4:1", joins: ["n1:1"], machine, joined: () => rounds >= takenIn, tell: ({ cluster: told }) => void asked.push(told) });
  return { result, identity, asked, logged };
}

test("it asks the cluster that answers, and remembers it", async () => {
  expect(await enter("", () => "x", 2)).toMatchObject({ result: "joined", identity: { id: "n4", cluster: "x" }, asked: ["x", "x"], logged: [] });
});

test("another cluster that answers now and then is not asked", async () => {
  expect(await enter("x", (round) => (round % 3 === 0 ? "x" : "y"), 12)).toMatchObject({ result: "joined", identity: { id: "n4", cluster: "x" }, asked: ["x", "x", "x", "x"] });
});

test("where only another one answers, its own is gone: it asks that one, as somebody else, and says so", async () => {
  const { result, identity, asked, logged } = await enter("x", () => "y");
  expect({ result, cluster: identity.cluster, asked }).toEqual({ result: "other", cluster: "", asked: [] });
  expect(identity.id).not.toBe("n4");
  expect(logged.join()).toContain("only y answers");
});
