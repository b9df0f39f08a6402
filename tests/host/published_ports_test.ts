/** Ports in files that vanish, in virtual time. */
import { expect, test } from "bun:test";
import { PublishedPorts } from "../../armors/host/published_ports.ts";
import { virtualClock } from "./virtual_clock.ts";

test("PublishedPorts.write() keeps a port published, also where it cannot be written at first", async () => {
  const { clock, runUntil } = virtualClock();
  const files = new Map<string, number>();
  const lines: string[] = [];
  let [full, writes] = [true, 0];
  const ports = new PublishedPorts(clock, {
    read: (id) => files.get(id),
    write: (id, port) => {
      if (full) throw new Error("ENOENT");
      writes++;
      files.set(id, port);
    },
  }, (text) => lines.push(text));
  ports.write("guard", 7);
  await runUntil(10_000);
  expect(lines).toEqual(["the port of guard cannot be published yet: Error: ENOENT"]);
  full = false;
  await runUntil(13_000);
  expect(files.get("guard")).toBe(7);
  files.clear();
  await runUntil(16_000);
  expect(files.get("guard")).toBe(7);
  // What is there is left alone.
  await runUntil(60_000);
  expect(writes).toBe(2);
});
