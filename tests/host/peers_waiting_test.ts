/** What waits for a node that cannot be reached. */
import { expect, test } from "bun:test";
import { Peers } from "../../armors/host/peers.ts";
import type { FrameLink, LinkHandlers } from "../../transports/frame_link.ts";

test("frames that are repeated for hours to a node that is away take a bounded number of bytes; the first is sent when it is back", () => {
  let opened: (() => void) | undefined;
  const sent: number[] = [];
  const link = { send: (bytes: Uint8Array) => void sent.push(bytes.length), close: () => {} } as unknown as FrameLink;
  const peers = new Peers({
    connect: (_address: string, handlers: LinkHandlers & { onOpen(): void }) => {
      opened = handlers.onOpen;
      return link;
    },
    clock: { nowMs: () => 0, after: () => () => {}, every: () => () => {} },
    node: "a",
    onFrame: () => {},
    onOpen: () => {},
    onClosed: () => {},
  });
  peers.setAddress("b", "b:1");
  for (let again = 0; again < 500; again++) peers.send("b", new Uint8Array(250_000));
  opened!();
  expect(sent.length).toBeGreaterThan(0);
  expect(sent.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThan(2 ** 21);
  // One that is larger than all of that finds room alone.
  sent.length = 0;
  peers.setAddress("c", "c:1");
  peers.send("c", new Uint8Array(3_000_000));
  opened!();
  expect(sent).toEqual([3_000_000]);
});
