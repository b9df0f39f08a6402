/**
 * Every default and bound in one place, each with its reason. Times are
 * milliseconds.
 *
 * @module
 */
import { invariant } from "./invariant.ts";

/** Bounds of messages, threads and queues. */
export const limits = {
  /** Ops one thread may execute in one armor visit: a loop of insertions must end. */
  opsPerThread: 1_000,
  /** Armors one message may visit: a cycle of hops must end. */
  hopsMax: 64,
  /** Ops waiting in one itinerary. */
  itineraryOpsMax: 256,
  /** Encoded bytes of one message: four of these fit the stream's frame bound. */
  messageBytesMax: 4 * 1024 * 1024,
  /** Suspended threads per armor. */
  continuationsMax: 4_096,
  /** Messages one segment may start: a round of the FTM says up to four things to each of 1,000 nodes; a user message is admitted only while its lane has this room. */
  sendsPerSegmentMax: 4_000,
  /** Unacknowledged messages per peer and lane. */
  outboxMax: 8_192,
  /** Messages in flight per peer and lane before the first acknowledgement. */
  windowMax: 256,
  /** Of these, transmitted again before the peer has answered: a way that breaks at once must not be given everything each time. */
  againMax: 16,
  /** Characters of one source of elements: it is part of checkpoints and of messages. */
  elementSourceMax: 256 * 1024,
  /** Bytes of the application table, each application once for every instance: twice of it, from two sides that were apart, still fits one message. */
  tableBytesMax: 1_792 * 1024,
  /** Characters of all sources that the application table keeps: it travels in one message. */
  tableSourcesMax: 1024 * 1024,
  /** Elements added to one armor while it runs. */
  ownElementsMax: 64,
  /** Timers one armor may hold. */
  timersMax: 4_096,
  /** Named in-doubt messages in one `armor.rewound` event; the rest is counted. */
  inDoubtNamesMax: 100,
  /** Room that a node holds back for recovery on a full disk, and how much of it is given up at a time. */
  ballastBytes: 4 * 1024 * 1024,
  ballastStepBytes: 128 * 1024,
  /** Generations of an armor before it meets that of its next placement, and how many it may leave out at once. */
  generationsPerPlacement: 2 ** 20,
  generationJumpMax: 2 ** 12,
  /** Events a daemon keeps. */
  eventsMax: 10_000,
  /** Events in one message, and encoded bytes of one of them: so many together fit. */
  eventsPerMessageMax: 200,
  eventBytesMax: 16 * 1024,
  /** Characters of a text in an event that is larger than that. */
  eventTextMax: 500,
  /** What a death by the armor's own doing weighs; one that may have come from outside weighs 1. */
  ownDeathWeight: 6,
  /** Weight of the careful lives that ended under one message until it is poison: a kill from outside may be chance. */
  poisonWeight: 6,
  /** Weight of the careful lives in a row that ended with nothing of others in hand until the armor is `failed`. */
  badStateWeight: 12,
  /** Dead letters an armor keeps, and their bytes: enough to see what happened. */
  deadLettersMax: 1_000,
  deadLetterBytesMax: 4 * 1024 * 1024,
  /** A larger message is kept without its payload. */
  deadLetterMessageBytesMax: 64 * 1024,
  /** First and last pause between retransmissions of an unacknowledged message. */
  retransmitFirstMs: 200,
  retransmitCapMs: 2_000,
} as const;

