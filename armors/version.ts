/**
 * Armor's version. package.json says the same; a test compares them.
 *
 * @module
 */

/** Semantic version of this program. */
export const version = "0.1.0";
