/**
 * Two armors of one's own on two nodes: messages between them while any armor is
 * killed at random. What counts is that nothing is lost, doubled or reset; the
 * time is reported.
 *
 * @module
 */
import { CounterPair, sumOf } from "../tests/e2e/counter_pair.ts";
import { waitFor } from "../tests/e2e/wait.ts";
import { Cluster, type Measurement, note } from "./harness.ts";

const messages = 20_000;
const killEveryMs = 500;

export const measure: Measurement = async () => {
  const cluster = await Cluster.start({ nodes: 2, flags: ["--allow-elements"] });
  try {
    const pair = await CounterPair.install(cluster, 1);
    note(`${messages} messages, an armor killed every ${killEveryMs} ms`);
    const before = await generations(cluster);
    const startMs = performance.now();
    const killed = await pair.underFire(["own", "ftm", "heartbeat", "execution", "daemon"], killEveryMs, Number.POSITIVE_INFINITY, async () => {
      await waitFor("it starts", async () => await pair.start(messages).then(() => true), 30_000, 200);
      await pair.finished(messages, 120_000);
    });
    const tookMs = performance.now() - startMs;
    await cluster.settled();
    const { ping, pong } = await pair.finished(messages, 30_000);
    const exact = pong.received === ping.sent && pong.sum === sumOf(ping.sent);
    const kept = (await generations(cluster)) === before;
    return [{
      what: `${messages.toLocaleString("en")} messages between two armors on two nodes, a random armor killed -9 every ${killEveryMs} ms`,
      method:
        `two nodes on loopback; each message carries its number, the receiver adds them up; ${killed} kills of own armors, FTM, heartbeat armor, execution armors, daemons; reset: an own armor, execution armor or daemon has another generation than before`,
      target: { text: "each takes effect exactly once, nothing reset", max: Number.POSITIVE_INFINITY, of: "max" },
      unit: "s",
      values: [tookMs / 1_000],
      holds: {
        text: `${pong.received.toLocaleString("en")} of ${ping.sent.toLocaleString("en")} counted, sum ${exact ? "right" : "wrong"}, ${kept ? "nothing" : "something"} reset`,
        ok: exact && kept,
      },
    }];
  } finally {
    await cluster.end();
  }
};

/** A generation names one line of an armor's state: as long as it stays, nothing was reset. The FTM has a new one by design, the heartbeat armor wherever it is placed. */
async function generations(cluster: Cluster): Promise<string> {
  const { armors } = await cluster.nodes[0]!.status();
  const lines = armors.filter(({ role }) => role === "own" || role === "execution" || role === "daemon");
  return JSON.stringify(lines.map(({ id, generation }) => [id, generation]).sort());
}
