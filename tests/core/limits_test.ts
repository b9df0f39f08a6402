import { describe, expect, test } from "bun:test";
import { limits, restartDefaults, timing } from "../../core/limits.ts";

/** What a recovery takes, once it has begun, on a machine with nothing else to do. */
const repairMs = 300;
/** The longest until an armor is found silent. */
const localMs = timing.localIntervalMs * timing.localMisses + timing.localHurryMs + timing.localWaitMs;

/** A relation that other code relies on: `left` is smaller. */
const relations: Record<string, [left: number, right: number]> = {
  "one segment's sends fit an outbox twice over": [2 * limits.sendsPerSegmentMax, limits.outboxMax],
  "a window leaves room to admit: what is left of an outbox after its deadlines": [limits.windowMax, limits.outboxMax - limits.sendsPerSegmentMax],
  "a restart of all instances reaches every armor in one segment": [1_000, limits.sendsPerSegmentMax],
  "the itinerary fits the ops a thread may run": [limits.itineraryOpsMax, limits.opsPerThread],
  "the first retransmission comes before the cap": [limits.retransmitFirstMs, limits.retransmitCapMs],
  "a node is suspect before it is failed": [timing.nodeSuspectMisses, timing.nodeFailedMisses],
  "an FTM is failed before its node": [timing.heartbeatMisses, timing.nodeFailedMisses],
  "an FTM's failure is declared elsewhere within two seconds": [timing.heartbeatIntervalMs * (timing.heartbeatMisses + 1), 2_000],
  "an armor's failure is declared and repaired within two seconds": [localMs + repairMs, 2_000],
  "an armor is suspect before it is failed": [timing.nodeSuspectMisses, timing.localMisses],
  "a suspect is asked sooner": [timing.localHurryMs, timing.localIntervalMs],
  "a node's failure is declared in time to move within three seconds": [
    timing.heartbeatIntervalMs * (timing.nodeFailedMisses + 1) + timing.nodeConfirmMs,
    2_500,
  ],
  "a takeover gathers before it is tried again": [timing.takeoverGatherMs, timing.takeoverRetryMs],
  "a takeover grows more patient": [timing.takeoverRetryMs, timing.takeoverRetryMsMax],
  "an armor that starts slowly gets more time": [timing.registerWithinMs, timing.registerWithinMsMax],
  "an operator hears before a takeover is overdue twice": [timing.takeoverRetryMs, timing.operatorDeadlineMs],
  "a planned absence outlasts the wait of a cold start": [timing.coldStartWaitMs, timing.plannedAbsenceMs],
  "a stopped program is a hang sooner than an armor is": [timing.stoppedIsHungMs, timing.localIntervalMs * timing.nodeSuspectMisses + timing.localHurryMs],
  "a stopped program is replaced within a second and a half": [1.5 * timing.watchIntervalMs + timing.stoppedIsHungMs + repairMs / 3, 1_500],
  "the first delay of a restart is below the cap": [restartDefaults.firstDelayMs, restartDefaults.delayCapMs],
  "a crash loop shows before its window ends": [restartDefaults.resetAfterMs, restartDefaults.crashLoopWindowMs],
};

describe("limits", () => {
  for (const [what, [left, right]] of Object.entries(relations)) test(what, () => expect(left).toBeLessThan(right));

  test("are whole numbers above zero", () => {
    for (const value of Object.values({ ...limits, ...timing, ...restartDefaults })) {
      expect(Number.isSafeInteger(value) && value > 0).toBe(true);
    }
  });
});
