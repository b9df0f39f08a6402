/**
 * Users of this machine.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import process from "node:process";

/** One line of the user database. */
export interface User {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly shell: string;
}

/**
 * Find a user by name or number, in `/etc/passwd`, else (directories such as
 * LDAP) by `getent`.
 *
 * @returns `undefined` if there is none.
 */
export function findUser(nameOrUid: string): User | undefined {
  return search(readPasswd(), nameOrUid) ?? search(getent(nameOrUid), nameOrUid);
}

/** The user this process runs as; without an entry, its number and `/`. */
export function currentUser(): User {
  const uid = process.getuid?.() ?? 0;
  return findUser(String(uid)) ?? { name: String(uid), uid, gid: process.getgid?.() ?? uid, home: "/", shell: "/bin/sh" };
}

function search(text: string, nameOrUid: string): User | undefined {
  for (const line of text.split("\n")) {
    const [name = "", , uid = "", gid = "", , home, shell] = line.split(":");
    if (name !== "" && uid !== "" && (name === nameOrUid || uid === nameOrUid)) {
      return { name, uid: Number(uid), gid: Number(gid), home: home || "/", shell: shell || "/bin/sh" };
    }
  }
  return undefined;
}

function readPasswd(): string {
  try {
    return readFileSync("/etc/passwd", "utf8");
  } catch {
    return "";
  }
}

function getent(nameOrUid: string): string {
  // A name that begins with a dash would be an option.
  if (nameOrUid === "" || nameOrUid.startsWith("-")) return "";
  return spawnSync("getent", ["passwd", nameOrUid], { encoding: "utf8", timeout: 2_000 }).stdout ?? "";
}
