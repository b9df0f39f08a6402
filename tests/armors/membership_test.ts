/** A daemon that was told to leave, by itself: what it asks of its host and tells the FTM. */
import { expect, test } from "bun:test";
import { decode } from "../../core/codec.ts";
import type { CommitRecord, Snapshot } from "../../core/checkpoint.ts";
import { element } from "../../core/element.ts";
import type { Message } from "../../core/message.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { seededRandom } from "../../core/random.ts";
import { membership } from "../../armors/elements/membership.ts";

const self = { id: "b", name: "n2", address: "n2:7000", draining: false, left: false };

/** One process of the daemon; `restart` counts those that its guard has started. */
function start(restart: number, restored?: Snapshot) {
  let askedAround = 0;
  const world = element({
    name: "world",
    version: 1,
    state: {},
    handlers: { "ftm.changed": () => {}, "table.read": () => {}, "ftm.ask-around": () => void askedAround++ },
  });
  const kernel = new Microkernel({
    armor: "daemon@b",
    generation: { epoch: 0, node: "b", counter: 0 },
    elements: [membership(self), world],
    random: seededRandom(1),
    ...(restored && { restored: { snapshot: restored, records: [] } }),
  });
  let nowMs = 1_000;
  const asked: string[] = [];
  const told: Message[] = [];
  const take = ({ commits, commands }: { commits: readonly CommitRecord[]; commands: readonly { kind: string }[] }): void => {
    asked.push(...commands.map(({ kind }) => kind));
    for (const { sent } of commits) for (const { body } of sent ?? []) told.push(decode(body) as Message);
  };
  take(kernel.step({ kind: "start", payload: { self: { incarnation: { placement: 0, restart } } } }, nowMs));
  return {
    asked,
    /** Whether each greeting said that the node returns. */
    get greetings() {
      return told.filter(({ ops }) => ops[0]!.name === "node.hello").map(({ payload }) => payload["returning"]);
    },
    /** How often it has asked the other nodes whom they hear. */
    get askedAround() {
      return askedAround;
    },
    get lastPayload() {
      return told.at(-1)!.payload;
    },
    hear: (op: string, payload = {}) => take(kernel.step({ kind: "local", op, payload }, nowMs)),
    wait: (milliseconds: number) => {
      nowMs += milliseconds;
      take(kernel.step({ kind: "tick" }, nowMs));
    },
    save: () => kernel.snapshot(),
  };
}

test("a daemon that crashes while its node ends goes on ending when its guard starts it again", () => {
  const first = start(0);
  first.hear("membership.end");
  expect(first.asked).toEqual(["membership.end"]);
  const second = start(1, first.save());
  expect(second.asked).toEqual(["membership.end"]);
});

test("a machine that loses power while its node ends goes on ending when it is started again", () => {
  const first = start(0);
  first.hear("membership.end");
  const second = start(0, first.save());
  expect(second.asked).toEqual(["membership.end"]);
  second.hear("membership.ended");
  expect(second.asked).toEqual(["membership.end", "membership.leave"]);
  // Its guard did not see it end.
  expect(start(1, second.save()).asked).toEqual(["membership.end"]);
});

/** Everything on it ends, and it too. */
function ended() {
  const daemon = start(0);
  daemon.hear("membership.end");
  daemon.hear("membership.ended");
  return daemon;
}

test("a node that has ended returns when it is started again, until the FTM has taken it back", () => {
  const first = ended();
  const again = start(0, first.save());
  expect(again.asked).toEqual([]);
  again.hear("ftm.changed");
  again.wait(0);
  // A late order of the FTM that ended it is of the time before.
  again.hear("membership.end");
  again.wait(2_000);
  expect({ greetings: again.greetings, asked: again.asked }).toEqual({ greetings: [true, true], asked: [] });
  // It does not wait for the FTM that it knew to answer: that may have a successor.
  expect(again.askedAround).toBe(2);
  again.hear("membership.greeted", { returning: true });
  again.wait(10_000);
  expect([again.greetings.length, again.askedAround]).toEqual([2, 2]);
  again.hear("membership.end");
  expect(again.asked).toEqual(["membership.end"]);
});

test("a restart by the guard while the node returns does not end it", () => {
  const first = ended();
  const again = start(0, first.save());
  const third = start(1, again.save());
  third.hear("ftm.changed");
  third.wait(0);
  expect({ greetings: third.greetings, asked: third.asked }).toEqual({ greetings: [true], asked: [] });
});

test("a daemon that was never told to end greets as a member", () => {
  const daemon = start(0);
  daemon.hear("ftm.changed");
  daemon.wait(0);
  daemon.hear("membership.greeted", { returning: false });
  daemon.wait(10_000);
  expect(daemon.greetings).toEqual([false]);
});

test("a node that is refused when it returns ends with the reason; a member that is refused goes on", () => {
  const refuse = (daemon: ReturnType<typeof start>): void => {
    daemon.hear("ftm.changed");
    daemon.wait(0);
    daemon.hear("armor.op-failed", { failure: { code: "refused", text: "the name is taken" }, message: { payload: daemon.lastPayload } });
  };
  const member = start(0);
  refuse(member);
  expect(member.asked).toEqual([]);
  member.hear("membership.end");
  member.hear("membership.ended");
  const returning = start(0, member.save());
  refuse(returning);
  expect(returning.asked).toEqual(["membership.refused"]);
});
