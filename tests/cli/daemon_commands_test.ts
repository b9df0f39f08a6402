import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { ServerHttp2Stream } from "node:http2";
import { join } from "node:path";
import { applicationDefaults } from "../../armors/application.ts";
import { type FakeDaemon, type Heard, fakeDaemon, reply } from "./testing.ts";

let daemon: FakeDaemon;
let answer: (heard: Heard, stream: ServerHttp2Stream) => void;

beforeAll(async () => {
  daemon = await fakeDaemon((heard, stream) => answer(heard, stream));
});
afterAll(() => daemon.close());
beforeEach(() => {
  daemon.heard.length = 0;
  answer = (_, stream) => reply(stream, { ok: true, changed: true, revision: 3 });
});

const application = {
  name: "x", command: "x", args: [], env: {}, directory: null, user: null, instances: 1, node: null, pin: false, kind: "service", singleton: false,
  restart: applicationDefaults.restart, probe: null, log: applicationDefaults.log,
};

describe("armor run", () => {
  const accepted: [string[], Record<string, unknown>][] = [
    [["run", "--", "x"], {}],
    [["run", "--", "x", "-f", "--json", "--", "a b"], { args: ["-f", "--json", "--", "a b"] }],
    [["run", "--", "/usr/bin/my server"], { name: "my-server", command: "/usr/bin/my server" }],
    [["run", "--", "./-_tool"], { name: "tool", command: "/home/me/-_tool" }],
    [["run", "--cwd", "w", "--", "bin/x"], { directory: "/home/me/w", command: "/home/me/w/bin/x" }],
    [["run", "--cwd", "/srv", "--", "x"], { directory: "/srv" }],
    [["--name=web", "run", "--instances", "2", "--node", "n1", "--pin", "--", "x"], { name: "web", instances: 2, node: "n1", pin: true }],
    [["--env", "A=1", "run", "--env", "B=x=y", "--env=C=", "--", "x"], { env: { A: "1", B: "x=y", C: "" } }],
    [["run", "--user", "www-data", "--singleton", "--", "x"], { user: "www-data", singleton: true }],
    [["run", "--job", "--", "x"], { kind: "job" }],
    [["run", "--kind", "job", "--job", "--", "x"], { kind: "job" }],
    [["--name", "status", "run", "--", "stop"], { name: "status", command: "stop" }],
  ];
  test.each(accepted)("%j", async (argv, fields) => {
    const expected = { ...application, ...fields };
    expect(await daemon.run(argv)).toEqual({ status: 0, out: `application "${expected.name}" accepted (revision 3)\n`, error: "" });
    expect(daemon.heard).toEqual([{ method: "POST", path: "/v1/operations", body: { operation: "application.submit", application: expected } }]);
  });

  test("says when nothing changed, and prints the daemon's own words", async () => {
    answer = (_, stream) => reply(stream, { ok: true, changed: false, revision: 3 });
    expect((await daemon.run(["run", "--", "x"])).out).toBe('application "x" is there already, the same; nothing changed\n');
    answer = (_, stream) => reply(stream, { ok: true, changed: true, text: "as you\nwish" });
    expect((await daemon.run(["run", "--", "x"])).out).toBe("as you?wish\n");
  });

  test("--json prints the daemon's document, from wherever it stands", async () => {
    for (const argv of [["--json", "run", "--", "x"], ["run", "--json", "--", "x"]]) {
      expect(JSON.parse((await daemon.run(argv)).out)).toEqual({ ok: true, changed: true, revision: 3 });
    }
  });

  test("finds the daemon by --data-dir too", async () => {
    for (const argv of [["--data-dir", daemon.dataDir, "status"], ["status", `--data-dir=${daemon.dataDir}/../data/`]]) {
      expect((await daemon.run(argv, { environment: { ARMOR_DATA_DIR: "/nowhere" } })).status).toBe(0);
    }
  });
});

test.each(["stop", "start", "restart", "remove"])("armor %s asks for just that", async (name) => {
  expect((await daemon.run([name, "web"])).status).toBe(0);
  expect(daemon.heard[0]?.body).toEqual({ operation: `application.${name}`, name: "web" });
});

