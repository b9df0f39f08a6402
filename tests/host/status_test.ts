/** What `armor status` says of a node's own armors. */
import { expect, test } from "bun:test";
import { statusDocument } from "../../armors/host/status.ts";
import type { ArmorReport } from "../../armors/shapes.ts";
import type { Microkernel } from "../../core/microkernel.ts";

const execution: ArmorReport = {
  armor: "execution@n1",
  role: "execution",
  pid: 7,
  state: "running",
  incarnation: { placement: 1, restart: 0 },
  generation: null,
  elements: [],
};

function shownState(live: string, failed: boolean): unknown {
  const epoch = { number: 1, node: "n1" };
  const { elements, ...armor } = execution;
  const shown = { ...armor, node: "n1", makeup: 0 };
  const view = { epoch, stale: false, makeups: [elements], nodes: [{ id: "n1", name: "n1", address: "", state: "alive" }], armors: [shown], applications: [] };
  const states: { [element: string]: unknown } = {
    epoch_promise: { promised: epoch, ftm: { epoch, node: "n1" } },
    local_armors: { "execution@n1": { process: null, failed } },
  };
  const volatiles: { [element: string]: unknown } = {
    gateway: { view },
    local_armors: { live: { "execution@n1": { state: live } } },
    liveness_poll: { watched: new Map() },
  };
  const kernel = { state: (name: string) => states[name], volatile: (name: string) => volatiles[name] } as unknown as Microkernel;
  const node = { id: "n1", name: "n1", address: "" };
  const { armors } = statusDocument({ kernel, node, cluster: "c", nowMs: 0, self: execution }) as { armors: { state: string }[] };
  return armors[0]!.state;
}

test("statusDocument() knows more of its own armors than the FTM has heard", () => {
  expect(shownState("recovering", false)).toBe("recovering");
});

test("statusDocument() says that an armor has failed, not that it is recovering", () => {
  expect(shownState("recovering", true)).toBe("failed");
});
