/**
 * State seals: element state changes by new values that take the place of old
 * ones, so an object that was state once never changes. What has changed all the
 * same was changed by nobody who may: a fault of the memory, or a handler that
 * writes into what it was given.
 *
 * Each object has a seal of its own over its keys and its values that are not
 * objects. So an object that goes on in the next state keeps its seal, and
 * whatever one bit is another is found.
 *
 * @module
 */

/** Start and factor of FNV-1a: each step can be reversed, so one altered step always gives another end. */
const start = 0x811c9dc5 | 0;
const factor = 0x01000193;

const double = new Float64Array(1);
const words = new Int32Array(double.buffer);

/** `seal`: none before its first look has ended; `look`: its last. */
type Sealed = { seal: number | undefined; look: number };

/** Seals of the objects in element state; forgotten with them. */
export class StateSeals {
  readonly #sealed = new WeakMap<object, Sealed>();
  #look = 0;

  /**
   * Seal what is not sealed yet, here and below, and compare what is. What many
   * hold is looked at once.
   *
   * @param below Also what the object holds.
   * @returns Where something has changed, as `.key.key`; `undefined` if nothing has.
   */
  broken(value: unknown, below: boolean = true): string | undefined {
    this.#look += 1;
    return isObject(value) ? this.#broken(value, below) : undefined;
  }

  #broken(value: object, below: boolean): string | undefined {
    const sealed = this.#sealed.get(value) ?? { seal: undefined, look: 0 };
    if (sealed.look === this.#look) return undefined;
    // Before what it holds, which may be itself.
    if (sealed.look === 0) this.#sealed.set(value, sealed);
    sealed.look = this.#look;
    let seal = start;
    let path: string | undefined;
    const take = (key: unknown, item: unknown): void => {
      seal = mixValue(mixValue(seal, key), item);
      if (!below || path !== undefined || !isObject(item)) return;
      path = this.#broken(item, below);
      if (path !== undefined) path = `.${String(key)}${path}`;
    };
    if (Array.isArray(value) || value instanceof Uint8Array) for (let i = 0; i < value.length; i++) take(i, value[i]);
    else if (value instanceof Map) for (const [key, item] of value) take(key, item);
    else if (value instanceof Set) for (const item of value) take(0, item);
    else if (isPlain(value)) for (const key in value) take(key, (value as { readonly [key: string]: unknown })[key]);
    // What a class is made of is its own affair.
    else return undefined;
    sealed.seal ??= seal;
    return sealed.seal === seal ? path : "";
  }
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function mix(seal: number, word: number): number {
  return Math.imul(seal ^ word, factor);
}

function mixValue(seal: number, value: unknown): number {
  if (typeof value === "string") {
    let mixed = mix(seal, value.length);
    for (let i = 0; i < value.length; i++) mixed = mix(mixed, value.charCodeAt(i));
    return mixed;
  }
  if (typeof value === "number") {
    double[0] = value;
    return mix(mix(seal, words[0]!), words[1]!);
  }
  // An object has a seal of its own.
  return mix(seal, value === true ? 1 : value === false ? 2 : value === null ? 3 : 4);
}
