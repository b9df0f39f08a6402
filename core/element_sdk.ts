/**
 * What a file of elements gets: it imports nothing of Armor but types, so that it
 * loads in every runtime and in the executable.
 *
 * @module
 */
import { type Element, element } from "./element.ts";
import { OperationError } from "./errors.ts";
import { type MicroOperation, op } from "./micro_operation.ts";

/** Argument of an {@link ElementFactory}. */
export interface ElementSdk {
  /** Version of this interface; fields are only ever added within one. */
  readonly version: 1;
  /** Keeps the types of an element while it is stored among others. */
  readonly element: typeof element;
  /** A short way to write an op. */
  readonly op: (name: string, at?: string) => MicroOperation;
  /** Thrown by a handler to refuse an operation. */
  readonly OperationError: typeof OperationError;
}

/**
 * Default export of a file of elements: one element, or several.
 *
 * @example
 * ```ts
 * import { type ElementFactory, elementSdk } from "./element_sdk.ts";
 * const factory: ElementFactory = ({ element }) =>
 *   element({ name: "greeter", version: 1, state: {}, handlers: { "greet.me": (_, { payload }) => void (payload["text"] = "hello") } });
 * factory(elementSdk);
 * ```
 */
export type ElementFactory = (sdk: ElementSdk) => Element | readonly Element[];

/** What every factory gets. */
export const elementSdk: ElementSdk = { version: 1, element, op, OperationError };
