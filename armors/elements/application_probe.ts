/**
 * Application probe: asks programs whether they work, as their specification
 * says, and hears of their progress. The host asks; this element counts. A
 * failure counts only when this armor itself was on time, so a paused or
 * starved armor accuses nobody. All of it is volatile.
 *
 * The judgement leaves as the op `program.hung`, the same as for a program
 * found stopped.
 *
 * @module
 */
import type { Data, DataRecord } from "../../core/data.ts";
import { type Element, element, type Thread } from "../../core/element.ts";
import { op } from "../../core/micro_operation.ts";
import { type Application, type AskedProbe, completeApplication, type ProgressProbe } from "../application.ts";

/** What is watched of one running program. */
type Watch = {
  readonly launch: number;
  readonly application: Application;
  readonly startedMs: number;
  /** It has answered, or made progress, since it was started or adopted. */
  readonly seen: boolean;
  /** When the next ask, or the next look at progress, is due. */
  readonly dueAtMs: number;
  /** Failures in a row, and when the first of them was asked. */
  readonly failures: number;
  readonly failingSinceMs: number;
  /** Time without progress, counted while this armor was on time. */
  readonly silentMs: number;
};

type Volatile = { readonly watched: ReadonlyMap<string, Watch> };
type Probing = Thread<Volatile>;

/** Looks at progress within the time in which there must be some. */
const looksWithin = 8;
const lookMsMax = 1_000;

/** Answers of the host's asks come as `program.probed`. */
export function applicationProbe(): Element {
  const put = (thread: Probing, id: string, watch: Watch | undefined): void => {
    const watched = new Map(thread.volatile.watched);
    if (watch) watched.set(id, watch);
    else watched.delete(id);
    thread.setVolatile({ watched });
  };

  const find = (thread: Probing): Watch | undefined => {
    const watch = thread.volatile.watched.get(thread.payload["id"] as string);
    return watch && watch.launch === thread.payload["launch"] ? watch : undefined;
  };

  /** Run `probe.due` when it is time. */
  const plan = (thread: Probing, id: string, watch: Watch, delayMs: number): void => {
    put(thread, id, { ...watch, dueAtMs: thread.nowMs + delayMs });
    thread.after(`probe ${id}`, delayMs, "probe.due", { id, launch: watch.launch });
  };

  const accuse = (thread: Probing, cause: string, durationMs: number): void => {
    thread.payload["cause"] = cause;
    thread.payload["durationMs"] = durationMs;
    thread.insert(op("program.hung"));
  };

  return element<DataRecord, Volatile>({
    name: "application_probe",
    version: 1,
    state: {},
    volatile: () => ({ watched: new Map() }),
    handlers: {
      // `application` is there if it is the program that should run.
      "program.started": (_state, thread) => {
        const { id, launch, startedMs = thread.nowMs } = thread.payload as { id: string; launch: number; startedMs?: number };
        const given = thread.payload["application"] as Application | undefined;
        if (!given || thread.volatile.watched.get(id)?.launch === launch) return;
        const application = completeApplication(given);
        const { probe } = application;
        if (!probe) return;
        const fresh: Watch = { launch, application, startedMs, seen: false, dueAtMs: 0, failures: 0, failingSinceMs: 0, silentMs: 0 };
        // Programs that were started together are not asked together.
        plan(thread, id, fresh, probe.type === "progress" ? lookMs(probe) : thread.random.below(probe.intervalMs));
      },
      "program.exited": (_state, thread) => {
        if (!find(thread)) return;
        const id = thread.payload["id"] as string;
        put(thread, id, undefined);
        thread.cancel(`probe ${id}`);
      },
      "probe.due": (_state, thread) => {
        const watch = find(thread);
        if (!watch) return;
        const { probe } = watch.application;
        if (probe?.type === "progress") return look(thread, watch, probe);
        const { id, launch } = thread.payload as { id: string; launch: number };
        thread.command({ kind: "program.probe", args: { id, launch, application: watch.application as unknown as Data } });
      },
      "program.probed": (_state, thread) => {
        const watch = find(thread);
        const probe = watch?.application.probe;
        if (watch && probe && probe.type !== "progress") answered(thread, watch, probe);
      },
      "application.progress": (_state, thread) => {
        const watch = find(thread);
        if (watch) put(thread, thread.payload["id"] as string, { ...watch, seen: true, silentMs: 0 });
      },
    },
  });

  function answered(thread: Probing, watch: Watch, probe: AskedProbe): void {
    const { id, ok, reason, askedMs } = thread.payload as { id: string; ok: boolean; reason: string; askedMs: number };
    const planned = watch.dueAtMs + probe.intervalMs;
    const next = (changes: Partial<Watch>): void => plan(thread, id, { ...watch, ...changes }, Math.max(0, planned - thread.nowMs));
    if (ok) return next({ seen: true, failures: 0 });
    const late = thread.nowMs - askedMs > probe.timeoutMs + probe.intervalMs / 2;
    const starting = !watch.seen && askedMs < watch.startedMs + probe.graceMs;
    if (late || starting) return next({});
    const failures = watch.failures + 1;
    const failingSinceMs = watch.failures === 0 ? askedMs : watch.failingSinceMs;
    // Counted anew from here, should the program outlive its end.
    next({ failures: failures % probe.failures, failingSinceMs });
    if (failures >= probe.failures) accuse(thread, `probe: ${reason}`, thread.nowMs - failingSinceMs);
  }

  function look(thread: Probing, watch: Watch, probe: ProgressProbe): void {
    const id = thread.payload["id"] as string;
    const lateMs = thread.nowMs - watch.dueAtMs;
    const everyMs = lookMs(probe);
    const silentMs = lateMs * 2 <= everyMs ? watch.silentMs + everyMs + lateMs : watch.silentMs;
    const limitMs = watch.seen ? probe.withinMs : Math.max(probe.withinMs, probe.graceMs);
    const hung = silentMs >= limitMs;
    plan(thread, id, { ...watch, silentMs: hung ? 0 : silentMs }, everyMs);
    if (hung) accuse(thread, `no progress within ${limitMs} ms`, silentMs);
  }
}

function lookMs({ withinMs }: ProgressProbe): number {
  return Math.min(lookMsMax, Math.ceil(withinMs / looksWithin));
}
