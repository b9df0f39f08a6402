import { expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { mintCertificate } from "../../transports/certificates.ts";

const secret = new Uint8Array(32).fill(3);

test("mintCertificate() issues a leaf that any holder of the same secret verifies, and no other", async () => {
  const [one, two] = await Promise.all([mintCertificate(secret, "node-1"), mintCertificate(secret, "node-2")]);
  const foreign = await mintCertificate(new Uint8Array(32), "node-1");
  const leaf = new X509Certificate(one.cert);
  const authorities = [one, two, foreign].map(({ ca }) => new X509Certificate(ca));
  expect(authorities.map((authority) => leaf.verify(authority.publicKey))).toEqual([true, true, false]);
  expect(authorities.map((authority) => authority.verify(authority.publicKey))).toEqual([true, true, true]);
  expect(authorities[0]!.subject).toBe(authorities[1]!.subject);
  expect(leaf.issuer).toBe(authorities[1]!.subject);
  expect(one.key).not.toBe(two.key);
});

test("mintCertificate() names the node and the fixed server, and holds from 1970 to 9999", async () => {
  const { cert, ca } = await mintCertificate(secret, "nöde 1");
  const leaf = new X509Certificate(cert);
  expect(leaf.subject).toBe("CN=nöde 1");
  expect(leaf.subjectAltName).toBe("DNS:armor.local");
  for (const { validFrom, validTo } of [leaf, new X509Certificate(ca)]) {
    expect(new Date(validFrom).toISOString()).toBe("1970-01-01T00:00:00.000Z");
    expect(new Date(validTo).toISOString()).toBe("9999-12-31T23:59:59.000Z");
  }
  expect([leaf.ca, new X509Certificate(ca).ca]).toEqual([false, true]);
});

test("mintCertificate() derives the authority's key that it has always derived", async () => {
  // Fixed for ever: another key would part a cluster in the middle of an upgrade.
  const { ca } = await mintCertificate(secret, "x");
  const key = new X509Certificate(ca).publicKey.export({ format: "jwk" });
  expect([key.x, key.y]).toEqual([
    "czeoTkG_E9elkompUWiDaf5_1hAbucw3NxxKx68HD8M",
    "N1GtzQJDbr6FWI6i2IyKWuAf_UNW9b3N5exk1pWaPtc",
  ]);
});

test("mintCertificate() refuses a name that X.509 does not hold", async () => {
  for (const name of ["", "x".repeat(65)]) {
    expect(await mintCertificate(secret, name).then(() => undefined, (error) => error.constructor)).toBe(RangeError);
  }
});
