/**
 * Rule 2 of the safety list, as far as it can be seen from outside: no message
 * takes effect twice in one line of an armor's state, and its numbers are
 * handled without a gap.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { decode } from "../../../core/codec.ts";
import { generationText } from "../../../core/generation.ts";
import type { Message } from "../../../core/message.ts";
import type { Checker, Fail } from "./checker.ts";

type Handled = { readonly commit: number; readonly key: string };

/** Keeps what each line of state has handled. */
export function messagesOnce(fail: Fail): Checker {
  const lines = new Map<string, { handled: Handled[]; keys: Set<string> }>();
  /** Generation of each armor's last life. */
  const newest = new Map<string, string>();
  /** By message, the armors that have handled it on its way, each in which generation. */
  const passed = new Map<string, Map<string, string>>();
  const lineOf = (kernel: { armor: string; generation: Parameters<typeof generationText>[0] }): string =>
    `${kernel.armor} ${generationText(kernel.generation)}`;
  return {
    made: ({ kernel, follows }) => {
      newest.set(kernel.armor, generationText(kernel.generation));
      const line = lines.get(lineOf(kernel));
      if (!line) return;
      const commit = follows ? kernel.snapshot().commit : 0;
      line.handled = line.handled.filter((one) => one.commit <= commit);
      line.keys = new Set(line.handled.map(({ key }) => key));
    },
    stepped: ({ kernel }, event, { commits }) => {
      if (event.kind !== "frame" || event.frame.type !== "data") return;
      const { from, lane, sequence, body, fromGeneration } = event.frame;
      const record = commits.find(({ handled }) => handled?.some((one) => one.peer === from && one.lane === lane && one.sequence === sequence));
      if (!record) return;
      const name = lineOf(kernel);
      let line = lines.get(name);
      if (!line) lines.set(name, line = { handled: [], keys: new Set() });
      const { id, executed } = headOf(body);
      // A new generation of the sender may repeat what was in doubt.
      const key = `${id}#${executed} of ${generationText(fromGeneration)}`;
      // What was in doubt when the armor that began it, or one on its way, was rewound may come round again by any way.
      const [origin = "", born = ""] = id.split("/");
      let way = passed.get(id);
      if (!way) passed.set(id, way = new Map([[origin, born]]));
      const rewound = [...way].some(([armor, generation]) => (newest.get(armor) ?? generation) !== generation);
      if (!way.has(kernel.armor)) way.set(kernel.armor, generationText(kernel.generation));
      if (line.keys.has(key) && !rewound) fail("messages once", `${name} handles ${key} (${(decode(body) as Message).ops[0]?.name}) from ${from} twice`);
      line.keys.add(key);
      line.handled.push({ commit: record.commit, key });
    },
  };
}

/**
 * Id and place in the itinerary, read without the rest: keys are sorted, and these come before what may be long.
 *
 * @throws {Error} If the codec writes messages in another way.
 */
export function headOf(body: Uint8Array): Pick<Message, "id" | "executed"> {
  let at = 1;
  const number = (): number => {
    const small = body[at++]! & 31;
    if (small < 24) return small;
    let value = 0;
    for (let width = 1 << (small - 24); width > 0; width--) value = value * 256 + body[at++]!;
    return value;
  };
  const text = (): string => {
    const length = number();
    at += length;
    return Buffer.from(body.buffer, body.byteOffset + at - length, length).toString("latin1");
  };
  let executed = -1;
  for (let left = body[0]! & 31; left > 0; left--) {
    const key = text();
    const major = body[at]! >> 5;
    if (key === "id") return { id: text(), executed };
    // A fraction, of a time, is as wide as its head says, as are whole numbers.
    const value = major === 3 ? text() : number();
    if (key === "executed") executed = value as number;
  }
  throw new Error("no message begins like this");
}
