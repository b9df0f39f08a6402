/**
 * Subscription list: the mapping from micro-operations to the elements that can
 * process them. Source: "during the initialization within the system, each armor
 * establishes a subscription list"; the microkernel maintains it at run time.
 *
 * @module
 */
import type { Element, ElementDescription } from "./element.ts";
import { invariant } from "./invariant.ts";

/** Micro-operation → elements, in the order in which they were added. */
export class SubscriptionList {
  readonly #elements = new Map<string, Element>();
  readonly #subscribers = new Map<string, Element[]>();

  /** @throws {InvariantError} If the name is taken, or a blocking op would have two subscribers. */
  add(element: Element): void {
    invariant(!this.#elements.has(element.name), `element "${element.name}" exists already`);
    const wrong = this.conflict(element);
    invariant(wrong === undefined, wrong ?? "");
    this.#elements.set(element.name, element);
    this.#rebuild();
  }

  /** Put an element in the place of the one of the same name. @throws {InvariantError} As {@link add}; if there is none. */
  replace(element: Element): void {
    invariant(this.#elements.has(element.name), `there is no element "${element.name}"`);
    const wrong = this.conflict(element);
    invariant(wrong === undefined, wrong ?? "");
    this.#elements.set(element.name, element);
    this.#rebuild();
  }

  /** Remove an element; `false` if there is none of that name. */
  remove(name: string): boolean {
    const removed = this.#elements.delete(name);
    if (removed) this.#rebuild();
    return removed;
  }

  /** A list of its own with the same elements. */
  copy(): SubscriptionList {
    const list = new SubscriptionList();
    for (const element of this.#elements.values()) list.#elements.set(element.name, element);
    list.#rebuild();
    return list;
  }

  /** @returns Why the element's ops do not go with those of the others; one of its own name does not count. */
  conflict(element: Element): string | undefined {
    for (const op of element.blocking ?? []) {
      if (!Object.hasOwn(element.handlers, op)) return `blocking op "${op}" of "${element.name}" has no handler`;
    }
    for (const op of Object.keys(element.handlers)) {
      const present = this.subscribers(op).filter(({ name }) => name !== element.name);
      const blocking = isBlocking(element, op) || present.some((other) => isBlocking(other, op));
      if (blocking && present.length > 0) return `blocking op "${op}" allows one subscriber: "${present[0]!.name}" has it`;
    }
    return undefined;
  }

  /** The elements that process `op`, in order. */
  subscribers(op: string): readonly Element[] {
    return this.#subscribers.get(op) ?? [];
  }

  /** An element by name. */
  element(name: string): Element | undefined {
    return this.#elements.get(name);
  }

  /** All elements, in order. */
  elements(): IterableIterator<Element> {
    return this.#elements.values();
  }

  /** What status shows: each element with its version and ops. */
  describe(): ElementDescription[] {
    return [...this.#elements.values()].map(({ name, version, handlers }) => ({
      name,
      version,
      ops: Object.keys(handlers),
    }));
  }

  #rebuild(): void {
    this.#subscribers.clear();
    for (const element of this.#elements.values()) {
      for (const op of Object.keys(element.handlers)) {
        const present = this.#subscribers.get(op);
        if (present) present.push(element);
        else this.#subscribers.set(op, [element]);
      }
    }
  }
}

/** Whether `op` may suspend its thread in this element. */
export function isBlocking(element: Element, op: string): boolean {
  return element.blocking?.includes(op) ?? false;
}
