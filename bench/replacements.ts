/**
 * An element of a running armor is replaced again and again under message load,
 * while armors of all kinds are killed at random.
 *
 * @module
 */
import { CounterPair, sumOf } from "../tests/e2e/counter_pair.ts";
import { waitFor } from "../tests/e2e/wait.ts";
import { Cluster, type Measurement, note, pause } from "./harness.ts";

const replacements = 500;
const killEveryMs = 500;

export const measure: Measurement = async () => {
  const cluster = await Cluster.start({ nodes: 2, flags: ["--allow-elements"] });
  try {
    const pair = await CounterPair.install(cluster, 2);
    note(`${replacements} replacements under load`);
    const startMs = performance.now();
    let loading = true;
    const load = (async () => {
      for (; loading; await pause(500)) await pair.start(200).catch(() => {});
    })();
    let refused = 0;
    const killed = await pair.underFire(["own", "ftm", "heartbeat", "execution", "daemon"], killEveryMs, Number.POSITIVE_INFINITY, async () => {
      refused = await pair.replace(replacements);
    });
    const tookMs = performance.now() - startMs;
    loading = false;
    await load;
    const { ping, pong } = await waitFor("everything has arrived", async () => {
      const [sender, receiver] = [await pair.read("ping"), await pair.read("pong")];
      return sender.left === 0 && receiver.received >= sender.sent && { ping: sender, pong: receiver };
    }, 60_000, 200);
    const exact = pong.received === ping.sent && pong.sum === sumOf(ping.sent);
    return [{
      what: `${replacements} live replacements of an element under message load with random kill -9`,
      method: `two nodes on loopback; by the command line, one after another, versions 2 to 6 with migrate; ${killed} kills -9 of any armor, daemons, FTM and heartbeat armor too, one every ${killEveryMs} ms; ${refused} commands had to be repeated, most because the daemon that was asked was gone`,
      target: { text: "nothing lost, nothing doubled", max: Number.POSITIVE_INFINITY, of: "max" },
      unit: "s",
      values: [tookMs / 1_000],
      holds: { text: `${pong.received.toLocaleString("en")} of ${ping.sent.toLocaleString("en")} messages counted, sum ${exact ? "right" : "wrong"}`, ok: exact },
    }];
  } finally {
    await cluster.end();
  }
};