test("armor down asks its daemon and prints what happened", async () => {
  const left = { ok: true, changed: true, text: "node n1 left; 2 applications moved" };
  const gone = { ok: false, code: "unknown", error: "the daemon ends" };
  answer = (heard, stream) => (heard.path === "/v1/status" ? reply(stream, gone, 503) : reply(stream, left));
  expect(await daemon.run(["down"])).toEqual({ status: 0, out: "node n1 left; 2 applications moved\n", error: "" });
  expect(daemon.heard[0]?.body).toEqual({ operation: "node.down" });
});

describe("an operation that was not done", () => {
  const cases: [string, unknown, number, number, string, string][] = [
    ["usage", { ok: false, code: "usage", error: "singleton is not supported yet" }, 400, 2, "singleton is not supported yet", "usage"],
    ["refused", { ok: false, code: "refused", error: 'no application "web"' }, 409, 1, 'no application "web"', "refused"],
    ["stale", { ok: false, code: "stale", error: "no majority" }, 503, 1, "no majority", "stale"],
    ["unknown", { ok: false, code: "unknown", error: "no acknowledgement within 5 s; repeat the command" }, 504, 1, "unknown: no acknowledgement within 5 s; repeat the command", "unknown"],
    ["unknown, said already", { ok: false, code: "unknown", error: "unknown: repeat the command" }, 504, 1, "unknown: repeat the command", "unknown"],
    ["a code of another version", { ok: false, code: "odd", error: "because" }, 418, 1, "because", "refused"],
    ["several lines", { ok: false, code: "refused", error: "a\nb" }, 409, 1, "a?b", "refused"],
    ["a page", "<html>", 502, 1, "PLACE answered with HTTP status 502: is it another version?", "unavailable"],
    ["no JSON", "fine", 200, 1, "PLACE gave an answer that is not JSON: is it another version?", "unavailable"],
    ["nonsense", { ok: "maybe" }, 200, 1, 'PLACE gave an answer that is none: {"ok":"maybe"}', "unavailable"],
  ];
  test.each(cases)("%s", async (_, document, http, status, message, code) => {
    answer = (_, stream) => reply(stream, document, http);
    const line = message.replace("PLACE", `the daemon at ${daemon.dataDir}`);
    expect(await daemon.run(["stop", "web"])).toEqual({ status, out: "", error: `armor: ${line}\n` });
    expect(JSON.parse((await daemon.run(["stop", "web", "--json"])).out)).toEqual({ ok: false, error: line, code });
  });

  test("no answer in time is unknown, never failed", async () => {
    answer = () => {};
    expect(await daemon.run(["stop", "web"], { waitMsMax: 50 })).toEqual({
      status: 1, out: "", error: "armor: unknown: no acknowledgement within 5 s; repeat the command\n",
    });
  });

  test("a daemon that dies before it answers leaves it unknown too", async () => {
    answer = (_, stream) => stream.session?.destroy();
    const { status, error } = await daemon.run(["stop", "web"]);
    expect(status).toBe(1);
    expect(error).toBe(`armor: unknown: the daemon at ${daemon.dataDir} went away before it answered; repeat the command\n`);
  });
});