/** Detection and recovery times. */
export const timing = {
  /** Pause between liveness asks to other nodes. */
  heartbeatIntervalMs: 250,
  /** Unanswered asks (asked on time) until an FTM elsewhere is failed: 1–1.25 s. */
  heartbeatMisses: 4,
  /** The same on one node, where no ask gets lost and each one wakes two idle processes; who is suspect is asked again sooner: 1–1.4 s. */
  localIntervalMs: 400,
  localHurryMs: 200,
  localMisses: 3,
  /** Until the first ask: one that registers opens its port for asks just after that. */
  localFirstMs: 100,
  /** A daemon asks when its guard has, right after that; it waits this long for it. */
  localWaitMs: 20,
  /** Unanswered asks until a node is suspect, and until other daemons are asked to probe it. */
  nodeSuspectMisses: 2,
  nodeFailedMisses: 5,
  /** Wait for other daemons' word before a silent node is declared failed. */
  nodeConfirmMs: 400,
  /** A closed connection is a hint: ask at once, this often, this far apart, and judge when the last is this old. */
  probeAsks: 4,
  probeIntervalMs: 50,
  probeLastMs: 80,
  /** Second opinions where there is a hint: a living node has answered long before. */
  probeWithinMs: 210,
  /** Wait for promises beyond the majority in a takeover. */
  takeoverGatherMs: 500,
  /** A takeover whose FTM has not announced itself by then is tried again; the next ones get twice as long, up to the second: a slow machine starts its FTM in the end. */
  takeoverRetryMs: 3_000,
  takeoverRetryMsMax: 12_000,
  /** An FTM unheard for this long may be voted out. */
  ftmHeardMs: 1_000,
  /** Acknowledgement of an operator's change, then `unknown`. */
  operatorDeadlineMs: 5_000,
  /** An armor that does not register within this time after its start is started again, and gets twice as long, up to the second. */
  registerWithinMs: 5_000,
  registerWithinMsMax: 40_000,
  /** An armor that lasts this long after its start, and has made a commit, is not dying of what it restored. */
  settledAfterMs: 5_000,
  /** How often a daemon looks for room to make its ballast whole again, and whether it is. */
  ballastLookMs: 5_000,
  /** A failed armor is tried again after this time: what made it fail may be gone. */
  failedRetryMs: 10_000,
  /** Planned absence of a node (daemon ended by SIGTERM). */
  plannedAbsenceMs: 60_000,
  /** A user message without a deadline waits this long to be admitted: longer than anything that heals by itself takes. */
  admissionMs: 120_000,
  /** A restarted daemon waits this long for its registered peers before it decides alone. */
  coldStartWaitMs: 3_000,
  /** In a cluster of more nodes than this, each node has to wait so long per node for the next view and for the next events: all of them at once cost the square of that. */
  pauseFromNodes: 10,
  viewPausePerNodeMs: 5,
  eventsPausePerNodeMs: 5,
  /** Events that come so soon after the last ones are told together: where everything crashes at once, one by one they would fill outboxes. */
  eventsPauseMs: 20,
  /** The same for nodes that join: each time everybody is told of all that have come meanwhile. */
  joinPausePerNodeMs: 1,
  /** The same for the rounds in which the FTM compares what is with what should be: a millisecond for so many nodes. */
  roundNodesPerMs: 10,
  /** Operator's stop: SIGTERM, then SIGKILL. */
  stopGraceMs: 10_000,
  /** A program seen in state T this long hangs: about a second, with the time until it was first seen so. */
  stoppedIsHungMs: 900,
  /** Pause between looks at the state of running programs: one at each ask of the daemon, and half as much later where none comes. */
  watchIntervalMs: 300,
  /** Pause between self-audits: what is wrong in state is to be found before much follows from it. Some local asks, so that they come together. */
  selfAuditMs: 2_000,
} as const;

/** Defaults of the restart policy of applications. */
export const restartDefaults = {
  /** Delay of the second restart in a row; the first is immediate. Doubles from here. */
  firstDelayMs: 100,
  delayCapMs: 30_000,
  /** Time up after which the count starts anew. */
  resetAfterMs: 10_000,
  /** This many restarts within the window is a crash loop. */
  crashLoopRestarts: 10,
  crashLoopWindowMs: 60_000,
} as const;

/** How often processes look whether what they have in the run-time folder is there yet. */
export const lookAtRunDirMs = 2_000;

/** @returns Milliseconds that something of this cost per node has to wait after the last time; 0 among few nodes. */
export function pauseAmongMany(nodes: number, perNodeMs: number): number {
  return nodes <= timing.pauseFromNodes ? 0 : Math.floor(nodes * perNodeMs);
}

invariant(limits.outboxMax > limits.sendsPerSegmentMax, "an outbox holds what one segment sends");
invariant(limits.windowMax < limits.outboxMax, "the window is smaller than the outbox");
invariant(timing.admissionMs > timing.plannedAbsenceMs, "user messages outlast a planned absence");
invariant(timing.nodeSuspectMisses < timing.nodeFailedMisses, "suspect comes before failed");
invariant(
  timing.heartbeatIntervalMs * (timing.nodeFailedMisses + 1) + timing.nodeConfirmMs < 2_500,
  "a node's failure is declared early enough for a move within 3 s",
);
