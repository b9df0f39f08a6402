/**
 * `npm run TASK` on a checkout with nothing but Node and npm: install the pinned
 * packages if they are missing or old, then run the task with Bun.
 *
 * Usage: node build/npm_task.mjs TASK [ARGUMENTS…]
 *
 * @module
 */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { root, tool } from "./tools.mjs";

const modules = join(root, "node_modules");
const lockFile = join(root, "package-lock.json");
const stampFile = join(modules, ".armor-installed");
/** What npm has installed; it writes this last. */
const npmList = join(modules, ".package-lock.json");
const lockFolder = join(root, "dist", ".install.lock");

/** Whether node_modules is what package-lock.json says. */
function installed() {
  const wanted = createHash("sha256").update(readFileSync(lockFile)).digest("hex");
  if (existsSync(stampFile)) return readFileSync(stampFile, "utf8") === wanted;
  // Installed by hand.
  return existsSync(npmList) && statSync(npmList).mtimeMs >= statSync(lockFile).mtimeMs;
}

function pause(ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

function alive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

/** Take the lock, or return once somebody else's install is complete. */
function lockOrInstalled() {
  mkdirSync(join(root, "dist"), { recursive: true });
  const owner = join(lockFolder, "pid");
  for (let unowned = 0; ; ) {
    try {
      mkdirSync(lockFolder);
      writeFileSync(owner, String(process.pid));
      return true;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    let pid = 0;
    try {
      pid = Number(readFileSync(owner, "utf8"));
    } catch {
      // Between mkdir and write, or just released.
    }
    if (pid > 0 ? !alive(pid) : ++unowned > 25) {
      rmSync(lockFolder, { recursive: true, force: true });
      unowned = 0;
      continue;
    }
    pause(200);
    if (!existsSync(lockFolder) && installed()) return false;
  }
}

/**
 * `npm install --no-save` takes the versions of package-lock.json like `npm ci`, but
 * leaves alone what is already right, so that programs running from node_modules go
 * on, and does not mind a registry that lacks another platform's optional package.
 */
function install() {
  if (installed() || !lockOrInstalled()) return;
  try {
    if (installed()) return;
    console.error("armor: installing the pinned packages");
    // Neither stamp nor npm's own list: an install was cut short.
    if (!existsSync(stampFile) && !existsSync(npmList)) rmSync(modules, { recursive: true, force: true });
    const flags =
      "--no-save --ignore-scripts --include=dev --include=optional --no-audit --no-fund --loglevel=error";
    const npm = process.env.npm_execpath;
    const [command, first] = npm?.endsWith(".js") ? [process.execPath, [npm]] : ["npm", []];
    const run = spawnSync(command, [...first, "install", ...flags.split(" ")], {
      cwd: root,
      stdio: ["ignore", 2, 2],
    });
    if (run.status !== 0)
      throw new Error(`Cannot install packages: npm install ended with status ${run.status}`);
    writeFileSync(stampFile, createHash("sha256").update(readFileSync(lockFile)).digest("hex"));
  } finally {
    rmSync(lockFolder, { recursive: true, force: true });
  }
}

/** The runtime's own variables would change what a build does; see armors/environment.ts. */
function cleanEnvironment() {
  const hostile = /^(BUN_OPTIONS|BUN_BE_BUN|BUN_INSPECT.*|NODE_OPTIONS)$/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !hostile.test(name)));
}

const tasks = {
  build: ["build/compile.ts"],
  check: ["build/check.ts"],
  test: ["build/test.ts"],
  demo: ["build/demo.ts"],
  bench: ["bench/run.ts"],
  campaign: ["bench/campaign/run.ts"],
  docs: ["build/elements_page.ts"],
  release: ["build/release.ts"],
  sim: ["tests/sim/command.ts"],
  "sim:soak": ["tests/sim/command.ts", "--soak"],
};

const [name = "", ...rest] = process.argv.slice(2);
const task = tasks[name];
if (task === undefined) {
  console.error(`armor: unknown task "${name}": use ${Object.keys(tasks).join(", ")}`);
  process.exit(2);
}
try {
  install();
  const child = spawn(tool("bun"), [...task, ...rest], {
    cwd: root,
    env: cleanEnvironment(),
    stdio: "inherit",
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (status, signal) => {
    if (signal !== null) console.error(`armor: ${name} was ended by ${signal}`);
    process.exitCode = status ?? 1;
  });
} catch (error) {
  console.error(`armor: ${error.message}`);
  process.exitCode = 1;
}
