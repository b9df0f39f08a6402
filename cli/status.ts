/**
 * `armor status`
 *
 * @module
 */
import { CommandError, type CommandDefinition, jsonDocument, printable } from "./command.ts";
import type { StatusDocument } from "./status_document.ts";

/** Shows the cluster as one daemon sees it. */
export const statusCommand: CommandDefinition = {
  name: "status",
  group: "Cluster:",
  summary: "show nodes, armors and applications",
  description:
    "Shows the cluster as the asked daemon sees it: its nodes, its own processes (armors) and the applications with their instances. Any daemon answers at any time; one that reaches no fault-tolerance manager answers from its own knowledge and says so. With --json the daemon's document, unchanged.",
  operands: [],
  options: [],
  connects: true,
  examples: ["armor status", "armor status --json --address 10.0.0.1:7000 --secret-file secret"],
  async run(input, terminal) {
    const { connectDaemon } = await import("./daemon_client.ts");
    const daemon = await connectDaemon(input, terminal);
    const document = await daemon.json({ method: "GET", path: "/v1/status", timeoutMs: 7_000 });
    if (typeof document !== "object" || document === null) {
      throw new CommandError("unavailable", `${daemon.place} gave a status that is none: is it another version?`);
    }
    if (input.json) return terminal.out(jsonDocument(document));
    const { renderTable } = await import("./table.ts");
    terminal.out(renderStatus(document as StatusDocument, renderTable));
  },
};

/** The document for people. Fields a daemon of another version leaves out are shown as `-`. */
export function renderStatus(status: StatusDocument, table: typeof import("./table.ts").renderTable): string {
  const nodes = status.nodes ?? [];
  const nameOf = (id: string | undefined): string => nodes.find((node) => node.id === id)?.name ?? id ?? "-";
  const on = (role: string, armor: StatusDocument["ftm"]): string =>
    armor ? `${role} on ${printable(armor.node)}${armor.state === "running" ? "" : ` (${printable(armor.state)})`}` : `no ${role}`;
  const line = [
    `cluster ${printable(String(status.cluster ?? "-"))}`,
    `epoch ${status.epoch?.number ?? "-"} of ${printable(nameOf(status.epoch?.node))}`,
    on("FTM", status.ftm),
    on("heartbeat armor", status.heartbeat),
  ].join(", ");
  const parts = [`${line}\n`];
  if (status.stale) parts.push("stale: no fault-tolerance manager answers; this is what this node knows by itself\n");
  parts.push(
    `\n${table(["NODE", "STATE", "ADDRESS", "ID"], nodes.map((node) => [node.name, node.state, node.address, node.id]))}`,
    `\n${table(
      ["ARMOR", "ROLE", "NODE", "PID", "STATE", "INCARNATION"],
      (status.armors ?? []).map((armor) => [armor.name === undefined ? armor.id : `${armor.name} (${armor.id})`, armor.role, armor.node, armor.pid, armor.state, incarnationText(armor.incarnation)]),
    )}`,
  );
  const applications = status.applications ?? [];
  if (applications.length === 0) {
    parts.push("\nNo applications: armor run -- COMMAND starts one\n");
    return parts.join("");
  }
  parts.push(
    `\n${table(
      ["APPLICATION", "STATE", "DESIRED", "INSTANCES", "REVISION"],
      applications.map(({ name, state, desired, instances, revision }) => {
        const running = (instances ?? []).filter((instance) => instance.state === "running").length;
        return [name, state, desired, `${running}/${(instances ?? []).length}`, incarnationText(revision)];
      }),
    )}`,
    `\n${table(
      ["INSTANCE", "APPLICATION", "NODE", "PID", "STATE", "RESTARTS"],
      applications.flatMap(({ name, instances }) =>
        (instances ?? []).map((instance) => [instance.id, name, instance.node, instance.pid, instance.state, instance.restarts]),
      ),
    )}`,
  );
  return parts.join("");
}

/** A number as it is; a pair such as placement and restart as `3.1`. */
function incarnationText(value: unknown): string | number | null {
  if (typeof value === "number" || typeof value === "string") return value;
  if (typeof value !== "object" || value === null) return null;
  return Object.values(value).join(".");
}