describe("armor status", () => {
  const document = {
    cluster: "kX2p9QaZ", epoch: { number: 3, node: "b2" }, stale: false,
    ftm: { id: "ftm", node: "beta", pid: 42, state: "running", incarnation: 2 },
    heartbeat: { id: "heartbeat", node: "alpha", pid: 43, state: "recovering", incarnation: 1 },
    nodes: [{ name: "alpha", id: "a1", address: "10.0.0.1:7000", state: "alive" }, { name: "beta", id: "b2", address: "10.0.0.2:7000", state: "suspect" }],
    armors: [
      { id: "daemon@a1", role: "daemon", node: "alpha", pid: 7, state: "running", incarnation: 1, generation: 1, elements: [] },
      { id: "execution@a1", role: "execution", node: "alpha", pid: null, state: "failed", incarnation: 12, generation: 1, elements: [] },
    ],
    applications: [
      { name: "web", desired: "running", state: "running", revision: 3, instances: [
        { id: "web-1", node: "alpha", pid: 100, state: "running", restarts: 0 },
        { id: "web-2", node: "beta", pid: null, state: "restarting", restarts: 10 },
      ] },
    ],
  };

  test("shows tables", async () => {
    answer = (_, stream) => reply(stream, document);
    expect((await daemon.run(["status"])).out).toBe(`\
cluster kX2p9QaZ, epoch 3 of beta, FTM on beta, heartbeat armor on alpha (recovering)

NODE   STATE    ADDRESS        ID
alpha  alive    10.0.0.1:7000  a1
beta   suspect  10.0.0.2:7000  b2

ARMOR         ROLE       NODE   PID  STATE    INCARNATION
daemon@a1     daemon     alpha  7    running  1
execution@a1  execution  alpha  -    failed   12

APPLICATION  STATE    DESIRED  INSTANCES  REVISION
web          running  running  1/2        3

INSTANCE  APPLICATION  NODE   PID  STATE       RESTARTS
web-1     web          alpha  100  running     0
web-2     web          beta   -    restarting  10
`);
  });

  test("--json prints the daemon's document unchanged", async () => {
    answer = (_, stream) => reply(stream, document);
    expect(JSON.parse((await daemon.run(["status", "--json"])).out)).toEqual(document);
    expect(daemon.heard).toEqual([{ method: "GET", path: "/v1/status", body: undefined }]);
  });

  test("says that it is stale, and survives a document with nothing in it", async () => {
    answer = (_, stream) => reply(stream, { stale: true, ftm: null, heartbeat: null });
    const { status, out } = await daemon.run(["status"]);
    expect(status).toBe(0);
    expect(out).toStartWith("cluster -, epoch - of -, no FTM, no heartbeat armor\nstale: ");
    expect(out).toEndWith("\nNo applications: armor run -- COMMAND starts one\n");
  });

  test("a daemon that hangs is named", async () => {
    answer = () => {};
    const { status, error } = await daemon.run(["status"], { waitMsMax: 50 });
    expect(status).toBe(1);
    expect(error).toBe(`armor: the daemon at ${daemon.dataDir} did not answer within 0.05 s: repeat the command\n`);
  });
});

describe("armor events", () => {
  const events = [
    { seq: 4294967297, at: "2026-01-31T14:05:09.123Z", boot: "b", atMs: 1, epoch: 1, kind: "armor.crashed", subject: "ftm", node: "alpha", cause: "signal 9" },
    { seq: 4294967298, at: "2026-01-31T14:05:09.135Z", boot: "b", atMs: 2, epoch: 1, kind: "armor.recovered", subject: "ftm", node: "alpha", durationMs: 12.3 },
  ];
  /** Characters and lines cut anywhere. */
  const inPieces = (stream: ServerHttp2Stream, text: string, size: number): void => {
    stream.respond({ ":status": 200 });
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; at += size) stream.write(bytes.subarray(at, at + size));
    stream.end();
  };

  test("prints one line each", async () => {
    answer = (_, stream) => inPieces(stream, events.map((event) => `${JSON.stringify(event)}\n`).join(""), 7);
    const { out } = await daemon.run(["events"]);
    expect(out.replaceAll(/^\d{4}-\d\d-\d\d \d\d:\d\d:/gm, "TIME:")).toBe(
      "TIME:09.123  armor.crashed           ftm                   alpha       signal 9\n" +
        "TIME:09.135  armor.recovered         ftm                   alpha       (12 ms)\n",
    );
    expect(daemon.heard[0]?.path).toBe("/v1/events");
  });

  test("--json prints the daemon's lines, and options reach it", async () => {
    const lines = events.map((event) => `${JSON.stringify(event)}\n`).join("");
    answer = (_, stream) => inPieces(stream, lines.trimEnd(), 1000);
    expect((await daemon.run(["--since", "4294967296", "events", "--json"])).out).toBe(lines);
    expect(daemon.heard[0]?.path).toBe("/v1/events?since=4294967296");
    await daemon.run(["-f", "events", "--since=7"]);
    expect(daemon.heard[1]?.path).toBe("/v1/events?since=7&follow=1");
  });

  test("shows what is no event as it came, made harmless", async () => {
    answer = (_, stream) => inPieces(stream, "what\u001b[31m?\n\n{}\n", 3);
    expect((await daemon.run(["events"])).out.split("\n").map((line) => line.replace(/ +/g, " "))).toEqual(["what?[31m?", "- - - -", ""]);
  });

  test("ends quietly once nobody reads, without waiting for the stream's end", async () => {
    answer = (_, stream) => {
      stream.respond({ ":status": 200 });
      stream.write("{}\n{}\n{}\n");
    };
    expect((await daemon.run(["events", "-f"], { closeAfter: 1 })).status).toBe(0);
  });

  test("a followed stream that ends is an error", async () => {
    answer = (_, stream) => inPieces(stream, "{}\n", 9);
    expect((await daemon.run(["events"])).status).toBe(0);
    const { status, out, error } = await daemon.run(["events", "-f", "--json"]);
    expect(status).toBe(1);
    expect(out.split("\n").map((line) => line && JSON.parse(line))).toMatchObject([{}, { ok: false, code: "closed" }, ""]);
    expect(error).toBe("armor: the daemon ended the stream of events: repeat the command with --since\n");
  });

  test("Ctrl-C is prepared for", async () => {
    let prepared = 0;
    answer = (_, stream) => inPieces(stream, "{}\n", 9);
    await daemon.run(["events", "-f"], { endOnInterrupt: () => prepared++ });
    expect(prepared).toBe(1);
  });
});

