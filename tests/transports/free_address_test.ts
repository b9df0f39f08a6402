import { expect, test } from "bun:test";
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { checkFree } from "../../transports/free_address.ts";

const host = "127.0.0.1";

test("checkFree() refuses what is taken for UDP or for TCP, and takes nothing itself", async () => {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, host, () => done()));
  const { port } = server.address() as { port: number };
  const code = () => checkFree({ host, port }).then(() => "free", (error) => error.code);
  expect(await code()).toBe("address_in_use");
  await new Promise<void>((done) => server.close(() => done()));
  expect(await code()).toBe("free");
  expect(await code()).toBe("free");
  const socket = createSocket("udp4");
  await new Promise<void>((done) => socket.bind(port, host, () => done()));
  expect(await code()).toBe("address_in_use");
  await new Promise<void>((done) => socket.close(() => done()));
  expect(await code()).toBe("free");
});

test("checkFree() refuses an address that is not this machine's", async () => {
  expect(await checkFree({ host: "198.51.100.1", port: 7_000 }).catch((error) => error.code)).toBe("bad_address");
});
