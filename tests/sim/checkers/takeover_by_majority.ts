/**
 * An FTM begins only after a majority of the nodes has promised its epoch, of
 * those that the freshest of their tables registers. With two nodes one is
 * enough.
 *
 * @module
 */
import { compareEpochs, type Epoch } from "../../../core/generation.ts";
import type { FtmBegin } from "../../../armors/elements/takeover.ts";
import { daemonOf, type NodeRegistration } from "../../../armors/shapes.ts";
import type { Checker, Fail } from "./checker.ts";

/** Counts promises as daemons commit them. */
export function takeoverByMajority(fail: Fail): Checker {
  const promised = new Map<string, Set<string>>();
  return {
    stepped: ({ kernel }, _event, { commits }) => {
      for (const { set } of commits) {
        const epoch = set?.["epoch_promise"]?.["promised"] as Epoch | undefined;
        if (!epoch) continue;
        const key = `${epoch.number}.${epoch.node}`;
        promised.set(key, (promised.get(key) ?? new Set()).add(kernel.armor));
      }
    },
    handling: ({ node }, op, { payload }) => {
      if (op !== "ftm.begin") return;
      const { epoch, reports } = payload["begin"] as FtmBegin;
      const who = promised.get(`${epoch.number}.${epoch.node}`) ?? new Set();
      for (const report of reports) {
        if (!who.has(daemonOf(report.node))) fail("takeover by majority", `${report.node} has not promised epoch ${epoch.number} of ${epoch.node}, in which the FTM of ${node.name} begins`);
      }
      const [freshest] = reports.map(({ table }) => table).sort((a, b) => compareEpochs(b.version.epoch, a.version.epoch) || b.version.sequence - a.version.sequence);
      const registered = Object.entries(freshest?.entries ?? {}).filter(([key]) => key.startsWith("node:")).map(([, entry]) => entry as NodeRegistration);
      const members = registered.filter(({ left }) => !left);
      const answered = members.filter(({ id }) => who.has(daemonOf(id)));
      if (members.length > 2 && 2 * answered.length <= members.length) {
        fail("takeover by majority", `the FTM of ${node.name} begins in epoch ${epoch.number} after promises of ${answered.length} of ${members.length} nodes`);
      }
    },
  };
}
