import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import type { ServerHttp2Stream } from "node:http2";
import { join } from "node:path";
import { parseApplication } from "../../armors/application_schema.ts";
import { type FakeDaemon, fakeDaemon, type Heard, type Outcome, reply } from "./testing.ts";

let daemon: FakeDaemon;
let folder: string;
let answer: (heard: Heard, stream: ServerHttp2Stream) => void;

beforeAll(async () => {
  daemon = await fakeDaemon((heard, stream) => answer(heard, stream));
  folder = join(daemon.dataDir, "files");
  mkdirSync(folder);
});
afterAll(() => daemon.close());
beforeEach(() => {
  daemon.heard.length = 0;
  answer = (_, stream) => reply(stream, { ok: true, changed: true, revision: 1 });
});

/** Submit a file of this content. */
async function submit(content: string | Uint8Array, ...options: string[]): Promise<Outcome> {
  writeFileSync(join(folder, "apps.toml"), content);
  return await daemon.run(["submit", ...options, "apps.toml"], { directory: folder });
}

const submitted = (): unknown[] => daemon.heard.map(({ body }) => body);

const full = `
# A web server and a job.
[[application]]
name = "web"
command = "/usr/sbin/nginx"
args = ["-g", "daemon off;"]
env = { LANG = "C", "PORT" = "80" }
directory = "/srv"
user = "www-data"
instances = 2
node = "n1"
pin = true
restart = { firstDelayMs = 200, restartsMax = 5 }

[application.probe]
type = "http"
url = "http://127.0.0.1:80/health"
failures = 2

[application.log]
maxBytes = 1_048_576

[[application]]
name = "backup"
command = "backup.sh"
kind = "job"
`;

describe("armor submit", () => {
  test("submits one application that stands at the top level", async () => {
    const outcome = await submit('name = "web"\ncommand = "nginx"\n');
    expect(outcome).toEqual({ status: 0, out: 'application "web" accepted (revision 1)\n', error: "" });
    expect(submitted()).toEqual([{ operation: "application.submit", application: parseApplication({ name: "web", command: "nginx" }) }]);
  });

  test("submits several, in their order, with everything the file says", async () => {
    expect(await submit(full)).toMatchObject({ status: 0, out: 'application "web" accepted (revision 1)\napplication "backup" accepted (revision 1)\n' });
    const [web, backup] = daemon.heard.map(({ body }) => (body as { application: unknown }).application);
    expect(web).toEqual(parseApplication({
      name: "web", command: "/usr/sbin/nginx", args: ["-g", "daemon off;"], env: { LANG: "C", PORT: "80" }, directory: "/srv", user: "www-data",
      instances: 2, node: "n1", pin: true, restart: { firstDelayMs: 200, restartsMax: 5 },
      probe: { type: "http", url: "http://127.0.0.1:80/health", failures: 2 }, log: { maxBytes: 1_048_576 },
    }));
    expect(backup).toMatchObject({ name: "backup", kind: "job", probe: null });
  });

  test("says what was there already", async () => {
    answer = (_, stream) => reply(stream, { ok: true, changed: false, revision: 4 });
    expect((await submit(full)).out).toBe('application "web" is there already, the same; nothing changed\napplication "backup" is there already, the same; nothing changed\n');
  });

  test("submits all of them also where nobody reads on, as with grep -q", async () => {
    writeFileSync(join(folder, "apps.toml"), full);
    expect(await daemon.run(["submit", "apps.toml"], { directory: folder, closeAfter: 0 })).toMatchObject({ status: 0, error: "" });
    expect(submitted()).toHaveLength(2);
  });

  test("--json prints one document", async () => {
    expect(JSON.parse((await submit(full, "--json")).out)).toEqual({
      ok: true, applications: [{ name: "web", changed: true, revision: 1 }, { name: "backup", changed: true, revision: 1 }],
    });
  });

  const wrong: [string, string | Uint8Array, string][] = [
    ["what is no TOML", 'name = "web\n', "apps.toml: line 1, column 12: "],
    ["a key given twice", 'name = "a"\nname = "b"\n', "apps.toml: line 2, column 1: "],
    ["what is no text", new Uint8Array([0xff, 0xfe, 0x00]), "apps.toml: it is not UTF-8: save it as UTF-8 text"],
    ["an empty file", "# nothing yet\n", "apps.toml: it holds no application: give name and command"],
    ["an unknown field", 'name = "web"\ncommand = "x"\nport = 80\n', 'apps.toml: application "web": "port" is no field of an application: use name, command'],
    ["an unknown field of a probe", `${full}\n[application.probe]\ntype = "tcp"\naddress = "a:1"\npath = "/"\n`, 'apps.toml: application "backup": "probe.path" is no field of a probe of type "tcp"'],
    ["a number as a variable", 'name = "web"\ncommand = "x"\nenv.PORT = 80\n', 'apps.toml: application "web": env variable PORT must be a text'],
    ["an application without a name", `${full}\n[[application]]\ncommand = "x"\n`, "apps.toml: application 3: name is missing: give it"],
    ["a field beside the list", `user = "me"\n${full}`, 'apps.toml: "user" stands beside [[application]]: put it below'],
    ["a single table", '[application]\nname = "web"\n', "apps.toml: application must be a list of tables: write [[application]]"],
    ["two of one name", `${full}\n[[application]]\nname = "web"\ncommand = "x"\n`, 'apps.toml: application "web" stands there twice'],
    ["a date", 'name = "web"\ncommand = 1979-05-27\n', 'apps.toml: application "web": command must be a text'],
    ["a float where a whole number belongs", 'name = "web"\ncommand = "x"\ninstances = 1.5\n', "instances must be a whole number from 1 to 100"],
    ["a number beyond all bounds", 'name = "web"\ncommand = "x"\ninstances = 99999999999999999999\n', "apps.toml: line 3"],
  ];
  test.each(wrong)("refuses %s with status 2 and submits nothing", async (_, content, message) => {
    const outcome = await submit(content);
    expect(outcome).toMatchObject({ status: 2, out: "" });
    expect(outcome.error).toContain(`armor: ${message.startsWith("apps") ? message : ""}`);
    expect(outcome.error).toContain(message);
    expect(outcome.error.trimEnd().split("\n")).toHaveLength(1);
    expect(daemon.heard).toEqual([]);
  });

  test("a file that cannot be read is status 1", async () => {
    const outcome = await daemon.run(["submit", "no\nne.toml"], { directory: folder });
    expect(outcome).toEqual({ status: 1, out: "", error: 'armor: cannot read "no?ne.toml": it does not exist\n' });
    expect(await daemon.run(["submit", "."], { directory: folder })).toMatchObject({ status: 1, error: 'armor: cannot read ".": it is a folder\n' });
    expect(await daemon.run(["submit"], { directory: folder })).toMatchObject({ status: 2, error: "armor: FILE is missing: armor submit [options] FILE\n" });
  });

  test("a refusal names what was submitted before", async () => {
    answer = ({ body }, stream) =>
      (body as { application: { name: string } }).application.name === "web"
        ? reply(stream, { ok: true, changed: true, revision: 1 })
        : reply(stream, { ok: false, code: "refused", error: "no node can launch it" }, 409);
    const outcome = await submit(full);
    expect(outcome).toMatchObject({ status: 1, out: 'application "web" accepted (revision 1)\n' });
    expect(outcome.error).toBe("armor: no node can launch it (submitted before: web; repeat the command when this is mended)\n");
  });
});
