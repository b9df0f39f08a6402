/** What operators may send through a daemon. */
import { expect, test } from "bun:test";
import type { DataRecord } from "../../core/data.ts";
import { seededRandom } from "../../core/random.ts";
import { OperatorRequests } from "../../armors/host/operator_requests.ts";

/** @returns What a request with these arguments is answered at once; `undefined`: it has been passed on. */
async function ask(args: unknown): Promise<unknown> {
  let passed = false;
  const requests = new OperatorRequests({ random: seededRandom(1), local: () => void (passed = true), isFull: () => undefined });
  const answered = requests.operate("armor.send", args as DataRecord);
  return passed ? undefined : await answered;
}

const nested = (levels: number): unknown => JSON.parse(`${"[".repeat(levels)}${"]".repeat(levels)}`);

test("what no message can carry is refused before anything is done with it", async () => {
  const refused = { ok: false, code: "usage", error: expect.stringContaining("nested too deep") };
  expect(await ask({ payload: JSON.parse('{"__proto__": 1}') })).toMatchObject(refused);
  expect(await ask({ payload: nested(60) })).toMatchObject(refused);
});

test("everything else is passed on", async () => {
  expect(await ask({ payload: { text: "ä", list: [1, null, true], deep: nested(20) } })).toBeUndefined();
});
