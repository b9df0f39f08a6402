/** Daemons that have missed an FTM find it by the answers to their own poll. */
import { expect, test } from "bun:test";
import type { Data, DataRecord } from "../../core/data.ts";
import { element } from "../../core/element.ts";
import { op } from "../../core/micro_operation.ts";
import { epochPromise, type FtmLocation, type Vote } from "../../armors/elements/epoch_promise.ts";
import { KernelNetwork } from "../sim/kernel_network.ts";

const old: FtmLocation = { epoch: { number: 3, node: "a" }, node: "a" };
const next: FtmLocation = { epoch: { number: 4, node: "b" }, node: "c" };

/** The daemon of node `b`, which hears the FTM, and that of `d`, which was away. */
function daemons(heardMs: number | undefined) {
  const network = new KernelNetwork(1);
  const changes: DataRecord[] = [];
  const votes: Vote[] = [];
  const world = (node: string) =>
    element({
      name: "world",
      version: 1,
      state: {},
      handlers: {
        "liveness.read": (_state, thread) => void (thread.payload["heard"] = heardMs === undefined ? {} : { ftm: heardMs }),
        "table.read": (_state, thread) => void (thread.payload["table"] = { "node:c": { id: "c", name: "n3", address: "n3:7000", draining: false, left: false } }),
        "armors.tell": () => {},
        "ftm.changed": (_state, thread) => {
          if (node === "d") changes.push({ ftm: thread.payload["ftm"]!, address: thread.payload["address"] ?? null });
        },
        "takeover.polled": (_state, thread) => void votes.push(thread.payload["vote"] as unknown as Vote),
        "ask": (_state, thread) =>
          void thread.send({ ops: [op("epoch.poll", "daemon@b"), op("takeover.polled", thread.self)], payload: { gone: null }, lane: "system" }),
      },
    });
  for (const node of ["b", "d"]) network.add(`daemon@${node}`, [epochPromise(node), world(node)]);
  const announce = (node: string, ftm: FtmLocation): void => network.local(`daemon@${node}`, "epoch.announce", { ftm: ftm as unknown as Data });
  announce("b", old);
  announce("d", old);
  announce("b", next);
  changes.length = 0;
  network.local("daemon@d", "ask");
  network.settle();
  return { changes, votes, promised: (network.armor("daemon@d").kernel!.state("epoch_promise") as { promised: { number: number } }).promised.number };
}

test("a daemon that asks whether the FTM may be replaced follows the one that others hear", () => {
  expect(daemons(100)).toEqual({
    changes: [{ ftm: next, address: "n3:7000" }],
    votes: [{ promised: false, epoch: next.epoch, because: "hears-ftm", ftm: next, address: "n3:7000" }],
    promised: 4,
  });
});

test("one that nobody hears is followed by nobody", () => {
  expect(daemons(undefined)).toEqual({ changes: [], votes: [{ promised: true, epoch: next.epoch }], promised: 3 });
});