describe("armor logs", () => {
  test("prints bytes as they are", async () => {
    answer = (_, stream) => {
      stream.respond({ ":status": 200 });
      stream.end("ä\n\u001b[31mred\nno end");
    };
    expect((await daemon.run(["logs", "web", "--instance", "web-1", "-n", "5", "-f"])).out).toBe("ä\n\u001b[31mred\nno end");
    expect(daemon.heard[0]?.path).toBe("/v1/applications/web/logs?instance=web-1&lines=5&follow=1");
    await daemon.run(["logs", "-n5", "web"]);
    expect(daemon.heard[1]?.path).toBe("/v1/applications/web/logs?lines=5");
  });

  test("--json prints one object a line", async () => {
    answer = (_, stream) => {
      stream.respond({ ":status": 200 });
      stream.end('one\n"two"');
    };
    const { out } = await daemon.run(["logs", "web", "--json"]);
    expect(out.trim().split("\n").map((line) => JSON.parse(line))).toEqual([{ application: "web", line: "one" }, { application: "web", line: '"two"' }]);
  });

  test("an unknown application is told in one line", async () => {
    answer = (_, stream) => reply(stream, { ok: false, code: "refused", error: 'no application "web"' }, 404);
    expect(await daemon.run(["logs", "web"])).toEqual({ status: 1, out: "", error: 'armor: no application "web"\n' });
  });
});

