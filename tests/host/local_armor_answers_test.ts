import { expect, test } from "bun:test";
import { LocalArmorAnswers } from "../../armors/host/local_armor_links.ts";

test("a registration under a known generation is answered at once, under a new one when that is safe", () => {
  const answers = new LocalArmorAnswers();
  const given: string[] = [];
  const give = (name: string, known: boolean): void => answers.give("a", known, () => void given.push(name));
  give("known", true);
  give("new", false);
  expect(given).toEqual(["known"]);
  answers.release("a");
  expect(given).toEqual(["known", "new"]);
  answers.release("a");
  expect(given).toEqual(["known", "new"]);
});

test("an armor that registers again while its new generation is not safe yet waits too, and is answered once", () => {
  const answers = new LocalArmorAnswers();
  const given: string[] = [];
  answers.give("a", false, () => void given.push("first link"));
  answers.give("a", true, () => void given.push("second link"));
  expect(given).toEqual([]);
  answers.release("a");
  expect(given).toEqual(["second link"]);
});
