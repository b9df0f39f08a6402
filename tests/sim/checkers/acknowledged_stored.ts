/**
 * Rule 1 of the safety list: before an operator is told that a change is done,
 * the table with it is synced on enough nodes, the FTM's own included; and the
 * next FTM starts from a table that has it.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { decode } from "../../../core/codec.ts";
import { compareEpochs } from "../../../core/generation.ts";
import type { Message } from "../../../core/message.ts";
import type { FtmBegin } from "../../../armors/elements/takeover.ts";
import type { NodeRegistration, TableCopy, TableVersion } from "../../../armors/shapes.ts";
import type { Checker, Fail, Life } from "./checker.ts";
import { isAtLeast, membersOf, TableCopies } from "./table_copies.ts";

/** Follows the copies of the table on the disks. */
export function acknowledgedStored(fail: Fail): Checker {
  const copies = new TableCopies();
  /** Version of the table at a thread's `table.commit`, by message and FTM, and the nodes that it registers: one that joins since gets all of it before it counts. */
  const committing = new Map<string, { version: TableVersion; members: readonly string[]; step: number }>();
  /** The last version that each FTM has acknowledged. */
  const acknowledged = new Map<string, TableVersion>();

  /** One request may be under way in two FTMs at once. */
  const requestOf = ({ kernel: { generation } }: Life, id: string): string => `${id} ${generation.epoch}.${generation.node}`;

  const answered = (life: Life, { id, payload }: Message): void => {
    const { version, members = [], step = 0 } = committing.get(requestOf(life, id)) ?? {};
    if (!version || !(payload["answer"] as { ok?: boolean } | undefined)?.ok) return;
    committing.delete(requestOf(life, id));
    const few = copies.tooFew(life, version, members, step);
    if (few !== undefined) fail("acknowledged stored", `the FTM of ${life.node.name} acknowledges version ${version.epoch.number}.${version.sequence}, which ${few} have stored`);
    const { number, node } = version.epoch;
    const before = acknowledged.get(`${number}.${node}`);
    if (members.length > 2 && (!before || isAtLeast(version, before))) acknowledged.set(`${number}.${node}`, version);
  };

  return {
    made: (life) => copies.made(life),
    sent: (life) => copies.sent(life),
    stepped: (life, _event, effects) => {
      copies.stepped(life, effects);
      if (life.kernel.armor !== "ftm") return;
      for (const { sent = [] } of effects.commits) {
        for (const { body } of sent) {
          if (Buffer.from(body.buffer, body.byteOffset, body.length).includes("operator.answer")) answered(life, decode(body) as Message);
        }
      }
    },
    handling: (life, op, { message, payload, state }) => {
      const { version } = state as { version: TableVersion };
      const { node } = life;
      const request = requestOf(life, message.id);
      // Once by each FTM: a request that its first FTM did not live to answer is tried again.
      if (op === "table.commit" && !committing.has(request)) {
        committing.set(request, { version, members: membersOf(state, node.id), step: copies.steps });
      }
      if (op !== "ftm.begin") return;
      const { epoch, reports } = payload["begin"] as FtmBegin;
      const tables = reports.map(({ table }) => table);
      // What was acknowledged since in a higher epoch it cannot know: its node slept between the takeover and the start. Nobody obeys it.
      const newest = [...acknowledged.values()].filter((one) => compareEpochs(one.epoch, epoch) < 0).sort((a, b) => (isAtLeast(a, b) ? -1 : 1))[0];
      // Whoever has lost a part of a copy cannot say what was newest.
      if (!newest || tables.some(({ lost }) => lost) || tables.some((table) => contains(table, newest))) return;
      // One that knows of a single other node, but for those that have left, acts alone: a cluster may have grown without it.
      const countIn = ({ entries }: TableCopy): number => Object.entries(entries).filter(([key, entry]) => key.startsWith("node:") && !(entry as NodeRegistration).left).length;
      if (tables.every((table) => countIn(table) <= 2)) return;
      fail("acknowledged stored", `the FTM of ${node.name} begins without version ${newest.epoch.number}.${newest.sequence}, which was acknowledged`);
    },
  };
}

function contains({ version, lineage }: TableCopy, wanted: TableVersion): boolean {
  return [version, ...lineage].some(({ epoch, sequence }) => compareEpochs(epoch, wanted.epoch) === 0 && sequence >= wanted.sequence);
}
