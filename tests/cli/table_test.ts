import { expect, test } from "bun:test";
import { renderTable } from "../../cli/table.ts";

test("renderTable() aligns columns two blanks apart, without borders, colours or trailing blanks", () => {
  expect(renderTable(["NAME", "PID", "STATE"], [["web", 7, "running"], ["a-longer-name", null, ""], ["wïde 名", 12345, "x"]])).toBe(
    "NAME           PID    STATE\n" +
      "web            7      running\n" +
      "a-longer-name  -      -\n" +
      "wïde 名        12345  x\n",
  );
});

test("renderTable() shows the headers of an empty table", () => {
  expect(renderTable(["A", "B"], [])).toBe("A  B\n");
});

test("renderTable() makes control characters harmless and keeps each row on one line", () => {
  expect(renderTable(["A"], [["a\nb\u001b[31m"]])).toBe("A\na?b?[31m\n");
});
