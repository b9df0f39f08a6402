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
const any = ["own", "ftm", "heartbeat", "execution", "daemon"];

export const measure: Measurement = async () => {
  const cluster = await Cluster.start({ nodes: 2, flags: ["--allow-elements"] });
  try {
    const pair = await CounterPair.install(cluster, 1);
    const start = async (count: number): Promise<void> => void (await waitFor("it starts", async () => await pair.start(count).then(() => true), 30_000, 200));

    note(`${messages} messages, an armor killed every ${killEveryMs} ms`);
    let startMs = performance.now();
    const lines = await generations(cluster);
    let killed = await pair.underFire(any, killEveryMs, Number.POSITIVE_INFINITY, async () => {
      await start(messages);
      await pair.finished(messages, 300_000);
    });
    const sentMs = performance.now() - startMs;
    const once = await pair.finished(messages, 60_000);
    const exact = once.pong.received === once.ping.sent && once.pong.sum === sumOf(once.ping.sent);
    const first = killed;
    await cluster.settled();
    const kept = await generations(cluster) === lines;

    note(`${replacements} replacements under load`);
    startMs = performance.now();
    let loading = true;
    const load = (async () => {
      for (; loading; await new Promise((resume) => setTimeout(resume, 500))) await pair.start(200).catch(() => {});
    })();
    let refused = 0;
    killed = await pair.underFire(["own"], killEveryMs, Number.POSITIVE_INFINITY, async () => {
      refused = await pair.replace(replacements);
    });
    const replacedMs = performance.now() - startMs;
    loading = false;
    await load;
    const after = await waitFor("everything has arrived", async () => {
      const [ping, pong] = [await pair.read("ping"), await pair.read("pong")];
      return ping.left === 0 && pong.received >= ping.sent && { ping, pong };
    }, 60_000, 200);
    await cluster.settled();
    const again = await generations(cluster) === lines;
    const whole = after.pong.received === after.ping.sent && after.pong.sum === sumOf(after.ping.sent);
    return [
      {
        what: `${messages.toLocaleString("en")} messages between two armors on two nodes, a random armor killed -9 every 500 ms`,
        method: `two nodes on loopback; each message carries its number, the receiver adds them up; ${first} kills of own armors, FTM, heartbeat armor, execution armors, daemons; reset: an own armor, execution armor or daemon has another generation than before`,
        target: { text: "each takes effect exactly once, nothing reset", max: Number.POSITIVE_INFINITY, of: "max" },
        unit: "s",
        values: [sentMs / 1_000],
        holds: { text: `${once.pong.received.toLocaleString("en")} of ${once.ping.sent.toLocaleString("en")} counted, sum ${exact ? "right" : "wrong"}, ${kept ? "nothing" : "something"} reset`, ok: exact && kept },
      },
      {
        what: `${replacements} live replacements of an element under load`,
        method: `by the command line, one after another, versions 2 to 6 with migrate; ${killed} kills -9 of the two armors, one every 500 ms; ${refused} commands had to be repeated`,
        target: { text: "nothing lost, nothing doubled", max: Number.POSITIVE_INFINITY, of: "max" },
        unit: "s",
        values: [replacedMs / 1_000],
        holds: { text: `${after.pong.received.toLocaleString("en")} of ${after.ping.sent.toLocaleString("en")} counted, sum ${whole ? "right" : "wrong"}, ${again ? "nothing" : "something"} reset`, ok: whole && again },
      },
    ];
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
