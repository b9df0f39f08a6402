import { afterAll, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSecret, deriveKey, encodeSecretFile, readSecretFile, writeSecretFile } from "../../transports/secret.ts";

const folder = mkdtempSync(join(tmpdir(), "armor-secret-"));
afterAll(() => rmSync(folder, { recursive: true }));

function codeOf(run: () => unknown): string | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    expect((error as Error).message).not.toContain("\n");
    return (error as { code?: string }).code;
  }
}

test("a written secret is read back, mode 0600 under any umask, and never overwritten", () => {
  const path = join(folder, "good");
  const secret = createSecret();
  const umask = process.umask(0o777);
  try {
    writeSecretFile(path, secret);
  } finally {
    process.umask(umask);
  }
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readFileSync(path, "utf8")).toMatch(/^[A-Za-z0-9_-]{43}\n$/);
  expect(readSecretFile(path)).toEqual(secret);
  expect(codeOf(() => writeSecretFile(path, createSecret()))).toBe("secret_exists");
  expect(codeOf(() => writeSecretFile(join(folder, "no", "such"), secret))).toBe("secret_unwritable");
  expect(readSecretFile(path)).toEqual(secret);
});

test("readSecretFile() refuses what is missing, exposed, malformed or no file", () => {
  const path = join(folder, "bad");
  expect(codeOf(() => readSecretFile(path))).toBe("secret_missing");
  expect(codeOf(() => readSecretFile(folder))).toBe("secret_unreadable");
  const pipe = join(folder, "pipe");
  execFileSync("mkfifo", ["-m", "600", pipe]);
  expect(codeOf(() => readSecretFile(pipe))).toBe("secret_unreadable");
  const text = encodeSecretFile(createSecret());
  for (const bad of ["", "\n", text.slice(1), `${text}${text}`, `a${text}`, `=${text.slice(1)}`, " ".repeat(300), `${text.slice(0, 42)}B\n`]) {
    writeFileSync(path, bad, { mode: 0o600 });
    expect(codeOf(() => readSecretFile(path))).toBe("secret_malformed");
  }
  writeFileSync(path, text);
  for (const mode of [0o640, 0o604, 0o620, 0o601, 0o666]) {
    chmodSync(path, mode);
    expect(codeOf(() => readSecretFile(path))).toBe("secret_exposed");
  }
  chmodSync(path, 0o400);
  expect(codeOf(() => readSecretFile(path))).toBe(undefined);
});

test("deriveKey() is a function of secret and label, and of nothing else", () => {
  const secret = new Uint8Array(32).fill(1);
  // Fixed for ever: another value would part a cluster in the middle of an upgrade.
  expect(Buffer.from(deriveKey(secret, "label")).toString("hex")).toBe(
    "7a061aa42db9912f4eb0863dac5822cf493d1b328c0d35343a51fbf4f2036a64",
  );
  expect(deriveKey(secret, "other")).not.toEqual(deriveKey(secret, "label"));
  expect(deriveKey(new Uint8Array(32), "label")).not.toEqual(deriveKey(secret, "label"));
  expect(deriveKey(secret, "label", 48).length).toBe(48);
});
