/**
 * What every reliable link must do, as a function of how links are made: run on
 * HTTP/2 over TLS and over a Unix socket, and on simulated ones.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { type FrameLink, type LinkEnd, type LinkHandlers, linkLimits } from "../../transports/frame_link.ts";

/** Two ends of one link in this process. */
export interface LinkPair {
  readonly left: FrameLink;
  readonly right: FrameLink;
}

/** A link to a process that is going to be ended. */
export interface DoomedLink {
  readonly link: FrameLink;
  kill(): void;
  /** Let it hang, connection and all. */
  stop(): void;
  now(): number;
}

/** How links are made and time passes. */
export interface ReliableFactory {
  /** A fresh open link; `left` dialled. */
  connect(left: LinkHandlers, right: LinkHandlers): Promise<LinkPair>;
  /** Let the world run until `reached()`, at most `limitMs` of its time; then fail. */
  until(reached: () => boolean, limitMs: number): Promise<void>;
  /** A link to another process that sends one frame, then only reads, and a way to end it without a word. */
  connectDoomed?(handlers: LinkHandlers): Promise<DoomedLink>;
  /** Whatever was started. */
  dispose(): Promise<void>;
}

/** Records what an end is told. */
export class Recorder implements LinkHandlers {
  readonly frames: Uint8Array[] = [];
  readonly ends: LinkEnd[] = [];
  framesAfterEnd = 0;
  bytes = 0;
  keep = true;
  onFrames = (frames: Uint8Array[]): void => {
    if (this.ends.length > 0) this.framesAfterEnd += frames.length;
    for (const frame of frames) this.bytes += frame.length;
    if (this.keep) this.frames.push(...frames);
  };
  onClose = (reason: LinkEnd): void => void this.ends.push(reason);
}

function numbered(number: number, lengthBytes = 8): Uint8Array {
  const frame = new Uint8Array(lengthBytes);
  new DataView(frame.buffer).setUint32(0, number);
  return frame;
}

function numberOf(frame: Uint8Array): number {
  return new DataView(frame.buffer, frame.byteOffset).getUint32(0);
}

