/**
 * Links of this node's armors to their daemon: each registers, is given what it
 * starts from, and from then on its frames are routed.
 *
 * @module
 */
import { decode, encode } from "../../core/codec.ts";
import type { Data, DataRecord } from "../../core/data.ts";
import { compareGenerations, type Generation } from "../../core/generation.ts";
import type { Microkernel } from "../../core/microkernel.ts";
import type { FrameLink, LinkHandlers } from "../../transports/frame_link.ts";
import type { ElementSet } from "../elements/element_source.ts";
import { elementsKey } from "../shapes.ts";
import type { ArmorHost } from "./armor_host.ts";
import type { ArmorProcesses } from "./armor_processes.ts";
import type { LocalFrame, Refused, Register, Registered } from "./local_link.ts";
import type { Router } from "./router.ts";

/**
 * Answers to registrations that wait until the generation is on the daemon's
 * disk: what an armor says under one that is forgotten in a loss of power would
 * be said once more, under the same numbers, by its next life.
 */
export class LocalArmorAnswers {
  readonly #waiting = new Map<string, () => void>();

  /** @param known The generation is on the disk; of a registration before this one it may not be yet. */
  give(armor: string, known: boolean, answer: () => void): void {
    if (known && !this.#waiting.has(armor)) answer();
    else this.#waiting.set(armor, answer);
  }

  /** Command `armor.answer`: the commit is safe. */
  release(armor: string): void {
    const answer = this.#waiting.get(armor);
    this.#waiting.delete(armor);
    answer?.();
  }
}

/** What the links need of their daemon. */
export interface LocalArmorOptions {
  readonly kernel: Microkernel;
  readonly host: ArmorHost;
  readonly router: Router;
  readonly processes: ArmorProcesses;
  readonly keyOf: (id: string) => Uint8Array;
  readonly answers: LocalArmorAnswers;
  /** The node as it is told to its armors. */
  readonly node: { readonly id: string; readonly listenHost: string; readonly cluster: () => string; readonly allowElements: boolean };
}

/** Takes an armor's link. */
export function takeLocalLink(options: LocalArmorOptions, link: FrameLink): LinkHandlers {
  const { host, router, processes } = options;
  let registered: string | undefined;
  return {
    onFrames: (frames) => {
      for (const bytes of frames) {
        const frame = decode(bytes) as LocalFrame;
        if (frame.type === "register") registered = register(options, link, frame);
        else if (registered !== undefined && frame.type === "described") host.local("armor.described", { armor: registered, elements: frame.elements });
        else if (registered !== undefined && "from" in frame && frame.from === registered) router.fromHere(frame, bytes);
      }
    },
    onClose: () => {
      if (registered !== undefined && router.detach(registered, link)) processes.hint(registered);
    },
  };
}

/** @returns The armor's id, unless it was refused. */
function register(options: LocalArmorOptions, link: FrameLink, { armor, role, process, generation, elements }: Register): string | undefined {
  const { kernel, host, router, processes, keyOf, node, answers } = options;
  const living = processes.living(armor);
  const kept = (kernel.state("local_armors") as { [armor: string]: { generation: Generation; begin: DataRecord | null } })[armor];
  if ((living && living.pid !== process.pid) || !kept) {
    const why = living ? `is registered already (pid ${living.pid})` : "is not placed on this node: the fault-tolerance manager decides that";
    link.send(encode({ type: "refused", reason: `cannot start ${role}: armor "${armor}" ${why}` } satisfies Refused));
    return undefined;
  }
  processes.adopt(armor, process);
  router.attach(armor, link);
  const answer = {
    type: "registered" as const,
    key: keyOf(armor),
    cluster: node.cluster(),
    node: node.id,
    host: node.listenHost,
    generation: generation ?? kept.generation,
    begin: kept.begin,
    given: ((kernel.state("table_replica") as DataRecord)[elementsKey(armor)] ?? null) as ElementSet | null,
    allowElements: node.allowElements,
  } satisfies Registered;
  answers.give(armor, compareGenerations(answer.generation, kept.generation) === 0, () => link.send(encode(answer)));
  host.local("armor.registered", { armor, role, process, generation: answer.generation, elements: elements as Data });
  host.dispatch({ kind: "link-up" });
  return armor;
}