describe("armors of one's own", () => {
  const elements = join(import.meta.dirname, "..", "..", "examples", "counter_pair.ts");

  test("install sends a source that stands alone, with the names of its elements", async () => {
    answer = (_, stream) => reply(stream, { ok: true, changed: true, id: "abc", revision: 1 });
    expect(await daemon.run(["install", "--name", "ping", "--elements", elements, "--node", "n1"])).toEqual({ status: 0, out: 'armor "ping" accepted, id abc (revision 1)\n', error: "" });
    const { source, ...body } = daemon.heard[0]!.body as { source: string };
    expect(body).toEqual({ operation: "own.install", name: "ping", node: "n1", elements: ["counter"] } as never);
    expect(source).not.toContain("import");
  });

  test("element changes one", async () => {
    answer = (_, stream) => reply(stream, { ok: true, changed: true, version: 2 });
    expect((await daemon.run(["element", "replace", "ping", "counter", "--elements", elements])).out).toBe('element "counter" replaced in "ping", version 2\n');
    expect(daemon.heard[0]!.body).toMatchObject({ operation: "elements.change", verb: "replace", armor: "ping", name: "counter" });
    expect((await daemon.run(["element", "remove", "ping", "counter"])).out).toBe('element "counter" removed from "ping", version 2\n');
    expect(daemon.heard[1]!.body).toEqual({ operation: "elements.change", verb: "remove", armor: "ping", name: "counter" });
  });

  test("send prints the payload that came back", async () => {
    answer = (_, stream) => reply(stream, { ok: true, changed: true, payload: { count: 2, text: "é" } });
    expect((await daemon.run(["send", "ping", "count.read", '{"by":2}'])).out).toBe('{\n  "count": 2,\n  "text": "é"\n}\n');
    expect((await daemon.run(["send", "ping", "count.read", "--json"])).out).toBe('{"count":2,"text":"é"}\n');
    expect(daemon.heard.map(({ body }) => body)).toEqual([
      { operation: "armor.send", armor: "ping", op: "count.read", payload: { by: 2 } },
      { operation: "armor.send", armor: "ping", op: "count.read", payload: {} },
    ]);
  });

  const wrong: [string[], string][] = [
    [["install", "--elements", elements], "--name is missing: give the armor a name"],
    [["install", "--name", "a b", "--elements", elements], '--name "a b" is not a name'],
    [["install", "--name", "x"], "--elements is missing"],
    [["element", "change", "ping", "x"], '"change" is not a change of an element: give add, replace, remove'],
    [["element", "add", "ping"], "NAME is missing: armor element [options] VERB ARMOR NAME"],
    [["element", "add", "ping", "x"], '--elements is missing: give the file that makes element "x"'],
    [["element", "remove", "ping", "x", "--elements", elements], "--elements has no meaning with remove"],
    [["element", "add", "ping", "x", "--elements", elements], 'it makes no element "x", but "counter"'],
    [["send", "ping"], "OP is missing: armor send [options] ARMOR OP [JSON]"],
    [["send", "ping", "a.b", "{"], 'JSON "{" is not JSON'],
    [["send", "ping", "a.b", "3"], 'JSON "3" is not an object'],
    [["send", "ping", "a.b", "{}", "x"], "too many arguments"],
  ];
  test.each(wrong)("%j is wrong by itself", async (argv, text) => {
    const { status, error } = await daemon.run(argv);
    expect([status, daemon.heard.length]).toEqual([2, 0]);
    expect(error).toContain(text);
  });
});

describe("armor inject", () => {
  const status = (node: string): object => ({ nodes: ["n1", "n2"].map((name) => ({ id: `id-${name}`, name, address: "", state: "alive" })), armors: [{ id: "ftm", role: "ftm", node }], applications: [] });
  const absent = { ok: false, code: "absent", error: 'there is no process of "ftm" on this node' };

  test("looks again for what is just being recovered, on another node too", async () => {
    let orders = 0;
    answer = (heard, stream) => {
      if (heard.path !== "/v1/faults") return reply(stream, status(orders === 0 ? "n1" : "n2"));
      orders += 1;
      if (orders === 1) return reply(stream, absent, 409);
      reply(stream, { ok: true, text: "SIGKILL to 7" });
    };
    expect(await daemon.run(["inject", "kill", "ftm"])).toEqual({ status: 0, out: "SIGKILL to 7\n", error: "" });
    expect(daemon.heard.filter(({ path }) => path === "/v1/faults").map(({ body }) => (body as { node: string }).node)).toEqual(["id-n1", "id-n2"]);
  });

  test("says so when it does not come back", async () => {
    answer = (heard, stream) => (heard.path === "/v1/faults" ? reply(stream, absent, 409) : reply(stream, status("n1")));
    expect(await daemon.run(["inject", "kill", "ftm"], { waitMsMax: 500 })).toEqual({ status: 1, out: "", error: 'armor: there is no process of "ftm" on this node\n' });
    expect(daemon.heard.length).toBeGreaterThan(2);
  });
});
