/**
 * `armor down`
 *
 * @module
 */
import { type CommandDefinition, CommandError, type CommandInput } from "./command.ts";
import type { Terminal } from "./terminal.ts";

const drainWithinMs = 60_000;
const lookEveryMs = 100;

/** The daemon is the last to end. */
async function untilGone(input: CommandInput, terminal: Terminal): Promise<void> {
  const { connectDaemon } = await import("./daemon_client.ts");
  for (const startMs = performance.now(); performance.now() - startMs < drainWithinMs;) {
    try {
      const daemon = await connectDaemon(input, terminal);
      await daemon.json({ method: "GET", path: "/v1/status", timeoutMs: 2_000 });
    } catch {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
  }
  throw new CommandError("unavailable", `the node has not left within ${drainWithinMs / 1_000} s: see "armor status"`);
}

/** Takes a node out of the cluster. */
export const downCommand: CommandDefinition = {
  name: "down",
  group: "Cluster:",
  summary: "take a node out of the cluster and end everything on it",
  description:
    "Makes the node that answers leave: its applications are started on other nodes, then its programs, armors and daemon end. To end only the daemon and leave the programs running, send it SIGTERM instead. Returns when the node has left, after 60 s at the latest.",
  operands: [],
  options: [],
  connects: true,
  examples: ["armor down --data-dir /var/lib/armor"],
  async run(input, terminal) {
    const { operate } = await import("./operation.ts");
    await operate(input, terminal, { operation: "node.down" }, {
      changed: "the node leaves the cluster; everything on it ends",
      unchanged: "the node has left the cluster already; nothing changed",
      // Programs have 10 s to end after SIGTERM, and others take over before that.
      timeoutMs: drainWithinMs,
    });
    await untilGone(input, terminal);
  },
};
