/**
 * The rule for names of nodes and applications: they become parts of file names
 * and of host names.
 *
 * @module
 */

/** Matches a name. */
export const namePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;

/** Most characters of a name. */
export const nameLengthMax = 63;

/** Says to a person what {@link namePattern} wants. */
export const nameRule = 'use 1 to 63 letters, digits, "_", "." or "-", the first a letter or digit';
