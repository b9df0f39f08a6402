/**
 * A process is named by pid, start time and boot: a pid alone is reused.
 *
 * @module
 */

/** Identity of one process of this machine. A type, not an interface: it is plain data and stands in element state. */
export type ProcessIdentity = {
  readonly pid: number;
  /** Field 22 of `/proc/PID/stat`, clock ticks since boot. */
  readonly startTicks: number;
  /** `/proc/sys/kernel/random/boot_id`. */
  readonly bootId: string;
};
