import { describe, expect, test } from "bun:test";
import type { Data, DataRecord } from "../../core/data.ts";
import { parseApplication } from "../../armors/application_schema.ts";
import { ArmorWorld } from "../sim/armor_world.ts";

const applications = (...names: string[]): Data => names.map((name) => parseApplication({ name, command: "/bin/server" })) as unknown as Data;
const names = (world: ArmorWorld): string[] => world.view("n1")!.applications.map(({ name }) => name);
/** How often the host was told that it may forget the configuration. */
function counted(world: ArmorWorld): () => number {
  let count = 0;
  const { onCommand } = world.network;
  world.network.onCommand = (armor, command) => {
    if (command.kind === "configuration.done") count++;
    onCommand!(armor, command);
  };
  return () => count;
}

describe("the initial configuration", () => {
  test("is in the table and runs as soon as there is an FTM; the host may forget it then", () => {
    const world = new ArmorWorld();
    const done = counted(world);
    world.startNode("n1");
    world.network.local("daemon@n1", "configuration.begin", { applications: applications("web", "api") });
    world.advance(5_000);
    expect(names(world)).toEqual(["api", "web"]);
    expect([...world.programs.keys()].sort()).toEqual(["api.0", "web.0"]);
    expect(done()).toBe(1);
  });

  test("is given again to the next FTM, and to the next daemon, without a second copy", () => {
    const world = new ArmorWorld();
    const done = counted(world);
    world.startNode("n1");
    const configuration: DataRecord = { applications: applications("web") };
    world.network.local("daemon@n1", "configuration.begin", configuration);
    while (!world.alive("ftm")) world.advance(1);
    world.kill("ftm");
    world.advance(8_000);
    expect(names(world)).toEqual(["web"]);
    world.network.local("daemon@n1", "configuration.begin", configuration);
    world.advance(5_000);
    expect(done()).toBe(2);
    expect(world.launches).toHaveLength(1);
  });

  test("names what is in the table with another specification, and leaves it", () => {
    const world = ArmorWorld.ofOneNode();
    const done = counted(world);
    world.operate("n1", "application.submit", { application: { name: "web", command: "/bin/other" } });
    world.advance(2_000);
    world.network.local("daemon@n1", "configuration.begin", { applications: applications("web") });
    world.advance(5_000);
    expect(done()).toBe(1);
    expect(world.events.filter(({ kind }) => kind === "application.refused")).toMatchObject([{ subject: "web", cause: expect.stringContaining("exists with another specification") }]);
    expect(world.launches).toHaveLength(1);
  });

  test("empty, is done at once", () => {
    const world = new ArmorWorld();
    const done = counted(world);
    world.startNode("n1");
    world.network.local("daemon@n1", "configuration.begin", { applications: [] });
    expect(done()).toBe(1);
  });

  test("an application pinned to a node that has not joined yet waits for it", () => {
    const world = new ArmorWorld();
    world.startNode("n1");
    const pinned = parseApplication({ name: "web", command: "/bin/server", node: "n2", pin: true });
    world.network.local("daemon@n1", "configuration.begin", { applications: [pinned] as unknown as Data });
    world.advance(5_000);
    expect(world.launches).toEqual([]);
    world.startNode("n2", "n1");
    world.advance(5_000);
    expect(world.launches).toMatchObject([{ armor: "execution@n2", id: "web.0" }]);
  });
});
