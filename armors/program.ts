/**
 * What becomes the executable: `mod.ts` as a program alone, without what it
 * exports for those who write elements, so that none of that is loaded.
 *
 * @module
 */
import process from "node:process";
import { main } from "./main.ts";

await main(process.argv.slice(2));
