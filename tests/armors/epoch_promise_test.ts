import { expect, test } from "bun:test";
import { decode } from "../../core/codec.ts";
import type { Data } from "../../core/data.ts";
import { element } from "../../core/element.ts";
import { timing } from "../../core/limits.ts";
import type { Message } from "../../core/message.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { seededRandom } from "../../core/random.ts";
import { epochPromise } from "../../armors/elements/epoch_promise.ts";

const generation = { epoch: 2, node: "b", counter: 0 };

/** The daemon of node `b`, which follows the FTM of epoch 3 on node `at`, and `has` one of its own or not. */
function daemon(at: string = "a", has: boolean = false) {
  const lost: number[] = [];
  const located: string[] = [];
  let heardMs: number | undefined;
  let nowMs = 1_000;
  const ignored = ["ftm.changed", "ftm.fence", "table.report"];
  const others = element({
    name: "others",
    version: 1,
    state: {},
    handlers: {
      ...Object.fromEntries(ignored.map((op) => [op, () => {}])),
      "armors.report": (_state, thread) => void (thread.payload["report"] = { ...(thread.payload["report"] as object), armors: has ? [{ armor: "ftm" }] : [] }),
      "ftm.located": (_state, thread) => void located.push(String(thread.payload["address"])),
      "ftm.lost": (_state, thread) => void lost.push((thread.payload["gone"] as { number: number }).number),
      "liveness.read": (_state, thread) => void (thread.payload["heard"] = heardMs === undefined ? {} : { ftm: heardMs }),
      "table.read": (_state, thread) => void (thread.payload["table"] = {}),
    },
  });
  let kernel = new Microkernel({ armor: "daemon@b", generation, elements: [epochPromise("b"), others], random: seededRandom(1) });
  const step = (op: string, payload: Record<string, unknown>): void => void kernel.step({ kind: "local", op, payload: payload as Record<string, Data> }, nowMs);
  kernel.step({ kind: "start", payload: {} }, nowMs);
  step("epoch.announce", { ftm: { epoch: { number: 3, node: at }, node: at } });
  return {
    lost,
    /** The daemon begins another life. */
    restart: () => {
      kernel = new Microkernel({ armor: "daemon@b", generation, elements: [epochPromise("b"), others], random: seededRandom(1), restored: { snapshot: kernel.snapshot(), records: [] } });
      kernel.step({ kind: "start", payload: {} }, nowMs);
    },
    /** Another daemon refuses, as it hears an FTM of this epoch. @returns What that is told, and where it is looked for. */
    refused: (number: number) => {
      const vote = { promised: false, epoch: { number, node: "c" }, because: "hears-ftm", ftm: { epoch: { number, node: "c" }, node: "c" }, address: "c:1" };
      const { commits, commands } = kernel.step({ kind: "local", op: "takeover.polled", payload: { vote } }, nowMs);
      const told = commits.flatMap((commit) => commit.sent ?? []).map(({ body }) => (decode(body) as Message).payload["promised"]);
      return { told, routes: commands.map(({ kind }) => kind) };
    },
    /** One that was asked whom it hears says that it is the FTM of this epoch, here. @returns What the host is told, and what follows. */
    heardAround: (number: number, address: string | null, at = "c") => {
      located.length = 0;
      const vote = { promised: false, epoch: { number, node: at }, because: "hears-ftm", ftm: { epoch: { number, node: at }, node: at }, address };
      const { commands } = kernel.step({ kind: "local", op: "takeover.polled", payload: { vote, round: "" } }, nowMs);
      return { routes: commands.map(({ kind, args }) => `${kind} ${JSON.stringify(args["nodes"])}`), located: [...located], ftm: (kernel.state("epoch_promise") as { ftm: { epoch: { number: number } } }).ftm.epoch.number };
    },
    raise: (number: number) => {
      step("epoch.raise", { promised: { number, node: "x" } });
      return (kernel.state("epoch_promise") as { promised: { number: number } }).promised.number;
    },
    prepare: (number: number) => step("epoch.prepare", { epoch: { number, node: "b" }, gone: null }),
    announce: (number: number) => step("epoch.announce", { ftm: { epoch: { number, node: "b" }, node: "b" } }),
    /** Let time pass. @returns What the FTM is told it has promised. */
    wait: (heard: number | undefined): number[] => {
      heardMs = heard;
      const told: number[] = [];
      for (const endMs = nowMs + 2 * timing.takeoverRetryMs + 50; nowMs < endMs; nowMs += 50) {
        for (const { body } of kernel.step({ kind: "tick" }, nowMs).commits.flatMap((commit) => commit.sent ?? [])) {
          const { ops, payload } = decode(body) as Message;
          if (ops[0]!.name === "epoch.announced") told.push((payload["promised"] as { number: number }).number);
        }
      }
      return told;
    },
  };
}

