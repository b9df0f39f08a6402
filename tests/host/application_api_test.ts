import { afterEach, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { ApplicationApi, type InstanceInfo } from "../../armors/host/application_api.ts";
import { openDataDir } from "../../armors/host/data_dir.ts";
import { openApiFolder, openRunDir, removeRunFolders } from "../../armors/host/run_dir.ts";
import { findUser } from "../../armors/host/user_lookup.ts";
import { Temporary, until } from "./temporary.ts";

const temporary = new Temporary();
afterEach(() => temporary.clean());

const info: InstanceInfo = { instance: "web.0", application: "web", node: "n1", launch: 1 };

function make(folder = temporary.folder()): ApplicationApi {
  const api = new ApplicationApi(folder);
  temporary.defer(() => api.close());
  return api;
}

function ask(socketPath: string, method: string, path: string, body = ""): Promise<{ status: number; text: string } | string> {
  return new Promise((resolve) => {
    const asked = request({ socketPath, method, path, agent: false, headers: { "content-length": Buffer.byteLength(body) } }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => (text += part)).on("end", () => resolve({ status: response.statusCode!, text }));
      response.on("error", (error: { code?: string }) => resolve(error.code ?? "error"));
    });
    asked.on("error", (error: { code?: string; message: string }) => resolve(error.code ?? error.message));
    asked.end(body);
  });
}

