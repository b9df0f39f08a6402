/** The daemon's socket when its folder vanishes under it, in virtual time. */
import { expect, test } from "bun:test";
import { KeptSocket } from "../../armors/host/kept_socket.ts";
import { virtualClock } from "./virtual_clock.ts";

/** A machine with one folder at a time; each socket made is another file. */
function place() {
  const time = virtualClock();
  const world = {
    ...time,
    folder: "/run/a",
    failing: undefined as string | undefined,
    files: new Map<string, string>(),
    listened: [] as string[],
    closed: [] as number[],
    lines: [] as string[],
  };
  const socket = new KeptSocket({
    clock: time.clock,
    open: () => {
      if (world.failing !== undefined) throw new Error(world.failing);
      return `${world.folder}/daemon.sock`;
    },
    listen: (path) => {
      const number = world.listened.push(path);
      world.files.set(path, `file ${number}`);
      return Promise.resolve({ close: () => Promise.resolve(void world.closed.push(number)) });
    },
    fileAt: (path) => world.files.get(path),
    log: (text) => world.lines.push(text),
  });
  return Object.assign(world, { socket });
}

test("KeptSocket leaves a socket alone that is there", async () => {
  const world = place();
  await world.socket.open();
  await world.runUntil(60_000);
  expect([world.listened, world.lines]).toEqual([["/run/a/daemon.sock"], []]);
});

test("KeptSocket listens again where its path has vanished, or is another's, and keeps the links it has", async () => {
  const world = place();
  await world.socket.open();
  world.files.clear();
  await world.runUntil(3_000);
  expect(world.listened.length).toBe(2);
  world.files.set("/run/a/daemon.sock", "another file");
  await world.runUntil(6_000);
  expect(world.listened.length).toBe(3);
  await world.runUntil(60_000);
  expect([world.listened.length, world.closed]).toEqual([3, []]);
  await world.socket.close();
  expect(world.closed).toEqual([1, 2, 3]);
});

test("KeptSocket follows its folder", async () => {
  const world = place();
  await world.socket.open();
  world.folder = "/tmp/b";
  await world.runUntil(60_000);
  expect(world.listened).toEqual(["/run/a/daemon.sock", "/tmp/b/daemon.sock"]);
});

test("KeptSocket tries again and again while there is no folder, and says so once", async () => {
  const world = place();
  await world.socket.open();
  world.files.clear();
  world.failing = "no folder";
  await world.runUntil(60_000);
  expect(world.lines).toEqual(["the daemon's socket has vanished and cannot be made anew yet: Error: no folder"]);
  world.failing = undefined;
  await world.runUntil(63_000);
  expect(world.listened.length).toBe(2);
});

test("KeptSocket holds few servers, however often its path vanishes", async () => {
  const world = place();
  await world.socket.open();
  for (let turn = 1; turn <= 10; turn++) {
    world.files.clear();
    await world.runUntil(turn * 3_000);
  }
  expect([world.listened.length, world.closed.length]).toEqual([11, 7]);
});

test("KeptSocket makes nothing anew once it is closed", async () => {
  const world = place();
  await world.socket.open();
  await world.socket.close();
  world.files.clear();
  await world.runUntil(60_000);
  expect(world.listened.length).toBe(1);
});
