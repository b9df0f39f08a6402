/** A process with one end of a link that sends one frame and then only reads: to be killed. Usage: PATH | HOST PORT IDENTITY */
import { connectLink } from "../../transports/http2_client.ts";
import { startHttp2Server } from "../../transports/http2_server.ts";

const { role, address, tls } = JSON.parse(process.argv[2]!);
const silent = { onFrames() {}, onClose() {} };
const secure = tls === undefined ? {} : { tls };
if (role === "client") {
  const link = connectLink({ address, ...secure, ...silent });
  link.send(Uint8Array.of(1));
} else {
  const server = await startHttp2Server({
    listen: address,
    ...secure,
    fetch: () => new Response(),
    onLink(link) {
      link.send(Uint8Array.of(1));
      return silent;
    },
  });
  console.log(server.port);
}
setInterval(() => {}, 1_000);