describe("ApplicationApi", () => {
  test("tells a program who it is, and hears of its progress", async () => {
    const api = make();
    let progress = 0;
    await api.serve(info, undefined, () => progress++);
    const path = api.path("web.0");
    expect(await ask(path, "GET", "/v1/instance")).toEqual({ status: 200, text: `${JSON.stringify(info)}\n` });
    expect(await ask(path, "POST", "/v1/progress")).toEqual({ status: 204, text: "" });
    expect(await ask(path, "POST", "/v1/progress?what=ever", "a body that nobody reads")).toEqual({ status: 204, text: "" });
    expect(progress).toBeGreaterThanOrEqual(1);
  });

  test("says what is wrong with a request", async () => {
    const api = make();
    await api.serve(info, undefined, () => {});
    const path = api.path("web.0");
    expect(await ask(path, "GET", "/v1/progress")).toMatchObject({ status: 405 });
    expect(await ask(path, "POST", "/v1/instance")).toMatchObject({ status: 405 });
    expect(await ask(path, "GET", "/v1/none")).toEqual({ status: 404, text: '{"ok":false,"error":"there is no /v1/none: POST /v1/progress, GET /v1/instance"}\n' });
    // Too much to be read, it is cut off or ignored, but never kept.
    await ask(path, "POST", "/v1/progress", "x".repeat(1_000_000));
    expect(await ask(path, "GET", "/v1/instance")).toMatchObject({ status: 200 });
  });

  test("survives what is no HTTP, and clients that say nothing", async () => {
    const api = make();
    await api.serve(info, undefined, () => {});
    const silent = Array.from({ length: 10 }, () => connect(api.path("web.0")).on("error", () => {}));
    temporary.defer(() => silent.forEach((socket) => socket.destroy()));
    silent[0]!.write("\u0000\u0001 garbage\r\n\r\n");
    expect(await ask(api.path("web.0"), "GET", "/v1/instance")).toMatchObject({ status: 200 });
  });

  test("takes progress as it comes, and passes it on no more often than there is use for it", async () => {
    const api = make();
    let progress = 0;
    await api.serve(info, undefined, () => progress++);
    const startMs = performance.now();
    for (let count = 0; count < 200; count++) await ask(api.path("web.0"), "POST", "/v1/progress");
    const tookMs = performance.now() - startMs;
    expect(progress).toBeGreaterThanOrEqual(1);
    expect(progress).toBeLessThanOrEqual(tookMs / 10 + 1);
  });

  test("keeps the socket over launches, each with its own progress; an ended program is told so", async () => {
    const api = make();
    const heard: number[] = [];
    await api.serve(info, undefined, () => heard.push(1));
    const path = api.path("web.0");
    const { ino } = statSync(path);
    api.ended("web.0", 1);
    expect(await ask(path, "POST", "/v1/progress")).toMatchObject({ status: 503 });
    await api.serve({ ...info, launch: 2 }, undefined, () => heard.push(2));
    api.ended("web.0", 1);
    expect(statSync(path).ino).toBe(ino);
    expect(await ask(path, "POST", "/v1/progress")).toMatchObject({ status: 204 });
    expect(JSON.parse((await ask(path, "GET", "/v1/instance") as { text: string }).text)).toEqual({ ...info, launch: 2 });
    expect(heard).toEqual([2]);
  });

  test("takes the place of an armor that was killed, at the same path; its own end removes no other's socket", async () => {
    const folder = temporary.folder();
    const before = make(folder);
    await before.serve(info, undefined, () => {});
    const after = make(folder);
    let progress = 0;
    await after.serve(info, undefined, () => progress++);
    expect(after.path("web.0")).toBe(before.path("web.0"));
    expect(await ask(after.path("web.0"), "POST", "/v1/progress")).toMatchObject({ status: 204 });
    expect(progress).toBe(1);
    expect(readdirSync(folder)).toHaveLength(1);
  });

  test("gives up what belongs here no longer, and what an earlier life left", async () => {
    const folder = temporary.folder();
    const api = make(folder);
    await api.serve(info, undefined, () => {});
    await api.serve({ ...info, instance: "web.1" }, undefined, () => {});
    writeFileSync(join(folder, "0123456789ab.sock"), "");
    writeFileSync(join(folder, "0123456789ab.sock.1.0"), "");
    api.retain(new Set(["web.1"]));
    await until(() => readdirSync(folder).length === 1, "one is left");
    expect(await ask(api.path("web.0"), "GET", "/v1/instance")).toBe("ENOENT");
    expect(await ask(api.path("web.1"), "GET", "/v1/instance")).toMatchObject({ status: 200 });
    await api.close();
    expect(readdirSync(folder)).toEqual([]);
    expect(await ask(api.path("web.1"), "GET", "/v1/instance")).toBe("ENOENT");
  });

  const curl = ["/usr/bin/curl", "/bin/curl"].find(existsSync);
  test.skipIf(curl === undefined)("speaks with curl", async () => {
    const api = make();
    let progress = 0;
    await api.serve(info, undefined, () => progress++);
    const script = `${curl} -sf --max-time 2 --unix-socket "$1" -X POST http://armor/v1/progress && ${curl} -sf --unix-socket "$1" http://armor/v1/instance`;
    const { spawn } = await import("node:child_process");
    const child = spawn("sh", ["-c", script, "sh", api.path("web.0")], { stdio: ["ignore", "pipe", "inherit"] });
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (part: string) => (text += part));
    const status = await new Promise((resolve) => child.on("close", resolve));
    expect({ status, text }).toEqual({ status: 0, text: `${JSON.stringify(info)}\n` });
    expect(progress).toBe(1);
  });

  test("its sockets come back when their folder has vanished, and again after it, also elsewhere", async () => {
    const folder = join(temporary.folder(), "sockets");
    mkdirSync(folder);
    const api = make(folder);
    await api.serve(info, undefined, () => {});
    const path = api.path("web.0");
    rmSync(folder, { recursive: true });
    api.retain(new Set(["web.0"]));
    await api.mend();
    await expect(api.serve({ ...info, instance: "web.1" }, undefined, () => {})).rejects.toThrow();
    mkdirSync(folder);
    await api.mend();
    expect(await ask(path, "GET", "/v1/instance")).toMatchObject({ status: 200 });
    // One that could not be made at first too.
    expect(await ask(api.path("web.1"), "GET", "/v1/instance")).toMatchObject({ status: 200 });
    const { ino } = statSync(path);
    await api.mend();
    expect(statSync(path).ino).toBe(ino);
    rmSync(folder, { recursive: true });
    api.folder = temporary.folder();
    await api.mend();
    expect(await ask(api.path("web.0"), "GET", "/v1/instance")).toMatchObject({ status: 200 });
  });

  const nobody = process.geteuid?.() === 0 ? findUser("nobody") : undefined;
  const daemon = process.geteuid?.() === 0 ? findUser("daemon") : undefined;
  test.skipIf(!nobody || !daemon)("is open to the application's user, through folders that nobody can look into, and closed to others", async () => {
    const data = openDataDir(temporary.folder());
    const folder = openApiFolder(data, openRunDir(data));
    temporary.defer(() => removeRunFolders(data));
    expect(openApiFolder(data, openRunDir(data))).toBe(folder);
    expect(statSync(folder).mode & 0o777).toBe(0o711);
    const api = make(folder);
    await api.serve(info, nobody, () => {});
    const path = api.path("web.0");
    expect(Buffer.byteLength(path)).toBeLessThan(108);
    expect(statSync(path)).toMatchObject({ uid: nobody!.uid });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const as = (uid: number, command: string): number | null => spawnSync("setpriv", ["--reuid", String(uid), "--clear-groups", "sh", "-c", command, "sh", path]).status;
    expect(as(nobody!.uid, 'test -w "$1"')).toBe(0);
    expect(as(daemon!.uid, 'test -w "$1"')).not.toBe(0);
    expect(as(nobody!.uid, 'ls "$(dirname "$1")"')).not.toBe(0);
  });

  test.skipIf(!nobody || !daemon)("of an instance that has another user now is that user's, and no more the former one's", async () => {
    const folder = temporary.folder();
    const api = make(folder);
    const heard: number[] = [];
    await api.serve(info, nobody, () => heard.push(1));
    const path = api.path("web.0");
    const former = connect(path).on("error", () => {});
    temporary.defer(() => former.destroy());
    await new Promise((resolve) => former.once("connect", resolve));
    const closed = new Promise((resolve) => former.once("close", resolve));
    // Two that are on their way at once: the last one counts.
    await Promise.all([api.serve({ ...info, launch: 2 }, undefined, () => heard.push(2)), api.serve({ ...info, launch: 3 }, daemon, () => heard.push(3))]);
    await closed;
    expect(statSync(path)).toMatchObject({ uid: daemon!.uid, gid: daemon!.gid });
    expect(await ask(path, "POST", "/v1/progress")).toMatchObject({ status: 204 });
    expect(heard).toEqual([3]);
    expect(readdirSync(folder)).toHaveLength(1);
  });

  test("its folder is the same again, and mended, in the next life", () => {
    const data = openDataDir(temporary.folder());
    const folder = openApiFolder(data, openRunDir(data));
    temporary.defer(() => removeRunFolders(data));
    if (process.geteuid?.() !== 0) return;
    chmodSync(folder, 0o777);
    expect(openApiFolder(data, openRunDir(data))).toBe(folder);
    expect(statSync(folder).mode & 0o777).toBe(0o711);
  });
});
