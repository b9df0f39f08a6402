/**
 * Free ports below those that the system gives to outgoing connections: one
 * that is free now is then not taken by somebody's client a moment later.
 *
 * @module
 */
import { createSocket } from "node:dgram";
import { createServer } from "node:net";

const first = 20_000;
const last = 31_999;

/**
 * Choose ports that are free for TCP and UDP on loopback.
 *
 * @throws {Error} If there are none, which means that something else is wrong.
 */
export async function freePorts(count: number): Promise<number[]> {
  const found = new Set<number>();
  for (let tries = 0; found.size < count; tries++) {
    if (tries > 200) throw new Error(`there are no ${count} free ports from ${first} to ${last} on 127.0.0.1`);
    const port = first + Math.floor(Math.random() * (last - first + 1));
    if (!found.has(port) && (await isFree(port))) found.add(port);
  }
  return [...found];
}

async function isFree(port: number): Promise<boolean> {
  const tcp = await new Promise<boolean>((known) => {
    const server = createServer();
    server.once("error", () => known(false));
    server.listen({ host: "127.0.0.1", port }, () => server.close(() => known(true)));
  });
  return tcp && (await new Promise<boolean>((known) => {
    const socket = createSocket("udp4");
    socket.once("error", () => known(false));
    socket.bind({ address: "127.0.0.1", port, exclusive: true }, () => socket.close(() => known(true)));
  }));
}