test("an FTM that lives is told of a promise that nobody has redeemed, until there is another", () => {
  const node = daemon();
  expect(node.wait(10)).toEqual([]);
  expect(node.wait(undefined)).toEqual([]);
  node.prepare(4);
  expect(node.wait(2_000)).toEqual([]);
  expect(node.wait(10)).toEqual([4, 4]);
  node.announce(5);
  expect(node.wait(10)).toEqual([]);
});

test("an FTM above the promise is found in the state: nobody can have announced it", () => {
  const { check } = epochPromise("b");
  const state = (number: number) => ({ promised: { number: 3, node: "a" }, ftm: { epoch: { number, node: "a" }, node: "a" } });
  expect(check!(state(3), undefined)).toBeUndefined();
  expect(check!(state(8_195), undefined)).toBeString();
});

test("an FTM of this node that is not there any more in the daemon's next life is lost: the one before may have found that, and told nobody", () => {
  for (const [at, has, gone] of [["b", false, [3]], ["b", true, []], ["a", false, []]] as const) {
    const node = daemon(at, has);
    node.restart();
    node.wait(undefined);
    expect(node.lost.slice(0, 1)).toEqual([...gone]);
  }
});

test("an FTM of this node that ended with a promise is lost when nobody has redeemed it", () => {
  const node = daemon("b");
  node.prepare(4);
  node.wait(undefined);
  expect(node.lost).toEqual([3, 3]);
  node.announce(5);
  node.wait(undefined);
  expect(node.lost).toEqual([3, 3]);
});

test("an FTM that is being installed on this node is waited for", () => {
  const node = daemon("b", true);
  node.prepare(4);
  node.wait(undefined);
  expect(node.lost).toEqual([]);
});

test("an FTM of which others tell is told of a higher promise that was given without knowing it: this node could never obey it", () => {
  const node = daemon();
  node.prepare(6);
  expect(node.refused(5)).toEqual({ told: [{ number: 6, node: "b" }], routes: ["routes.nodes", "routes.armors"] });
  // One above the promise is followed.
  expect(node.refused(7).told).toEqual([]);
});

test("a node that asks around follows a newer FTM, and learns where the one that it knows is now; who cannot say where it is says nothing", () => {
  const node = daemon("c");
  expect(node.heardAround(3, "c:2")).toEqual({ routes: ['routes.nodes {"c":"c:2"}'], located: ["c:2"], ftm: 3 });
  expect(node.heardAround(4, null)).toEqual({ routes: [], located: [], ftm: 3 });
  expect(node.heardAround(4, "d:1", "d")).toEqual({ routes: [], located: [], ftm: 4 });
  expect(node.heardAround(3, "c:2")).toEqual({ routes: [], located: [], ftm: 4 });
});

test("a promise that nobody will ask for is taken over by the daemon of the FTM that ends for it, and never a lower one", () => {
  const node = daemon();
  expect([node.raise(9), node.raise(5)]).toEqual([9, 9]);
});
