/** A job's completion is told again by an execution armor that was restored: it is about the run that it had, not about a later one. */
import { expect, test } from "bun:test";
import { ArmorWorld } from "../sim/armor_world.ts";

test("the completion of a run before the operator's restart, told again after it, does not end the job", () => {
  const world = ArmorWorld.ofTwoNodes();
  const application = {
    name: "job", command: "/bin/job", args: [], env: {}, directory: null, user: null, instances: 1, node: null, pin: false, kind: "job", singleton: false,
  };
  const stateOf = (): string | undefined => world.view("n1")!.applications.find(({ name }) => name === "job")?.state;
  world.operate("n1", "application.submit", { application });
  world.advance(1_000);
  const { node } = world.programs.get("job.0")!;
  const { placement } = world.network.state<Record<string, { order: { placement: object } }>>(`execution@${node}`, "instances")["job.0"]!.order;
  const { serial } = world.network.state<Record<string, { order: { serial: string } }>>(`execution@${node}`, "instances")["job.0"]!.order;
  world.exit("job.0", 0);
  world.advance(1_000);
  expect(stateOf()).toBe("completed");
  world.operate("n1", "application.restart", { name: "job" });
  world.advance(1_000);
  const report = { id: "job.0", serial, name: "job", placement, state: "completed", pid: null, restarts: 0, launch: 1, crashLoop: false, cannot: "" };
  // From before the restart, on its way until now.
  world.network.local("ftm", "instances.told", { node, instances: [{ ...report, restart: 0 }], started: true } as never);
  world.advance(1_000);
  expect(world.programs.has("job.0")).toBe(true);
  expect(stateOf()).toBe("running");
  world.exit("job.0", 0);
  world.advance(1_000);
  expect(stateOf()).toBe("completed");
});
