/**
 * Kernel event: all that enters an armor's microkernel.
 *
 * @module
 */
import type { Completion } from "./element.ts";
import type { Frame } from "./frame.ts";
import type { Payload } from "./payload.ts";

/** What happened outside. */
export type KernelEvent =
  /** The armor starts or has restarted: elements get `armor.started`, unfinished work goes on. */
  | { readonly kind: "start"; readonly payload?: Payload }
  | { readonly kind: "frame"; readonly frame: Frame }
  /** The host has something to say to the elements. */
  | { readonly kind: "local"; readonly op: string; readonly payload: Payload }
  | { readonly kind: "work-done"; readonly key: string; readonly completion: Completion }
  /** Time has passed. */
  | { readonly kind: "tick" }
  /** The way to other armors has changed: transmit again at once. `at`: only that to armors called `…@AT`, and to those whose name says no place. */
  | { readonly kind: "link-up"; readonly at?: string };