/** Run the suite. */
export function testReliableLink(name: string, start: () => Promise<ReliableFactory>): void {
  const withPair = (run: (at: { left: Recorder; right: Recorder; pair: LinkPair; world: ReliableFactory }) => Promise<void>) => async () => {
    const world = await start();
    try {
      const left = new Recorder();
      const right = new Recorder();
      await run({ left, right, pair: await world.connect(left, right), world });
    } finally {
      await world.dispose();
    }
  };

  describe(`${name} as a reliable link`, () => {
    test("delivers frames of all sizes in order, both ways", withPair(async ({ left, right, pair, world }) => {
      const sizes = [0, 1, 4, 5, 6, 255, 256, 65_535, 65_536, 70_000, 3, 0];
      for (const size of sizes) pair.left.send(new Uint8Array(size).fill(size % 251));
      for (const size of sizes) pair.right.send(new Uint8Array(size).fill(size % 241));
      await world.until(() => left.frames.length === sizes.length && right.frames.length === sizes.length, 5_000);
      expect(right.frames.map((frame) => frame.length)).toEqual(sizes);
      expect(left.frames.map((frame) => frame.length)).toEqual(sizes);
      expect(right.frames.every((frame) => frame.every((byte) => byte === frame.length % 251))).toBe(true);
      expect(left.ends).toEqual([]);
    }));

    test("delivers 100,000 small frames in order", withPair(async ({ right, pair, world }) => {
      const count = 100_000;
      let sent = 0;
      while (sent < count) {
        for (const end = Math.min(count, sent + 5_000); sent < end; sent++) pair.left.send(numbered(sent));
        await world.until(() => pair.left.backlogBytes < linkLimits.backlogBytesMax / 2, 5_000);
      }
      await world.until(() => right.frames.length === count, 5_000);
      expect(right.frames.every((frame, index) => numberOf(frame) === index)).toBe(true);
    }));

    test("delivers a frame of 5 MiB and one of the greatest size", withPair(async ({ right, pair, world }) => {
      const frame = new Uint8Array(5 * 1024 * 1024).map((_, index) => index * 31);
      pair.left.send(frame);
      pair.left.send(new Uint8Array(linkLimits.frameBytesMax));
      await world.until(() => right.frames.length === 2, 5_000);
      expect(Buffer.compare(right.frames[0]!, frame)).toBe(0);
      expect(right.frames[1]!.length).toBe(linkLimits.frameBytesMax);
    }));

    test("refuses to send a frame beyond the greatest size", withPair(async ({ pair }) => {
      expect(() => pair.left.send(new Uint8Array(linkLimits.frameBytesMax + 1))).toThrow(RangeError);
    }));

    test("hands out frames that later traffic leaves alone", withPair(async ({ right, pair, world }) => {
      for (let number = 0; number < 300; number++) {
        pair.left.send(numbered(number, 1_000));
        if (number % 100 === 99) await world.until(() => right.frames.length === number + 1, 5_000);
      }
      expect(right.frames.map(numberOf)).toEqual([...Array(300).keys()]);
    }));

    test("echoes while both sides send at once", withPair(async ({ left, right, pair, world }) => {
      const count = 2_000;
      for (let number = 0; number < count; number++) {
        pair.left.send(numbered(number, 512));
        pair.right.send(numbered(number, 512));
      }
      await world.until(() => left.frames.length === count && right.frames.length === count, 5_000);
      expect(left.frames.every((frame, index) => numberOf(frame) === index)).toBe(true);
      expect(right.frames.every((frame, index) => numberOf(frame) === index)).toBe(true);
      expect(pair.left.backlogBytes).toBe(0);
    }));

    for (const side of ["left", "right"] as const) {
      const other = side === "left" ? "right" : "left";
      test(`close() on the ${side} delivers what was sent, then tells each end once`, withPair(async ({ left, right, pair, world }) => {
        const told = { left, right };
        for (let number = 0; number < 100; number++) pair[side].send(numbered(number, 10_000));
        pair[side].close();
        pair[side].close();
        expect(told[side].ends).toEqual([]);
        await world.until(() => left.ends.length > 0 && right.ends.length > 0, 5_000);
        pair[side].send(numbered(0));
        pair[other].send(numbered(0));
        pair[other].close();
        await world.until(() => told[side].ends.length === 1, 50).catch(() => {});
        expect(told[side].ends).toEqual(["closed"]);
        expect(told[other].ends).toEqual(["ended"]);
        expect(told[other].frames.length).toBe(100);
        expect(left.framesAfterEnd + right.framesAfterEnd).toBe(0);
      }));
    }

    test("ends with \"backlog\" when more is sent than is taken", withPair(async ({ left, right, pair, world }) => {
      const frame = new Uint8Array(linkLimits.frameBytesMax);
      for (let sent = 0; sent <= linkLimits.backlogBytesMax; sent += frame.length) {
        pair.left.send(frame);
        expect(pair.left.backlogBytes).toBeLessThanOrEqual(linkLimits.backlogBytesMax);
      }
      await world.until(() => left.ends.length > 0 && right.ends.length > 0, 5_000);
      expect(left.ends).toEqual(["backlog"]);
      expect(right.ends.length).toBe(1);
    }));

    test("sees the sudden death of the other process at once", async () => {
      const world = await start();
      try {
        if (world.connectDoomed === undefined) return;
        const told = new Recorder();
        const { link, kill, now } = await world.connectDoomed(told);
        await world.until(() => told.frames.length === 1, 5_000);
        link.send(numbered(1, 100_000));
        const killedAt = now();
        kill();
        await world.until(() => told.ends.length > 0, 5_000);
        // No deadline is as short: the closed connection says so.
        expect(now() - killedAt).toBeLessThan(2_000);
        expect(["lost", "ended"]).toContain(told.ends[0]!);
        expect(told.ends.length).toBe(1);
      } finally {
        await world.dispose();
      }
    });
  });
}
