import { expect, test } from "bun:test";
import { formatAddress, isWildcard, parseAddress } from "../../transports/address.ts";

test("parseAddress() reads names, IPv4 and bracketed IPv6; formatAddress() is its inverse", () => {
  const table: [string, string, number][] = [
    ["10.0.0.1:7000", "10.0.0.1", 7000],
    ["localhost:0", "localhost", 0],
    ["node-1.example.org:65535", "node-1.example.org", 65535],
    ["my_box:1", "my_box", 1],
    ["[::1]:7000", "::1", 7000],
    ["[fe80::1%eth0]:7000", "fe80::1%eth0", 7000],
    ["0.0.0.0:7000", "0.0.0.0", 7000],
  ];
  for (const [text, host, port] of table) {
    expect(parseAddress(text)).toEqual({ host, port });
    expect(formatAddress({ host, port })).toBe(text);
  }
});

test("parseAddress() refuses everything else with one line that shows the text", () => {
  for (const text of [
    "", ":", "host", "host:", ":7000", "host:65536", "host:-1", "host:7x", "host: 7", "host:0x10", "::1:7000", "[::1]", "[::1]7000",
    "[host]:1", "[]:1", "256.1.1.1:1", "1.2.3:1", "a b:1", "-a:1", "a-:1", "a..b:1", "http://a:1", `${"a".repeat(64)}:1`, "a\n:1",
  ]) {
    try {
      parseAddress(text);
      throw new Error(`accepted ${text}`);
    } catch (error) {
      expect((error as { code?: string }).code).toBe("bad_address");
      expect((error as Error).message).toContain(JSON.stringify(text));
      expect((error as Error).message).not.toContain("\n");
    }
  }
});

test("isWildcard() knows both families", () => {
  for (const host of ["0.0.0.0", "::", "0:0:0:0:0:0:0:0"]) expect(isWildcard(host)).toBe(true);
  for (const host of ["127.0.0.1", "::1", "localhost", "10.0.0.0"]) expect(isWildcard(host)).toBe(false);
});
