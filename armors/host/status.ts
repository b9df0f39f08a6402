/**
 * Status: the document every daemon answers at once, from the FTM's last view
 * and what it knows itself.
 *
 * @module
 */
import type { Epoch } from "../../core/generation.ts";
import type { Microkernel } from "../../core/microkernel.ts";
import type { Watch } from "../../core/failure_detector.ts";
import type { ArmorReport } from "../shapes.ts";
import type { View } from "../elements/view_shape.ts";

/** An FTM unheard for this long makes the answer stale. */
const heardWithinMs = 1_500;

/** What the document needs besides the microkernel. */
export interface StatusOptions {
  readonly kernel: Microkernel;
  readonly node: { readonly id: string; readonly name: string; readonly address: string };
  readonly cluster: string;
  readonly nowMs: number;
  /** The daemon's own entry. */
  readonly self: ArmorReport;
}

/** The JSON document of `GET /v1/status`. */
export function statusDocument({ kernel, node, cluster, nowMs, self }: StatusOptions): Record<string, unknown> {
  const { view } = kernel.volatile("gateway") as { view: View | null };
  const { promised, ftm } = kernel.state("epoch_promise") as { promised: Epoch; ftm: { epoch: Epoch; node: string } | null };
  const nodes = view?.nodes ?? [{ id: node.id, name: node.name, address: node.address, state: "alive" }];
  const names = new Map(nodes.map(({ id, name }) => [id, name]));
  const live = kernel.volatile("local_armors") as { live: { [armor: string]: { state: string } } };
  const kept = kernel.state("local_armors") as { [armor: string]: { process: { pid: number } | null; failed: boolean } };

  const seen = view?.armors.map(({ makeup, ...armor }) => ({ ...armor, elements: view.makeups[makeup]! }));
  const armors = (seen ?? [{ ...self, node: node.id }]).map((armor) => {
    // Of its own armors a daemon knows more than the FTM may have heard.
    const local = armor.node === node.id && live.live[armor.armor];
    const own = local ? { state: kept[armor.armor]?.failed ? "failed" : local.state, pid: kept[armor.armor]?.process?.pid ?? null } : {};
    return { ...armor, ...own };
  });
  const shown = armors.map(({ armor, role, node: at, pid, state, incarnation, generation, elements }) => ({
    id: armor,
    ...(view?.names?.[armor] !== undefined && { name: view.names[armor] }),
    role,
    node: at === "" ? null : names.get(at) ?? at,
    pid,
    state,
    incarnation: `${incarnation.placement}.${incarnation.restart}`,
    generation: generation && `${generation.epoch}.${generation.node}.${generation.counter}`,
    elements,
  }));
  const single = (id: string): unknown => {
    const armor = shown.find((one) => one.id === id);
    if (!armor) return null;
    const { node: at, pid, state, incarnation } = armor;
    return { id, node: at, pid, state, incarnation };
  };
  const watched = (kernel.volatile("liveness_poll") as { watched: ReadonlyMap<string, { watch: Watch }> }).watched.get("ftm");
  const heardAtMs = watched?.watch.heardAtMs;
  const heard = heardAtMs !== undefined && nowMs - heardAtMs <= heardWithinMs;
  return {
    cluster,
    epoch: ftm?.epoch ?? promised,
    stale: !view || view.stale || !heard || ftm === null || ftm.epoch.number < promised.number,
    ftm: single("ftm"),
    heartbeat: single("heartbeat"),
    nodes: nodes.map(({ id, name, address, state }) => ({ name, id, address, state })),
    armors: shown,
    applications: (view?.applications ?? []).map((application) => ({
      ...application,
      instances: application.instances.map((instance) => ({ ...instance, node: instance.node && (names.get(instance.node) ?? instance.node) })),
    })),
  };
}
