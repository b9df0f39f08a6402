/**
 * Certificates minted from the cluster secret, so that nobody handles certificate
 * files. Every holder of the secret derives the same P-256 key of the authority
 * and can vouch for itself; whoever lacks the secret can neither show a
 * certificate nor accept ours. The authority's own certificate differs from node
 * to node in its signature alone: name, serial number and key are equal, and those
 * are what verification looks at.
 *
 * Valid from 1970 to 9999: small boxes start without a clock.
 *
 * The structures of RFC 5280 are written out here over the DER encoder asn1js
 * (sole importer); `node:crypto` makes and signs. @peculiar/x509 does the same in
 * fewer lines, but takes 45–80 ms of a cold start and 20 MB of memory for good;
 * this takes 13 ms and 3 MB.
 *
 * @module
 */
import {
  BitString,
  Boolean as Asn1Boolean,
  Constructed,
  GeneralizedTime,
  Integer,
  ObjectIdentifier,
  OctetString,
  Primitive,
  Sequence,
  Set as Asn1Set,
  UTCTime,
  Utf8String,
} from "asn1js";
import {
  createECDH,
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from "node:crypto";
import { deriveKey } from "./secret.ts";
import { serverName, type TlsIdentity } from "./tls_identity.ts";

/** What stands in the structures below. */
type Asn1 =
  | Asn1Boolean
  | Asn1Set
  | BitString
  | Constructed
  | GeneralizedTime
  | Integer
  | ObjectIdentifier
  | OctetString
  | Primitive
  | Sequence
  | UTCTime
  | Utf8String;

const oid = {
  ecdsaWithSha256: "1.2.840.10045.4.3.2",
  ecPublicKey: "1.2.840.10045.2.1",
  prime256v1: "1.2.840.10045.3.1.7",
  commonName: "2.5.4.3",
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAlternativeName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  authorityKeyIdentifier: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
} as const;

const authorityName = "Armor cluster";
/** Order of the curve's base point (SEC 2). */
const curveOrder = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/**
 * Mint a key and a certificate for one node. It serves both as server and as client.
 *
 * @param commonName What the peer reads as our name: the node id. At most 64 letters.
 */
export async function mintCertificate(secret: Uint8Array, commonName: string): Promise<TlsIdentity> {
  if (commonName.length === 0 || commonName.length > 64) throw new RangeError("A common name has 1 to 64 letters");
  const authority = deriveAuthority(secret);
  const leaf = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const point = uncompressedPoint(leaf.publicKey);
  const ca = certificate(authority, authority.point, authorityName, Uint8Array.of(1), [
    extension(oid.basicConstraints, true, sequence(new Asn1Boolean({ value: true }), new Integer({ value: 0 }))),
    extension(oid.keyUsage, true, keyUsage(keyCertSign)),
    extension(oid.subjectKeyIdentifier, false, octets(keyIdentifier(authority.point))),
  ]);
  const cert = certificate(authority, point, commonName, Uint8Array.of(1, ...randomBytes(15)), [
    extension(oid.basicConstraints, true, sequence()),
    extension(oid.keyUsage, true, keyUsage(digitalSignature)),
    extension(oid.extendedKeyUsage, false, sequence(objectId(oid.serverAuth), objectId(oid.clientAuth))),
    extension(oid.subjectAlternativeName, false, sequence(tagged(2, Buffer.from(serverName)))),
    extension(oid.authorityKeyIdentifier, false, sequence(tagged(0, keyIdentifier(authority.point)))),
    extension(oid.subjectKeyIdentifier, false, octets(keyIdentifier(point))),
  ]);
  return { key: leaf.privateKey.export({ type: "pkcs8", format: "pem" }) as string, cert, ca };
}

/** The authority's key; 16 bytes more than the order make the reduction's bias negligible (FIPS 186-5, A.2.1). */
function deriveAuthority(secret: Uint8Array): { privateKey: KeyObject; point: Uint8Array } {
  const wide = BigInt(`0x${Buffer.from(deriveKey(secret, "certificate authority", 48)).toString("hex")}`);
  const scalar = Buffer.from((wide % (curveOrder - 1n) + 1n).toString(16).padStart(64, "0"), "hex");
  const curve = createECDH("prime256v1");
  curve.setPrivateKey(scalar);
  const point = curve.getPublicKey();
  const [x, y, d] = [point.subarray(1, 33), point.subarray(33), scalar].map((part) => part.toString("base64url"));
  const jwk = { kty: "EC", crv: "P-256", x: x!, y: y!, d: d! };
  return { privateKey: createPrivateKey({ key: jwk, format: "jwk" }), point };
}

/** A signed certificate (RFC 5280, 4.1) in PEM. */
function certificate(
  authority: { privateKey: KeyObject },
  point: Uint8Array,
  commonName: string,
  serial: Uint8Array,
  extensions: Sequence[],
): string {
  const algorithm = () => sequence(objectId(oid.ecdsaWithSha256));
  const toBeSigned = sequence(
    new Constructed({ idBlock: { tagClass: 3, tagNumber: 0 }, value: [new Integer({ value: 2 })] }),
    new Integer({ valueHex: exactly(serial) }),
    algorithm(),
    name(authorityName),
    sequence(
      new UTCTime({ valueDate: new Date("1970-01-01T00:00:00Z") }),
      new GeneralizedTime({ valueDate: new Date("9999-12-31T23:59:59Z") }),
    ),
    name(commonName),
    sequence(
      sequence(objectId(oid.ecPublicKey), objectId(oid.prime256v1)),
      new BitString({ valueHex: exactly(point) }),
    ),
    new Constructed({ idBlock: { tagClass: 3, tagNumber: 3 }, value: [sequence(...extensions)] }),
  );
  const signature = sign("sha256", new Uint8Array(toBeSigned.toBER()), authority.privateKey);
  const whole = sequence(toBeSigned, algorithm(), new BitString({ valueHex: exactly(signature) })).toBER();
  const lines = Buffer.from(whole).toString("base64").replace(/.{64}(?=.)/g, "$&\n");
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}

function name(commonName: string): Sequence {
  const attribute = sequence(objectId(oid.commonName), new Utf8String({ value: commonName }));
  return sequence(new Asn1Set({ value: [attribute] }));
}

function extension(id: string, critical: boolean, value: Asn1): Sequence {
  const content = octets(new Uint8Array(value.toBER()));
  return critical
    ? sequence(objectId(id), new Asn1Boolean({ value: true }), content)
    : sequence(objectId(id), content);
}

/** The first bit of `KeyUsage` and the sixth (RFC 5280, 4.2.1.3), each with the number of bits after it. */
const digitalSignature = { bits: 0x80, unusedBits: 7 } as const;
const keyCertSign = { bits: 0x04, unusedBits: 2 } as const;

function keyUsage({ bits, unusedBits }: { readonly bits: number; readonly unusedBits: number }): BitString {
  return new BitString({ unusedBits, valueHex: exactly(Uint8Array.of(bits)) });
}

function sequence(...value: Asn1[]): Sequence {
  return new Sequence({ value });
}

function objectId(value: string): ObjectIdentifier {
  return new ObjectIdentifier({ value });
}

function octets(bytes: Uint8Array): OctetString {
  return new OctetString({ valueHex: exactly(bytes) });
}

/** A value under a context-specific tag in place of its own. */
function tagged(tagNumber: number, bytes: Uint8Array): Primitive {
  return new Primitive({ idBlock: { tagClass: 3, tagNumber }, valueHex: exactly(bytes) });
}

/** SHA-1 of the public key (RFC 5280, 4.2.1.2): a name for it, not a protection. */
function keyIdentifier(point: Uint8Array): Uint8Array {
  return createHash("sha1").update(point).digest();
}

function uncompressedPoint(key: KeyObject): Uint8Array {
  const { x, y } = key.export({ format: "jwk" }) as { x: string; y: string };
  return Buffer.concat([Uint8Array.of(4), Buffer.from(x, "base64url"), Buffer.from(y, "base64url")]);
}

/** asn1js takes whole buffers; Node's small ones share theirs. */
function exactly(bytes: Uint8Array): ArrayBuffer {
  return Uint8Array.from(bytes).buffer;
}
