/** The file in which a daemon keeps events. */
import { afterEach, expect, test } from "bun:test";
import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { limits } from "../../core/limits.ts";
import { EventStore } from "../../armors/host/event_store.ts";
import { Temporary } from "./temporary.ts";

const temporary = new Temporary();
afterEach(() => temporary.clean());

const open = (path: string): EventStore => new EventStore(path, () => {});
const event = (seq: number) => ({ seq, origin: `a/${seq}`, kind: "said" });

test("half a line at the end, as a power cut leaves it, does not take the next event with it", () => {
  const path = join(temporary.folder(), "events.jsonl");
  open(path).add([event(1)]);
  appendFileSync(path, '{"seq": 2, "kin');
  open(path).add([event(3), event(4)]);
  expect(open(path).since(0).map(({ seq }) => seq)).toEqual([1, 3, 4]);
});

test("a daemon that is restarted again and again keeps the file within its bound", () => {
  const path = join(temporary.folder(), "events.jsonl");
  for (let life = 0; life < 6; life++) {
    open(path).add(Array.from({ length: limits.eventsMax * 0.9 }, (_, index) => event(life * limits.eventsMax + index)));
    expect(readFileSync(path, "utf8").split("\n").length).toBeLessThanOrEqual(3 * limits.eventsMax);
  }
  expect(open(path).since(0)).toHaveLength(limits.eventsMax);
});
