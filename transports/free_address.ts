/**
 * Whether a node could listen somewhere, before it has written anything down.
 *
 * @module
 */
import { createServer } from "node:net";
import { cannotListen, formatAddress, type HostPort } from "./address.ts";
import { openUdp } from "./udp.ts";

/**
 * Take the port for UDP and for TCP, and give both back.
 *
 * @throws {AddressError} As {@link openUdp}, of either.
 */
export async function checkFree(address: HostPort): Promise<void> {
  const udp = await openUdp({ ...address, onDatagram() {} });
  udp.close();
  const server = createServer();
  await new Promise<void>((done, failed) => {
    server.once("error", (cause) => failed(cannotListen(formatAddress(address), cause)));
    server.listen({ ...address, exclusive: true }, done);
  });
  await new Promise<void>((done) => server.close(() => done()));
}
