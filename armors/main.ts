/**
 * Entry of the program: refuse a hostile environment, then start the role or the
 * command that the arguments name. Roles and commands are imported when they are
 * needed, so that each process loads only its own part and `--version` none.
 *
 * @module
 */
import process from "node:process";
import { hostileVariable } from "./environment.ts";
import { version } from "./version.ts";

/** What an entry returns: its exit status, or nothing while the process lives on. */
type Status = number | undefined | void;

/** Roles by name. `guard` and `daemon-process` are started by Armor itself. */
const roles: { readonly [role: string]: (argv: readonly string[]) => Promise<Status> } = {
  daemon: async (argv) => {
    (await import("./host/own_environment.ts")).takeArmorEnvironment();
    return (await import("./host/start_node.ts")).startNode(argv);
  },
  guard: async (argv) => (await import("./host/start_guard.ts")).startGuard(argv),
  "daemon-process": async (argv) =>
    (await import("./host/start_armor.ts")).startArmor("daemon-process", argv),
  ftm: async (argv) => (await import("./host/start_armor.ts")).startArmor("ftm", argv),
  heartbeat: async (argv) => (await import("./host/start_armor.ts")).startArmor("heartbeat", argv),
  execution: async (argv) => (await import("./host/start_armor.ts")).startArmor("execution", argv),
  own: async (argv) => (await import("./host/start_armor.ts")).startArmor("own", argv),
};

/**
 * Run the program. Sets `process.exitCode` and returns; the process ends when
 * nothing keeps it alive.
 *
 * @param argv Arguments after the program's name.
 */
export async function main(argv: readonly string[]): Promise<void> {
  const hostile = hostileVariable(process.env);
  if (hostile !== undefined) {
    return fail(
      1,
      `cannot start: the environment variable "${hostile}" changes how this program runs; unset it`,
    );
  }
  if (argv[0] === "--version") {
    process.stdout.write(argv.includes("--json") ? `${JSON.stringify({ version })}\n` : `armor ${version}\n`);
    return;
  }
  try {
    const status = await start(argv);
    if (status !== undefined) process.exitCode = status;
  } catch (error) {
    const code = error instanceof Error ? (error as { code?: unknown }).code : undefined;
    // Expected failures carry a code; anything else is our own mistake and shows where.
    if (typeof code !== "string") throw error;
    const text = (error as Error).message;
    fail(code === "usage" ? 2 : 1, text.slice(0, 1).toLowerCase() + text.slice(1));
  }
}

async function start(argv: readonly string[]): Promise<Status> {
  // What `armor demo` runs: it starts often and must be up at once.
  if (argv[0] === "demo-app") return (await import("../cli/demo/application.ts")).serveApplication(argv.slice(1));
  const role = roleOf(argv);
  if (role !== undefined && (argv.includes("--help") || argv.includes("-h"))) return (await import("../cli/main.ts")).runCli(["--help"]);
  if (role === undefined) return (await import("../cli/main.ts")).runCli([...argv]);
  const entry = Object.hasOwn(roles, role) ? roles[role] : undefined;
  if (entry !== undefined) {
    // A log that cannot be written, on a full disk or to nobody, ends no armor.
    process.stderr.on("error", () => {});
    (await import("./host/memory.ts")).keepSmall();
    return entry(argv);
  }
  const what = role === "" ? "--role needs a value" : `unknown role ${JSON.stringify(role)}`;
  return fail(2, `${what}: use daemon, ftm, heartbeat or execution`);
}

/** Value of `--role`, wherever it stands before `--`; empty if it is missing. */
function roleOf(argv: readonly string[]): string | undefined {
  for (const [index, argument] of argv.entries()) {
    if (argument === "--") return undefined;
    if (argument === "--role") return argv[index + 1] ?? "";
    if (argument.startsWith("--role=")) return argument.slice("--role=".length);
  }
  return undefined;
}

function fail(status: number, text: string): undefined {
  process.stderr.write(`armor: ${text}\n`);
  process.exitCode = status;
}
