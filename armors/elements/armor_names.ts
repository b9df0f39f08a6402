/**
 * How operators name armors.
 *
 * @module
 */
import type { Data } from "../../core/data.ts";
import type { ArmorId } from "../../core/micro_operation.ts";
import type { NodeRegistration, OwnArmorEntry } from "../shapes.ts";

/**
 * Find an armor: `ftm`, `heartbeat`, `daemon@NODE` or `execution@NODE` by the
 * node's name or id, an armor of one's own by its name or id.
 *
 * @param table Entries of the application table.
 */
export function findArmor(text: string, table: { readonly [key: string]: Data }): ArmorId | undefined {
  if (text === "ftm" || text === "heartbeat") return text;
  const own = table[`armor:${text}`] as OwnArmorEntry | undefined;
  if (own) return own.id;
  const entries = Object.entries(table);
  const [role = "", place] = text.split("@");
  if (place === undefined) return entries.some(([key, value]) => key.startsWith("armor:") && (value as OwnArmorEntry).id === text) ? text : undefined;
  if (role !== "daemon" && role !== "execution") return undefined;
  const nodes = entries.filter(([key]) => key.startsWith("node:")).map(([, value]) => value as NodeRegistration).filter(({ left }) => !left);
  const node = nodes.find(({ id, name }) => id === place || name === place);
  return node && `${role}@${node.id}`;
}
