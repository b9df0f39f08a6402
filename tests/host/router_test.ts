import { expect, test } from "bun:test";
import { Router } from "../../armors/host/router.ts";
import { decode, encode } from "../../core/codec.ts";
import type { Frame } from "../../core/frame.ts";
import type { Generation } from "../../core/generation.ts";

const generation = (epoch: number): Generation => ({ epoch, node: "a", counter: 0 });

/** The router of node `d`, and where it sends what its daemon says to the FTM. */
function router() {
  const sent: string[] = [];
  const made = new Router("d", { send: (node, bytes) => void sent.push(`${node} ${(decode(bytes) as Frame).to}`) }, () => {});
  return {
    made,
    /** An FTM on this node says something. */
    hears: (node: string, epoch: number) => {
      const frame = { type: "stranger", from: "ftm", to: "daemon@d", fromGeneration: generation(epoch), toGeneration: generation(0) } as Frame;
      made.fromPeer(frame, encode(frame), node);
    },
    asks: () => {
      made.fromHere({ type: "stranger", from: "daemon@d", to: "ftm", fromGeneration: generation(0), toGeneration: generation(1) } as Frame);
      return sent.splice(0);
    },
  };
}

test("an FTM is where its frames come from, unless a newer one has been heard", () => {
  const { hears, asks } = router();
  hears("a", 1);
  expect(asks()).toEqual(["a ftm"]);
  hears("b", 2);
  hears("a", 1);
  expect(asks()).toEqual(["b ftm"]);
});

test("a daemon that has just started and knows its FTM does not turn to an older one that speaks first", () => {
  const { made, hears, asks } = router();
  made.setNode("ftm", "b", generation(3));
  hears("a", 1);
  expect(asks()).toEqual(["b ftm"]);
  hears("c", 4);
  expect(asks()).toEqual(["c ftm"]);
});
