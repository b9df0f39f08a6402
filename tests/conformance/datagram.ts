/**
 * What every datagram transport must do, as a function of how ports are opened:
 * run on UDP and on a simulated network.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import type { HostPort } from "../../transports/address.ts";

/** One open end. */
export interface DatagramEnd {
  readonly address: HostPort;
  send(bytes: Uint8Array, to: HostPort): void;
  close(): void;
}

/** How ends are made and time passes. */
export interface DatagramFactory {
  open(onDatagram: (bytes: Uint8Array, from: HostPort) => void): Promise<DatagramEnd>;
  /** Let the world run until `reached()`, at most `limitMs` of its time; then fail. */
  until(reached: () => boolean, limitMs: number): Promise<void>;
  /** An address at which nobody listens. */
  readonly nobody: HostPort;
  dispose(): Promise<void>;
}

/** Run the suite. */
export function testDatagrams(name: string, start: () => Promise<DatagramFactory>): void {
  const withWorld = (run: (world: DatagramFactory) => Promise<void>) => async () => {
    const world = await start();
    try {
      await run(world);
    } finally {
      await world.dispose();
    }
  };

  describe(`${name} as a datagram transport`, () => {
    test("delivers datagrams whole, with the address that answers reach", withWorld(async (world) => {
      const heard: number[] = [];
      const left = await world.open((bytes) => void heard.push(bytes[0]!));
      const right = await world.open((bytes, from) => right.send(bytes, from));
      // Any one may be lost: ask until answered, as callers do.
      for (let attempt = 0; attempt < 50 && heard.length === 0; attempt++) {
        left.send(Uint8Array.of(42), right.address);
        await world.until(() => heard.length > 0, 100).catch(() => {});
      }
      expect(heard[0]).toBe(42);
    }));

    test("delivers unchanged, or not at all, sizes from 0 to 1,200 bytes", withWorld(async (world) => {
      const heard: Uint8Array[] = [];
      const left = await world.open(() => {});
      const right = await world.open((bytes) => void heard.push(bytes));
      for (const size of [0, 1, 512, 1_200]) left.send(new Uint8Array(size).fill(size % 251), right.address);
      await world.until(() => heard.length >= 4, 300).catch(() => {});
      expect(heard.length).toBeGreaterThan(0);
      for (const bytes of heard) expect(bytes.every((byte) => byte === bytes.length % 251)).toBe(true);
    }));

    test("hands out bytes that later datagrams leave alone", withWorld(async (world) => {
      const heard: Uint8Array[] = [];
      const left = await world.open(() => {});
      const right = await world.open((bytes) => void heard.push(bytes));
      for (let number = 0; number < 50; number++) left.send(new Uint8Array(100).fill(number), right.address);
      await world.until(() => heard.length >= 50, 300).catch(() => {});
      expect(heard.every((bytes) => bytes.every((byte) => byte === bytes[0]))).toBe(true);
    }));

    test("send() never throws: nobody there, too long, closed", withWorld(async (world) => {
      const heard: number[] = [];
      const left = await world.open((bytes) => void heard.push(bytes[0]!));
      for (let number = 0; number < 10; number++) left.send(Uint8Array.of(1), world.nobody);
      left.send(new Uint8Array(100_000), world.nobody);
      left.send(Uint8Array.of(1), { host: "999.invalid", port: 1 });
      left.send(Uint8Array.of(1), { host: "127.0.0.1", port: 0 });
      await world.until(() => false, 50).catch(() => {});
      // Still of use after all that.
      for (let attempt = 0; attempt < 50 && heard.length === 0; attempt++) {
        left.send(Uint8Array.of(7), left.address);
        await world.until(() => heard.length > 0, 100).catch(() => {});
      }
      expect(heard[0]).toBe(7);
      left.close();
      left.close();
      left.send(Uint8Array.of(1), world.nobody);
    }));

    test("delivers nothing after close()", withWorld(async (world) => {
      let heard = 0;
      const left = await world.open(() => {});
      const right = await world.open(() => void heard++);
      const { address } = right;
      right.close();
      left.send(Uint8Array.of(1), address);
      await world.until(() => heard > 0, 50).catch(() => {});
      expect(heard).toBe(0);
    }));
  });
}
