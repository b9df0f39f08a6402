import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openDataDir } from "../../armors/host/data_dir.ts";
import { forgetConfiguration, readConfiguration, storeConfiguration, storedApplications } from "../../armors/host/initial_configuration.ts";
import { parseRoleFlags, type RoleOptions } from "../../armors/host/role_flags.ts";
import { Temporary } from "./temporary.ts";

const temporary = new Temporary();
afterEach(() => temporary.clean());

function options(content: string, ...more: string[]): RoleOptions {
  const folder = temporary.folder();
  const config = join(folder, "cluster.toml");
  writeFileSync(config, content);
  return parseRoleFlags(["--role", "daemon", "--node", "n1", "--listen", "127.0.0.1:1", "--secret-file", "s", "--data-dir", join(folder, "data"), "--config", config, ...more]);
}

const good = '[[application]]\nname = "web"\ncommand = "nginx"\n';

describe("the initial configuration of a node", () => {
  test("is read where a cluster begins, kept until it is forgotten", async () => {
    const given = options(good);
    const configuration = await readConfiguration(given);
    expect(configuration?.applications).toMatchObject([{ name: "web", command: "nginx", kind: "service" }]);
    expect(existsSync(given.dataDir)).toBe(false);
    const data = openDataDir(given.dataDir);
    expect(storedApplications(data)).toBeUndefined();
    storeConfiguration(data, configuration!);
    expect(storedApplications(data)).toEqual(configuration!.applications);
    forgetConfiguration(data);
    forgetConfiguration(data);
    expect(storedApplications(data)).toBeUndefined();
  });

  test("is read by the first node of a list, which may have to start the cluster", async () => {
    const configuration = await readConfiguration(options(good, "--join", "127.0.0.1:1,127.0.0.1:2"));
    expect(configuration?.applications).toMatchObject([{ name: "web" }]);
  });

  test("is not read by a node that joins, nor by one that has been started before", async () => {
    expect(await readConfiguration(options("broken", "--join", "127.0.0.1:2"))).toBeUndefined();
    const given = options("broken");
    writeFileSync(openDataDir(given.dataDir).identity, "");
    expect(await readConfiguration(given)).toBeUndefined();
  });

  const wrong: [string, string, string][] = [
    ["what is no TOML", "= 1", "line 1, column 1"],
    ["an application at the top level", 'name = "web"\ncommand = "x"\n', '"name" is no setting of a cluster: use [[application]]'],
    ["a wrong application", `${good}instances = 0\n`, 'application "web": instances must be a whole number'],
    ["a singleton", `${good}singleton = true\n`, 'application "web": singleton is not available yet'],
  ];
  test.each(wrong)("refuses %s before anything starts", async (_, content, message) => {
    const given = options(content);
    await expect(readConfiguration(given)).rejects.toMatchObject({ code: "usage", message: expect.stringContaining(message) });
    await expect(readConfiguration(given)).rejects.toThrow(given.config!);
    expect(existsSync(given.dataDir)).toBe(false);
  });

  test("that does not exist is named", async () => {
    const given = { ...options(good), config: "/no/such.toml" };
    await expect(readConfiguration(given)).rejects.toMatchObject({ code: "file", message: 'cannot read "/no/such.toml": it does not exist' });
  });
});
