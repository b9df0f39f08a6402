/** What operators' requests do to the application table, said once, twice, and again under another FTM. */
import { describe, expect, test } from "bun:test";
import type { Data } from "../../core/data.ts";
import { changeApplication } from "../../armors/elements/application_change.ts";
import { mergeTables } from "../../armors/elements/table_version.ts";
import type { ApplicationEntry } from "../../armors/shapes.ts";

/** A table to which requests are made one after the other, in epochs as a test says. */
class Table {
  readonly entries: Record<string, Data> = {};
  epoch = 1;

  ask(operation: string, request: string, name = "web"): unknown {
    const args: Data = operation === "submit" ? { application: { name, command: "/bin/true" } } : { name };
    const version = { epoch: { number: this.epoch, node: "a" }, sequence: 1 };
    const { set, unset, answer } = changeApplication(this.entries, { operation: `application.${operation}`, args, request }, version);
    Object.assign(this.entries, set);
    for (const key of unset) delete this.entries[key];
    return answer;
  }

  get web(): ApplicationEntry {
    return this.entries["app:web"] as unknown as ApplicationEntry;
  }
}

describe("a request that is tried again because nobody heard the answer", () => {
  test("restarts once", () => {
    const table = new Table();
    table.ask("submit", "r1");
    const first = table.ask("restart", "r2");
    table.epoch = 2;
    expect(table.ask("restart", "r2")).toEqual(first);
    expect({ restart: table.web.restart, revision: table.web.revision }).toEqual({ restart: 1, revision: 2 });
    table.ask("restart", "r3");
    expect(table.web.restart).toBe(2);
  });

  test("removes once, and says so both times", () => {
    const table = new Table();
    table.ask("submit", "r1");
    expect(table.ask("remove", "r2")).toEqual({ ok: true, changed: true });
    expect(table.ask("remove", "r2")).toEqual({ ok: true, changed: true });
  });

  test("does not undo what another operator has had acknowledged since", () => {
    const table = new Table();
    table.ask("submit", "r1");
    table.ask("stop", "r2");
    table.ask("start", "r3");
    table.ask("stop", "r2");
    expect(table.web.desired).toBe("running");
    table.ask("remove", "r4");
    table.ask("submit", "r5");
    table.ask("remove", "r4");
    expect(table.web.desired).toBe("running");
    table.ask("remove", "r6");
    table.ask("submit", "r5");
    expect(table.web).toBeUndefined();
  });
});

test("a removal that is said again changes nothing; one of what never was is refused", () => {
  const table = new Table();
  table.ask("submit", "r1");
  table.ask("remove", "r2");
  expect(table.ask("remove", "r3")).toEqual({ ok: true, changed: false });
  expect(() => table.ask("remove", "r4", "api")).toThrow('there is no application or armor "api"');
  expect(() => table.ask("stop", "r5")).toThrow('there is no application "web"');
});

test("an application remembers a bounded number of requests", () => {
  const table = new Table();
  table.ask("submit", "r1");
  for (let number = 0; number < 20; number++) table.ask("restart", `s${number}`);
  expect(table.web.requests?.length).toBe(8);
});

describe("an application that is submitted again after its removal", () => {
  test("has a higher revision than the removal, so that a copy with the removal gives way to it", () => {
    const table = new Table();
    table.ask("submit", "r1");
    table.ask("restart", "r2");
    table.ask("remove", "r3");
    const removed = { ...table.entries };
    expect(table.ask("submit", "r4")).toEqual({ ok: true, changed: true, revision: 4 });
    const copy = (entries: Record<string, Data>) => ({ version: { epoch: { number: 1, node: "a" }, sequence: 1 }, lineage: [], entries });
    expect(mergeTables(copy(removed), copy(table.entries)).set["app:web"]).toEqual(table.entries["app:web"]!);
  });
});
