/**
 * Two armors of one's own on two nodes: messages between them while any armor is
 * killed at random, and live replacements of an element under load. What counts
 * is that nothing is lost and nothing doubled; the time is reported.
 *
 * @module
 */
import { CounterPair, sumOf } from "../tests/e2e/counter_pair.ts";
import { waitFor } from "../tests/e2e/wait.ts";
import { Cluster, type Measurement, note } from "./harness.ts";

const messages = 20_000;
const replacements = 500;
const killEveryMs = 500;

export const measure: Measurement = async () => {
  const cluster = await Cluster.start({ nodes: 2, flags: ["--allow-elements"] });
  try {
    const pair = await CounterPair.install(cluster, 1);
    const start = async (count: number): Promise<void> => void (await waitFor("it starts", async () => await pair.start(count).then(() => true), 30_000, 200));

    note(`${messages} messages, an armor killed every ${killEveryMs} ms`);
    let startMs = performance.now();
    let killed = await pair.underFire(["own", "ftm", "heartbeat", "execution", "daemon"], killEveryMs, async () => {
      await start(messages);
      await pair.finished(messages, 300_000);
    });
    const sentMs = performance.now() - startMs;
    const once = await pair.finished(messages, 60_000);
    const exact = once.pong.received === once.ping.sent && once.pong.sum === sumOf(once.ping.sent);
    const first = killed;

    note(`${replacements} replacements under load`);
    startMs = performance.now();
    let loading = true;
    const load = (async () => {
      for (; loading; await new Promise((resume) => setTimeout(resume, 500))) await pair.start(200).catch(() => {});
    })();
    let refused = 0;
    killed = await pair.underFire(["own"], killEveryMs, async () => {
      refused = await pair.replace(replacements);
    });
    const replacedMs = performance.now() - startMs;
    loading = false;
    await load;
    const after = await waitFor("everything has arrived", async () => {
      const [ping, pong] = [await pair.read("ping"), await pair.read("pong")];
      return ping.left === 0 && pong.received >= ping.sent && { ping, pong };
    }, 60_000, 200);
    const kept = after.pong.received === after.ping.sent && after.pong.sum === sumOf(after.ping.sent);
    return [
      {
        what: `${messages.toLocaleString("en")} messages between two armors on two nodes, a random armor killed -9 every 500 ms`,
        method: `two nodes on loopback; each message carries its number, the receiver adds them up; ${first} kills of own armors, FTM, heartbeat armor, execution armors, daemons`,
        target: { text: "each takes effect exactly once, nothing reset", max: Number.POSITIVE_INFINITY, of: "max" },
        unit: "s",
        values: [sentMs / 1_000],
        holds: { text: `${once.pong.received.toLocaleString("en")} of ${once.ping.sent.toLocaleString("en")} counted, sum ${exact ? "right" : "wrong"}`, ok: exact },
      },
      {
        what: `${replacements} live replacements of an element under load`,
        method: `by the command line, one after another, versions 2 to 6 with migrate; ${killed} kills -9 of own armors; ${refused} commands had to be repeated`,
        target: { text: "nothing lost, nothing doubled", max: Number.POSITIVE_INFINITY, of: "max" },
        unit: "s",
        values: [replacedMs / 1_000],
        holds: { text: `${after.pong.received.toLocaleString("en")} of ${after.ping.sent.toLocaleString("en")} counted, sum ${kept ? "right" : "wrong"}`, ok: kept },
      },
    ];
  } finally {
    await cluster.end();
  }
};
