/**
 * What an application is: everything an operator may say of a program that is
 * to be kept running. Complete and plain data, so that it stands in element
 * state and equal applications compare equal.
 *
 * @module
 */
import { restartDefaults } from "../core/limits.ts";
import type { RestartPolicy } from "../core/restart_policy.ts";

/** An application, complete and checked. */
export type Application = {
  /** Unique in the cluster. */
  readonly name: string;
  /** Absolute path, or a bare name that the node looks up by its standard PATH. */
  readonly command: string;
  readonly args: readonly string[];
  readonly env: { readonly [name: string]: string };
  /** Absolute; `null`: `/`. */
  readonly directory: string | null;
  /** User name or number; `null`: the user of the daemon. */
  readonly user: string | null;
  /** How many at once, 1 to 100. */
  readonly instances: number;
  /** Preferred node for the first placement; `null`: the FTM chooses. */
  readonly node: string | null;
  /** Never leaves `node`. */
  readonly pin: boolean;
  /** A service runs for ever; a job is completed by exit status 0. */
  readonly kind: "service" | "job";
  /** Never twice at once anywhere, even if that means not at all. */
  readonly singleton: boolean;
  readonly restart: ApplicationRestart;
  /** How its health is asked; `null`: its process is watched, no more. */
  readonly probe: Probe | null;
  readonly log: LogLimits;
};

/** When its instances are restarted. */
export type ApplicationRestart = RestartPolicy & {
  /** So many restarts in a row without `resetAfterMs` of running, and it is given up; `null`: never. */
  readonly restartsMax: number | null;
};

/** How an instance shows that it works. Times in milliseconds. */
export type Probe = AskedProbe | ProgressProbe;

/** A probe that Armor asks again and again. */
export type AskedProbe =
  & {
    /** From one answer, or one start, to the next ask. */
    readonly intervalMs: number;
    /** No answer by then is a failure. At most `intervalMs`. */
    readonly timeoutMs: number;
    /** So many failures in a row are a hang. */
    readonly failures: number;
    /** Failures this soon after the start do not count, unless a probe has succeeded before. */
    readonly graceMs: number;
  }
  & (
    | { readonly type: "http"; readonly url: string }
    /** `HOST:PORT` */
    | { readonly type: "tcp"; readonly address: string }
    /** Runs as the application does; exit status 0 is success. */
    | { readonly type: "exec"; readonly command: string; readonly args: readonly string[] }
  );

/** A probe that the program answers by itself, at `ARMOR_API`. */
export type ProgressProbe = {
  readonly type: "progress";
  /** No progress for so long is a hang. */
  readonly withinMs: number;
  /** The first progress may take this long after the start. */
  readonly graceMs: number;
};

/** How large an instance's log gets. */
export type LogLimits = {
  /** The live file is cut when it is larger; about so large is each older file. */
  readonly maxBytes: number;
  /** Older files kept: NAME.1 is the newest. */
  readonly keep: number;
};

/** What applies where nothing is said. */
export const applicationDefaults = {
  restart: { ...restartDefaults, restartsMax: null },
  probe: { intervalMs: 2_000, timeoutMs: 1_000, failures: 3, graceMs: 10_000 },
  log: { maxBytes: 10 * 1024 * 1024, keep: 3 },
} as const;

/** Bounds of an application. */
export const applicationLimits = {
  instancesMax: 100,
  /** PATH_MAX of Linux. */
  pathBytesMax: 4_096,
  argumentsMax: 1_000,
  /** Linux refuses single arguments from 128 KiB. */
  argumentBytesMax: 65_536,
  variablesMax: 1_000,
  /** All texts together: the whole table is copied between nodes before each acknowledgement. */
  totalBytesMax: 262_144,
  /** Waits longer than this are no waits. */
  timeMsMax: 86_400_000,
  /** More often would be load, not supervision. */
  intervalMsMin: 100,
  /** Restarts remembered of each instance. */
  crashLoopRestartsMax: 100,
  probeFailuresMax: 100,
  restartsMaxMax: 1_000_000,
  /** Less would be cut at every look. */
  logBytesMin: 65_536,
  logBytesMax: 2 ** 40,
  logKeepMax: 100,
} as const;

/**
 * Fill in what an application stored by an older version lacks: with the
 * defaults, which is what that version did.
 */
export function completeApplication(stored: Partial<Application> & Pick<Application, "name" | "command">): Application {
  const { restart = applicationDefaults.restart, probe = null, log = applicationDefaults.log } = stored;
  return { ...(stored as Application), restart, probe, log };
}
