import { expect, test } from "bun:test";
import { waitFor } from "./wait.ts";

test("what is not there yet is waited for: nothing, false, an empty text, an exception", async () => {
  const answers = [undefined, null, false, "", "there"];
  expect(await waitFor("an answer", () => answers.shift(), 1_000, 1)).toBe("there");
  let calls = 0;
  expect(await waitFor("no exception", () => {
    if (calls++ === 0) throw new Error("not yet");
    return 0;
  }, 1_000, 1)).toBe(0);
});

test("after its time it says what it waited for, and what was last in the way", async () => {
  await expect(waitFor("rain", () => false, 5, 1)).rejects.toThrow("Not within 0.005 s: rain");
  await expect(waitFor("rain", () => { throw new Error("the sky is blue"); }, 5, 1)).rejects.toThrow("rain; the sky is blue");
});
