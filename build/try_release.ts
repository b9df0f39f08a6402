/**
 * `npm run release -- --try [TARGET…]`: run the executables of a release as far as
 * this machine can. Each gets a root folder of its own, made of Debian's packages
 * where it needs another C library or processor, and namespaces of its own.
 *
 * linux-x64 and linux-x64-musl run `armor demo`, linux-arm64 a reduced one
 * (build/try_release.sh) under qemu, whose registration as an interpreter is of the
 * namespaces too. Needs root, a C compiler, and Debian's package registry.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Target } from "./runtimes.ts";
import { root as checkout } from "./tools.mjs";

/** How the trial of an executable ended. */
export interface Trial {
  readonly target: string;
  /** `untried`: this machine cannot; `why` says what is missing. */
  readonly result: "ok" | "failed" | "untried";
  readonly why: string;
}

/** Programs of busybox that Armor or the trial calls. */
const applets = ["awk", "cat", "cut", "env", "grep", "kill", "ls", "mkdir", "ps", "rm", "setpriv", "setsid", "sh", "sleep"];
const withinMs = 600_000;

/** An ELF executable of an arm64 machine, as binfmt_misc wants it. */
const arm64Magic = String.raw`\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff`;

/** In the namespaces: `$1` is the root, `$2` an interpreter of arm64 executables or empty; the rest is run in it. */
const enter = String.raw`
set -e
root=$1 qemu=$2
shift 2
ip link set lo up
if [ -n "$qemu" ]; then
  mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
  printf '%s' ":armor-arm64:M::${arm64Magic}:$qemu:OPF" >/proc/sys/fs/binfmt_misc/register
fi
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/dev"
for name in null zero random urandom; do
  : >"$root/dev/$name"
  mount --bind "/dev/$name" "$root/dev/$name"
done
exec chroot "$root" "$@"
`;

/** What musl lacks of what Debian's static libstdc++ asks of its C library. */
const lacking = `
long syscall(long, ...);
void *__dso_handle __attribute__((visibility("hidden"))) = &__dso_handle;
char __libc_single_threaded = 0;
int _dl_find_object(void *address, void *result) { return -1; }
unsigned arc4random(void) { unsigned value = 0; syscall(318, &value, sizeof value, 0); return value; }
`;

