/** How much the application table takes: it is carried in one message. */
import { expect, test } from "bun:test";
import type { Data } from "../../core/data.ts";
import { encode } from "../../core/codec.ts";
import { limits } from "../../core/limits.ts";
import { changeApplication } from "../../armors/elements/application_change.ts";

const version = { epoch: { number: 1, node: "a" }, sequence: 1 };

/** Submit applications with environments of so many bytes until one is refused. */
function fill(bytes: number, instances: number) {
  let table: { [key: string]: Data } = {};
  for (let count = 0; count < 1_000; count++) {
    const application = { name: `app${count}`, command: "/bin/true", instances, env: { TEXT: "x".repeat(bytes) } };
    try {
      const { set, unset } = changeApplication(table, { operation: "application.submit", args: { application }, request: `r${count}` }, version);
      table = { ...table, ...set };
      for (const key of unset) delete table[key];
    } catch (error) {
      return { table, count, text: String((error as Error).message) };
    }
  }
  throw new Error("nothing is refused");
}

test("twice a full table, as of two sides that were apart, fits a message", () => {
  const { table, text } = fill(60_000, 1);
  expect(2 * encode(table).length).toBeLessThan(limits.messageBytesMax);
  expect(encode(table).length).toBeGreaterThan(limits.tableBytesMax / 2);
  expect(text).toContain(`the cluster keeps ${limits.tableBytesMax} bytes of specifications at most`);
  expect(text).toContain('with "app');
});

test("so does what a node has to run where it is the last one: an application counts once for each instance", () => {
  const { table, count } = fill(10_000, 20);
  const orders = Object.values(table).flatMap((entry) => Array.from({ length: 20 }, () => entry));
  expect(2 * encode(orders).length).toBeLessThan(limits.messageBytesMax);
  expect(count).toBeGreaterThan(4);
});

test("thousands of small applications have room", () => {
  const [first] = Object.values(fill(60_000, 1).table);
  const application = { ...(first as unknown as { application: object }).application, env: {} };
  const table = Object.fromEntries(Array.from({ length: 3_000 }, (_, index) => [`app:app${index}`, { ...first as object, application: { ...application, name: `app${index}` } } as unknown as Data]));
  expect(changeApplication(table, { operation: "application.submit", args: { application: { name: "more", command: "/bin/true" } } }, version).answer).toMatchObject({ ok: true });
});

test("what is in a full table can be changed and removed", () => {
  const { table } = fill(60_000, 1);
  for (const operation of ["application.restart", "application.stop", "application.remove"]) {
    expect(changeApplication(table, { operation, args: { name: "app0" } }, version).answer).toMatchObject({ ok: true, changed: true });
  }
});
