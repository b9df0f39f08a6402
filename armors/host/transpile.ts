/**
 * TypeScript to JavaScript with what the runtime has: Bun's transpiler, in the
 * executable too, or Deno's stripping of types. Neither is named as a global.
 *
 * @module
 */
import * as nodeModule from "node:module";
import process from "node:process";

interface BunModule {
  readonly Transpiler: new (options: { readonly loader: "ts" }) => { transformSync(source: string): string };
}
interface StrippingModule {
  /** Present on Deno. */
  stripTypeScriptTypes?(source: string): string;
}

/**
 * Take the types out of one file.
 *
 * @throws {Error} The runtime's own, for a source it cannot read; Deno reads no
 *   syntax that is more than types, such as `enum`.
 */
export function transpile(source: string): string {
  if (process.versions["bun"] !== undefined) {
    const bun = (process.getBuiltinModule as (name: string) => unknown)("bun") as BunModule;
    return new bun.Transpiler({ loader: "ts" }).transformSync(source);
  }
  const { stripTypeScriptTypes } = nodeModule as StrippingModule;
  if (!stripTypeScriptTypes) throw new Error("this runtime cannot read TypeScript");
  return stripTypeScriptTypes(source);
}

/**
 * What a transpiled file would load at run time.
 *
 * @returns The first module it names, or `undefined` if it stands alone.
 */
export function importOf(javascript: string): string | undefined {
  const code = javascript.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
  const found = /^\s*(?:import|export)\b[^;'"`()]*?\bfrom\s*["']([^"']+)["']|^\s*import\s*["']([^"']+)["']|\bimport\s*\(\s*["'`]?([^"'`)]*)|\brequire\s*\(\s*["'`]([^"'`)]*)/m.exec(code);
  return found?.slice(1).find((name) => name !== undefined);
}