/** Try one executable. */
export function tryExecutable(target: Target, executable: string): Trial {
  const folder = mkdtempSync(join(tmpdir(), "armor-release-"));
  try {
    const root = join(folder, "root");
    for (const name of ["bin", "dev", "lib", "proc", "run", "tmp"]) mkdirSync(join(root, name), { recursive: true });
    unpack(folder, "busybox-static");
    copyFileSync(join(folder, "busybox-static", "bin", "busybox"), join(root, "bin", "busybox"));
    for (const name of applets) symlinkSync("busybox", join(root, "bin", name));
    copyFileSync(executable, join(root, "bin", "armor"));
    copyFileSync(join(checkout, "build", "try_release.sh"), join(root, "try.sh"));
    const how = makers[target.name];
    if (how === undefined) return { target: target.name, result: "untried", why: "its C++ library would have to be linked by a cross compiler" };
    const qemu = how(folder, root, executable);
    const command = qemu === "" ? ["/bin/armor", "demo"] : ["/bin/sh", "/try.sh"];
    const namespaces = ["--user", "--map-root-user", "--mount", "--pid", "--net", "--ipc", "--fork", "--kill-child", "--propagation", "private"];
    const run = spawnSync("unshare", [...namespaces, "/bin/sh", "-c", enter, "sh", root, qemu, ...command], { stdio: ["ignore", "inherit", "inherit"], timeout: withinMs, killSignal: "SIGKILL" });
    return run.status === 0
      ? { target: target.name, result: "ok", why: qemu === "" ? "armor demo" : "build/try_release.sh under qemu" }
      : { target: target.name, result: "failed", why: `status ${run.status ?? run.signal}` };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** How a root is completed; each returns the interpreter of the executable, or nothing. */
const makers: { readonly [target: string]: (folder: string, root: string, executable: string) => string } = {
  "linux-x64": (_folder, root) => {
    for (const name of ["ld-linux-x86-64.so.2", "libc.so.6", "libdl.so.2", "libm.so.6", "libpthread.so.0"]) {
      const path = ["/lib64", "/lib/x86_64-linux-gnu"].map((one) => join(one, name)).find(existsSync);
      if (path === undefined) throw new Error(`Cannot find ${name} of this machine`);
      copyFileSync(path, join(root, "lib", name));
    }
    symlinkSync("lib", join(root, "lib64"));
    return "";
  },
  "linux-x64-musl": (folder, root, executable) => {
    unpack(folder, "musl");
    const library = join(root, "lib", "libc.musl-x86_64.so.1");
    copyFileSync(join(folder, "musl", "lib", "x86_64-linux-musl", "libc.so"), library);
    chmodSync(library, 0o755);
    symlinkSync("libc.musl-x86_64.so.1", join(root, "lib", "ld-musl-x86_64.so.1"));
    makeLibstdcxx(folder, root, executable);
    return "";
  },
  "linux-arm64": (folder, root) => {
    unpack(folder, "libc6-arm64-cross");
    cpSync(join(folder, "libc6-arm64-cross", "usr", "aarch64-linux-gnu", "lib"), join(root, "lib"), { recursive: true, verbatimSymlinks: true });
    unpack(folder, "qemu-user-static");
    return join(folder, "qemu-user-static", "usr", "bin", "qemu-aarch64-static");
  },
};

/** Debian builds libstdc++ for glibc only: what the executable needs of it is linked anew, against musl. */
function makeLibstdcxx(folder: string, root: string, executable: string): void {
  const defined = new Set(symbols(must("nm", "-D", "--defined-only", join(root, "lib", "libc.musl-x86_64.so.1"))));
  const undefinedOnes = symbols(must("nm", "-D", "--undefined-only", executable));
  const copied = must("readelf", "-rW", executable).split("\n").filter((line) => line.includes("_COPY")).map((line) => line.trim().split(/\s+/)[4]!.split("@")[0]!);
  // What only a library that is not there would define is optional.
  const wanted = [...undefinedOnes, ...copied].filter((name) => !defined.has(name) && !/^(ZSTD|_ITM)_/.test(name));
  writeFileSync(join(folder, "lacking.c"), lacking);
  must("cc", "-c", "-fPIC", "-w", "-o", join(folder, "lacking.o"), join(folder, "lacking.c"));
  const archives = ["libstdc++.a", "libgcc_eh.a", "libgcc.a"].map((name) => must("cc", `-print-file-name=${name}`).trim());
  if (!existsSync(archives[0]!)) throw new Error("Cannot find libstdc++.a: install Debian's g++");
  must(
    "cc", "-shared", "-nostdlib", "-o", join(root, "lib", "libstdc++.so.6"), "-Wl,-soname,libstdc++.so.6",
    ...wanted.map((name) => `-Wl,-u,${name}`), join(folder, "lacking.o"), "-Wl,--start-group", ...archives, "-Wl,--end-group",
    `-L${join(root, "lib")}`, "-l:libc.musl-x86_64.so.1",
  );
}

/** Names in the output of `nm`, without versions. */
function symbols(text: string): string[] {
  return text.split("\n").map((line) => line.trim().split(/\s+/).at(-1)!.split("@")[0]!).filter((name) => name !== "");
}

/** Fetch one of Debian's packages and unpack it into a folder of its name. */
function unpack(folder: string, name: string): void {
  const to = join(folder, name);
  mkdirSync(to);
  must("sh", "-c", 'cd "$1" && apt-get download -qq "$2"', "sh", to, name);
  const file = readdirSync(to).find((one) => one.endsWith(".deb"))!;
  must("dpkg-deb", "-x", join(to, file), to);
}

/** @returns Standard output. @throws {Error} With what it said last. */
function must(program: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: "utf8", maxBuffer: 100 * 1024 * 1024 });
  if (status !== 0) throw new Error(`Cannot run ${program}: ${error?.message ?? (stderr.trim().split("\n").at(-1) || `status ${status}`)}`);
  return stdout;
}
