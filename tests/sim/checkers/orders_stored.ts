/**
 * What the FTM orders of applications is in a table that enough nodes have
 * synced. A successor that did not know of it would order something else, or the
 * same once more, and a job would run twice.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { decode } from "../../../core/codec.ts";
import type { Message } from "../../../core/message.ts";
import type { ApplicationEntry, InstanceOrder, InstanceReport, TableVersion } from "../../../armors/shapes.ts";
import type { Checker, Fail, Life } from "./checker.ts";
import { membersOf, TableCopies } from "./table_copies.ts";

/** A version of the table, and who has to have it. */
type Said = { readonly version: TableVersion; readonly members: readonly string[]; readonly step: number };
/** What an FTM's table has said: its versions, and by application and what is wanted of it the first of them. */
type Versions = { readonly all: Said[]; readonly first: Map<string, number> };
type Table = { readonly version: TableVersion } & { readonly [key: `app:${string}`]: ApplicationEntry };

/** Compares orders with the tables that are on the disks. */
export function ordersStored(fail: Fail): Checker {
  const copies = new TableCopies();
  const said = new WeakMap<Life, Versions>();
  const seen = new WeakMap<Life, Table>();

  const wanted = ({ serial, restart, desired }: Pick<ApplicationEntry, "serial" | "restart" | "desired">): string => `${serial} ${restart} ${desired}`;

  /** Notes what a new version of the table says first. */
  const note = (life: Life): void => {
    const table = life.kernel.state("application_table") as unknown as Table;
    const before = seen.get(life);
    if (table === before) return;
    seen.set(life, table);
    const { all, first } = said.get(life) ?? { all: [], first: new Map<string, number>() };
    said.set(life, { all, first });
    all.push({ version: table.version, members: membersOf(table as never, life.node.id), step: copies.steps });
    for (const key of Object.keys(table)) {
      if (!isApplication(key) || before?.[key] === table[key]) continue;
      const name = `${key.slice("app:".length)} ${wanted(table[key]!)}`;
      if (!first.has(name)) first.set(name, all.length - 1);
    }
  };

  const ordered = (life: Life, { ops, payload }: Message): void => {
    if (!ops.some(({ name }) => name === "instances.assign")) return;
    const { reports } = life.kernel.volatile("placement") as { reports: ReadonlyMap<string, readonly InstanceReport[]> };
    const known = [...reports.values()].flat();
    for (const order of payload["instances"] as unknown as readonly InstanceOrder[]) {
      // It stays as it is.
      if (known.some(({ id, serial, restart, state }) => id === order.id && serial === order.serial && restart === order.restart && (state === "running" || state === order.desired))) continue;
      // One that has completed is to be stopped, whatever the application is to do.
      const words = order.desired === "stopped" ? ["stopped", "running"] as const : ["running"] as const;
      const { all, first } = said.get(life) ?? { all: [], first: new Map<string, number>() };
      const few = (desired: "running" | "stopped"): string | undefined => {
        const from = first.get(`${order.application.name} ${wanted({ ...order, desired })}`);
        let text: string | undefined = "nobody";
        // A later version says it too, and may have fewer to be stored by: a node has left.
        for (let index = from ?? all.length; index < all.length && text !== undefined; index++) {
          const { version, members, step } = all[index]!;
          text = copies.tooFew(life, version, members, step);
        }
        return text;
      };
      if (!words.some((desired) => few(desired) === undefined)) {
        fail("orders stored", `the FTM of ${life.node.name} orders "${order.id}" ${order.desired}, restart ${order.restart}, by a table that is stored by ${few(words[0])}`);
      }
    }
  };

  return {
    made: (life) => copies.made(life),
    sent: (life) => copies.sent(life),
    stepped: (life, _event, effects) => {
      copies.stepped(life, effects);
      if (life.kernel.armor !== "ftm") return;
      note(life);
      for (const { sent = [] } of effects.commits) {
        for (const { body } of sent) {
          if (Buffer.from(body.buffer, body.byteOffset, body.length).includes("instances.assign")) ordered(life, decode(body) as Message);
        }
      }
    },
  };
}

const isApplication = (key: string): key is `app:${string}` => key.startsWith("app:");
