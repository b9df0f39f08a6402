import { describe, expect, test } from "bun:test";
import { readFileSync, readlinkSync } from "node:fs";
import process from "node:process";
import { systemCalls } from "../../armors/host/ffi.ts";
import { unchangedRanges } from "../../armors/host/memory.ts";

/** One mapping of `/proc/PID/smaps`, shortened. */
function mapping(range: string, rights: string, name: string, anonymousKb = 0): string {
  return `${range} ${rights} 01838000 fe:00 2236654 ${" ".repeat(20)}${name}\nSize: 8 kB\nRss: 8 kB\nAnonymous: ${anonymousKb} kB\nVmFlags: rd ex mr mw me sd\n`;
}

describe("unchangedRanges()", () => {
  const path = "/opt/armor (deleted)";
  const text = mapping("00200000-00203000", "r--p", path);
  const code = mapping("7f01a40000-7f01a41000", "r-xp", path);

  test("finds what is mapped from the file and is not writable", () => {
    expect(unchangedRanges(text + code, path)).toEqual([{ start: 0x200000n, length: 0x3000 }, { start: 0x7f01a40000n, length: 0x1000 }]);
  });

  test("leaves out what was written to, can be, is shared, or is of another file", () => {
    for (const other of [
      mapping("0685f000-06867000", "r--p", path, 12),
      mapping("06867000-06fb8000", "rw-p", path),
      mapping("06867000-06fb8000", "rwxp", path),
      mapping("06867000-06fb8000", "r--s", path),
      mapping("06867000-06fb8000", "r-xp", "/usr/lib/libc.so.6"),
      mapping("06867000-06fb8000", "r-xp", "/opt/armor"),
      "39b8e400000-39bce400000 r--p 00000000 00:00 0 \nAnonymous: 0 kB\n",
    ]) expect(unchangedRanges(other, path)).toEqual([]);
  });

  test("finds pages of a living process, which goes on without them", () => {
    const found = unchangedRanges(readFileSync("/proc/self/smaps", "latin1"), readlinkSync("/proc/self/exe"));
    if (process.versions["bun"] === undefined) return;
    expect(found.length).toBeGreaterThan(0);
    for (const { start, length } of found) expect(systemCalls()?.releasePages(start, length)).toBe(true);
    expect(JSON.parse('{"it":"goes on"}')).toEqual({ it: "goes on" });
  });
});
