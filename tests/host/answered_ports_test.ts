import { expect, test } from "bun:test";
import { AnsweredPorts } from "../../armors/host/answered_ports.ts";

/** Ports over a table in place of files, which counts its reads. */
function portsOf(files: { [id: string]: number }): { readonly ports: AnsweredPorts; readonly reads: () => number } {
  let reads = 0;
  return { ports: new AnsweredPorts((id) => (reads++, files[id])), reads: () => reads };
}

test("AnsweredPorts.read() reads the file again unless the last ask was answered", () => {
  const files: { [id: string]: number } = { ftm: 1 };
  const { ports, reads } = portsOf(files);
  expect([ports.read("ftm"), reads()]).toEqual([1, 1]);
  ports.answered("ftm", 1);
  expect([ports.read("ftm"), reads()]).toEqual([1, 1]);
  // It was started again: the ask after the one that was lost finds it.
  files["ftm"] = 2;
  expect([ports.read("ftm"), reads()]).toEqual([2, 2]);
});

test("AnsweredPorts.answered() heeds no answer from another port, and knows a guard by its id", () => {
  const { ports, reads } = portsOf({ ftm: 1, guard: 3 });
  ports.answered("ftm", 9);
  expect(ports.read("ftm")).toBe(1);
  ports.answered("ftm", 9);
  expect([ports.read("ftm"), reads()]).toEqual([1, 2]);
  expect(ports.read("guard")).toBe(3);
  ports.answered("guard@n1", 3);
  expect([ports.read("guard"), reads()]).toEqual([3, 3]);
  expect(ports.read("daemon@x")).toBeUndefined();
});

test("AnsweredPorts.read() asks the last port known while its file is missing", () => {
  const files: { [id: string]: number } = { ftm: 1 };
  const { ports } = portsOf(files);
  ports.read("ftm");
  delete files["ftm"];
  expect([ports.read("ftm"), ports.read("ftm")]).toEqual([1, 1]);
  files["ftm"] = 2;
  expect(ports.read("ftm")).toBe(2);
});
