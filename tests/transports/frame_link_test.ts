import { expect, test } from "bun:test";
import fc from "fast-check";
import { FrameReader, linkLimits } from "../../transports/frame_link.ts";

function wire(frames: Uint8Array[]): Buffer {
  return Buffer.concat(frames.flatMap((frame) => {
    const head = Buffer.from([0x5a, 0, 0, 0, 0]);
    head.writeUInt32BE(frame.length, 1);
    return [head, frame];
  }));
}

test("FrameReader.push() finds the same frames however the bytes are cut", () => {
  const frames = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 20 });
  fc.assert(fc.property(frames, fc.array(fc.nat({ max: 60 })), (sent, cuts) => {
    const reader = new FrameReader();
    const bytes = wire(sent);
    const read: Uint8Array[] = [];
    let at = 0;
    for (const cut of cuts) {
      read.push(...reader.push(bytes.subarray(at, at + cut)));
      at += cut;
    }
    read.push(...reader.push(bytes.subarray(at)));
    bytes.fill(0); // what was handed out is not a view
    expect(read.map((frame) => [...frame])).toEqual(sent.map((frame) => [...frame]));
  }));
});

test("FrameReader.push() takes a frame byte by byte in linear time", () => {
  const reader = new FrameReader();
  const bytes = wire([new Uint8Array(300_000).fill(7)]);
  let frames: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at++) frames = reader.push(bytes.subarray(at, at + 1));
  expect(frames.length).toBe(1);
  expect(frames[0]!.length).toBe(300_000);
});

test("FrameReader.push() refuses another beginning, and a length over the limit, before any content", () => {
  const code = (bytes: number[]) => {
    try {
      return new FrameReader().push(Uint8Array.from(bytes)).length;
    } catch (error) {
      return (error as { code?: string }).code;
    }
  };
  const max = linkLimits.frameBytesMax;
  const length = (value: number) => [value >>> 24, (value >> 16) & 255, (value >> 8) & 255, value & 255];
  expect(code([0x5a, ...length(max)])).toBe(0);
  expect(code([0x5a, ...length(max + 1)])).toBe("protocol");
  expect(code([0x5a, 255, 255, 255, 255])).toBe("protocol");
  expect(code([0x59])).toBe("protocol");
  expect(code([0x5b, 0, 0, 0, 0, 0])).toBe("protocol");
});
