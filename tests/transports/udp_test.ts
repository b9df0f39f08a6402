import { expect, test } from "bun:test";
import { openUdp, type UdpPort } from "../../transports/udp.ts";
import { testDatagrams } from "../conformance/datagram.ts";
import { until } from "./real_time.ts";

for (const host of ["127.0.0.1", "::1", "localhost"]) {
  testDatagrams(`UDP on ${host}`, async () => {
    const ports: UdpPort[] = [];
    return {
      async open(onDatagram) {
        const udp = await openUdp({ host, port: 0, onDatagram });
        ports.push(udp);
        return { ...udp, address: { host, port: udp.port } };
      },
      until,
      nobody: { host, port: 9 },
      async dispose() {
        for (const port of ports) port.close();
      },
    };
  });
}

test("openUdp() refuses a port in use, a foreign address and an unknown host", async () => {
  const first = await openUdp({ host: "127.0.0.1", port: 0, onDatagram() {} });
  const open = (host: string, port: number) =>
    openUdp({ host, port, onDatagram() {} }).then((port) => port.close(), (error) => error.code);
  expect(await open("127.0.0.1", first.port)).toBe("address_in_use");
  expect(await open("198.51.100.1", 0)).toBe("bad_address");
  expect(await open("no-such-host.invalid", 0)).toBe("bad_address");
  first.close();
  // Deno gives the port back a moment later.
  let again: string | undefined = "not tried";
  for (let attempt = 0; attempt < 100 && again !== undefined; attempt++) {
    again = await open("127.0.0.1", first.port);
    await new Promise((done) => setTimeout(done, 5));
  }
  expect(again).toBe(undefined);
});

test("a socket on :: hears IPv4 peers under their IPv4 address and answers them", async () => {
  const heard: string[] = [];
  const wide = await openUdp({ host: "::", port: 0, onDatagram: (bytes, from) => wide.send(bytes, from) });
  const narrow = await openUdp({ host: "127.0.0.1", port: 0, onDatagram: (_, from) => void heard.push(from.host) });
  narrow.send(Uint8Array.of(1), { host: "127.0.0.1", port: wide.port });
  await until(() => heard.length > 0, 1_000);
  expect(heard).toEqual(["127.0.0.1"]);
  wide.close();
  narrow.close();
});

test("a port where nobody listens does not silence datagrams to others", async () => {
  const echo = await openUdp({ host: "127.0.0.1", port: 0, onDatagram: (bytes, from) => echo.send(bytes, from) });
  const gone = await openUdp({ host: "127.0.0.1", port: 0, onDatagram: () => {} });
  const closed = gone.port;
  gone.close();
  let heard = 0;
  const asker = await openUdp({ host: "127.0.0.1", port: 0, onDatagram: () => heard++ });
  try {
    // As a poll does: the dead node first, then the living one, again and again.
    for (let round = 0; round < 10; round++) {
      asker.send(Uint8Array.of(1), { host: "127.0.0.1", port: closed });
      asker.send(Uint8Array.of(2), { host: "127.0.0.1", port: echo.port });
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(heard).toBeGreaterThanOrEqual(8);
  } finally {
    asker.close();
    echo.close();
  }
});
