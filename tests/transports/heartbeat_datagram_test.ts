import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  decodeHeartbeat,
  encodeHeartbeat,
  type HeartbeatAsk,
  heartbeatKey,
  heartbeatLimits,
  type HeartbeatReply,
} from "../../transports/heartbeat_datagram.ts";

const key = heartbeatKey(new Uint8Array(32), "ftm");
const forKey = () => key;

const name = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }).filter((text) =>
  text.isWellFormed() && Buffer.byteLength(text) <= heartbeatLimits.nameBytesMax
);
const nonce = fc.uint8Array({ minLength: 16, maxLength: 16 });
const number = fc.double({ noNaN: true, noDefaultInfinity: true });
const ask: fc.Arbitrary<HeartbeatAsk> = fc.record({ type: fc.constant("ask" as const), cluster: name, from: name, to: name, nonce });
const reply: fc.Arbitrary<HeartbeatReply> = fc.record({
  type: fc.constant("reply" as const),
  cluster: name,
  from: name,
  to: name,
  nonce,
  progress: number,
  turnAgeMs: number,
  epoch: number,
  detail: fc.string({ maxLength: 200 }).filter((text) => Buffer.byteLength(text) <= heartbeatLimits.detailBytesMax),
});
const datagram = fc.oneof(ask, reply);
const sample: HeartbeatReply = {
  type: "reply", cluster: "c", from: "daemon@a", to: "ftm", nonce: new Uint8Array(16).fill(9), progress: 5, turnAgeMs: 1.5, epoch: 2, detail: "ok",
};

test("decodeHeartbeat() reads what encodeHeartbeat() wrote", () => {
  fc.assert(fc.property(datagram, (written) => {
    const bytes = encodeHeartbeat(written, key);
    expect(bytes.length).toBeLessThanOrEqual(heartbeatLimits.datagramBytesMax);
    expect(decodeHeartbeat(bytes, forKey)).toEqual(written);
  }), { numRuns: 300 });
});

test("decodeHeartbeat() refuses a datagram with any one bit flipped, shortened or extended", () => {
  fc.assert(fc.property(datagram, (written) => {
    const bytes = encodeHeartbeat(written, key);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      if (decodeHeartbeat(bytes, forKey) !== undefined) throw new Error(`bit ${bit} of ${bytes.length * 8}`);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
    }
    for (let length = 0; length < bytes.length; length++) {
      expect(decodeHeartbeat(bytes.subarray(0, length), forKey)).toBe(undefined);
    }
    expect(decodeHeartbeat(Buffer.concat([bytes, Uint8Array.of(0)]), forKey)).toBe(undefined);
  }), { numRuns: 20 });
});

test("decodeHeartbeat() refuses random bytes, also behind a right beginning", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), fc.boolean(), (bytes, begin) => {
    if (begin && bytes.length > 6) bytes.set([0x41, 0x48, 1, 1 + (bytes[3]! & 1), bytes.length >> 8, bytes.length & 255]);
    expect(decodeHeartbeat(bytes, forKey)).toBe(undefined);
  }), { numRuns: 2_000 });
});

test("decodeHeartbeat() chooses the key by the names and refuses where there is none or another", () => {
  const bytes = encodeHeartbeat(sample, key);
  const seen: unknown[] = [];
  expect(decodeHeartbeat(bytes, (header) => void seen.push(header))).toBe(undefined);
  expect(seen).toEqual([{ type: "reply", cluster: "c", from: "daemon@a", to: "ftm" }]);
  expect(decodeHeartbeat(bytes, () => heartbeatKey(new Uint8Array(32), "daemon@a"))).toBe(undefined);
  expect(decodeHeartbeat(bytes, () => heartbeatKey(new Uint8Array(32).fill(1), "ftm"))).toBe(undefined);
});

test("decodeHeartbeat() reads from the middle of a buffer and returns a nonce of its own", () => {
  const bytes = encodeHeartbeat(sample, key);
  const large = new Uint8Array(bytes.length + 20);
  large.set(bytes, 13);
  const read = decodeHeartbeat(large.subarray(13, 13 + bytes.length), forKey);
  large.fill(0);
  expect(read).toEqual(sample);
});

test("encodeHeartbeat() cuts a long detail at a whole character, and throws on what it cannot write", () => {
  const long = { ...sample, cluster: "c".repeat(64), from: "f".repeat(64), to: "t".repeat(64), detail: "ä€".repeat(100) };
  const bytes = encodeHeartbeat(long, key);
  expect(bytes.length).toBeLessThanOrEqual(489);
  expect((decodeHeartbeat(bytes, forKey) as HeartbeatReply).detail).toBe("ä€".repeat(40));
  for (const wrong of [{ from: "" }, { to: "t".repeat(65) }, { nonce: new Uint8Array(15) }, { progress: NaN }, { epoch: Infinity }]) {
    expect(() => encodeHeartbeat({ ...sample, ...wrong }, key)).toThrow(RangeError);
  }
});
