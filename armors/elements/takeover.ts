/**
 * Takeover: how a new FTM comes to be, the one code path for crash, hang, loss
 * of its node, first start and cold start. Whoever leads (the heartbeat armor; a
 * daemon where there is none) asks every daemon to promise a higher epoch,
 * takes the freshest copy of the application table from the answers, and has
 * one daemon install the FTM with it.
 *
 * Source of the idea: the prepare phase of Paxos; the leader's choice of the
 * freshest copy as in viewstamped replication's view change.
 *
 * @module
 */
import type { Data, DataRecord } from "../../core/data.ts";
import { type Element, element, type Thread } from "../../core/element.ts";
import { compareEpochs, type Epoch } from "../../core/generation.ts";
import { timing } from "../../core/limits.ts";
import { op } from "../../core/micro_operation.ts";
import type { Payload } from "../../core/payload.ts";
import { patienceMs } from "../../core/restart_policy.ts";
import { daemonOf, type NodeRegistration, type NodeReport, quorum, type TableCopy } from "../shapes.ts";
import type { FtmLocation, Vote } from "./epoch_promise.ts";
import type { LivenessChange } from "./liveness_poll.ts";
import type { InstallOrder } from "./local_armors.ts";
import { compareVersions, contains } from "./table_version.ts";

/** Payload field `takeover` of `takeover.begin`. */
export type TakeoverRequest = {
  /** Why, for the event. */
  readonly cause: string;
  /** Registered nodes that have not left. */
  readonly nodes: readonly string[];
  /** Highest epoch seen. */
  readonly seen: Epoch;
  /** Where the FTM was; empty: nowhere. */
  readonly from: string;
  /** Its own daemon testifies that this FTM's process is gone. */
  readonly gone: Epoch | null;
  /** Nodes held dead: not waited for, not chosen. */
  readonly dead: readonly string[];
  /** All nodes may be starting: wait longer for those that have not answered. */
  readonly patient: boolean;
  /** Nodes not to be chosen while there is another (a planned absence). */
  readonly avoid: readonly string[];
};

/** What the new FTM starts from; payload field `begin` of `ftm.begin`. */
export type FtmBegin = {
  readonly epoch: Epoch;
  readonly reports: readonly NodeReport[];
  readonly cause: string;
  readonly leader: string;
  /** Nodes the leader holds dead. */
  readonly dead: readonly string[];
  /** Nodes that are about to be absent. */
  readonly avoid: readonly string[];
  readonly durationMs: number;
};

type Attempt = {
  /** Names its poll: an answer to a life before this one says what was true then. */
  readonly round: string;
  readonly request: TakeoverRequest;
  readonly epoch: Epoch;
  readonly startedMs: number;
  /** Who would promise, and what they have promised already; asked before anyone does. */
  readonly polled: { readonly [node: string]: Vote };
  readonly preparing: boolean;
  readonly reports: { readonly [node: string]: NodeReport };
  readonly refused: { readonly [node: string]: Vote };
  readonly installed: boolean;
};

/** `next`: what is tried again after a pause. `installs`: orders to install an FTM since one was last heard of. */
type Volatile = { readonly attempt: Attempt | null; readonly next: TakeoverRequest | null; readonly tries: number; readonly installs: number };
type Leading = Thread<Volatile>;

/** Another daemon's look at a silent FTM may end a while after the leader's: so many polls, the pause doubling, until it is believed that it hears it. */
const pollsAtOnce = 5;
const pollAgainMs = 100;

/** @param node Node of the armor that leads. */
export function takeover(node: string): Element {
  const begin = (thread: Leading, request: TakeoverRequest): void => {
    const round = thread.random.bytes(8).toHex();
    const epoch = { number: request.seen.number + 1, node };
    const empty = { polled: {}, reports: {}, refused: {}, preparing: false, installed: false };
    const attempt: Attempt = { round, request, epoch, startedMs: thread.nowMs, ...empty };
    ask(thread, request.nodes, "epoch.poll", "takeover.polled", { gone: request.gone, round });
    thread.setVolatile({ ...thread.volatile, attempt, next: null, tries: thread.volatile.tries + 1 });
    thread.after("decide", request.patient ? timing.coldStartWaitMs : timing.takeoverGatherMs, "takeover.decide");
  };

  const ask = (thread: Leading, nodes: readonly string[], question: string, answer: string, payload: Payload): void => {
    for (const id of nodes) {
      thread.send({
        ops: [op(question, daemonOf(id)), op(answer, thread.self)],
        payload: { ...payload, node: id },
        lane: "system",
        deadlineMs: timing.takeoverRetryMs,
      });
    }
  };

  /** Enough would promise: ask them to, above everything that was ever promised to anybody who answered. */
  const prepare = (thread: Leading, attempt: Attempt): void => {
    const { request } = attempt;
    let seen = request.seen;
    for (const { epoch } of Object.values(attempt.polled)) if (compareEpochs(epoch, seen) > 0) seen = epoch;
    const epoch = { number: seen.number + 1, node };
    thread.setVolatile({ ...thread.volatile, attempt: { ...attempt, epoch, preparing: true } });
    ask(thread, request.nodes, "epoch.prepare", "takeover.promised", { epoch, gone: request.gone, avoid: request.avoid });
    thread.after("decide", timing.takeoverGatherMs, "takeover.decide");
  };

  const install = (thread: Leading, attempt: Attempt): void => {
    const { request, epoch } = attempt;
    const reports = Object.values(attempt.reports);
    const members = membersOf(reports);
    const target = choose(reports.filter((report) => members.includes(report.node)), request, node);
    const order: InstallOrder = {
      armor: "ftm",
      role: "ftm",
      placement: epoch.number,
      generation: { epoch: epoch.number, node: epoch.node, counter: 0 },
      begin: {
        epoch,
        reports: withFreshestTable(reports),
        cause: request.cause,
        leader: thread.self,
        dead: request.dead,
        avoid: request.avoid,
        durationMs: thread.nowMs - attempt.startedMs,
      } satisfies FtmBegin as unknown as DataRecord,
    };
    thread.send({
      ops: [op("epoch.guard", daemonOf(target)), op("armor.install", daemonOf(target))],
      payload: { epoch, install: order as unknown as Data },
      lane: "system",
      deadlineMs: timing.takeoverRetryMs,
    });
    const { installs } = thread.volatile;
    thread.setVolatile({ ...thread.volatile, attempt: { ...attempt, installed: true }, installs: installs + 1 });
    thread.after("decide", patienceMs(timing.takeoverRetryMs, installs, timing.takeoverRetryMsMax), "takeover.retry");
  };

  const retry = (thread: Leading, attempt: Attempt): void => {
    let seen = attempt.preparing ? attempt.epoch : attempt.request.seen;
    for (const { epoch } of [...Object.values(attempt.polled), ...Object.values(attempt.refused)]) if (compareEpochs(epoch, seen) > 0) seen = epoch;
    const heard = isHeard(attempt);
    const { tries } = thread.volatile;
    thread.setVolatile({ ...thread.volatile, attempt: null });
    // Others hear it, or one newer than the FTM that is gone: the poll begins again if it stays silent.
    if (heard && (attempt.request.gone !== null || tries % pollsAtOnce === 0)) return;
    const pauseMs = heard ? pollAgainMs * 2 ** (tries % pollsAtOnce - 1) : Math.min(250 * (tries + 1), 2_000) + thread.random.below(250);
    const reports = Object.values(attempt.reports);
    const nodes = [...new Set([...attempt.request.nodes, ...(reports.length > 0 ? membersOf(reports) : [])])];
    const next = { ...attempt.request, nodes, seen };
    thread.setVolatile({ ...thread.volatile, next });
    thread.after("decide", pauseMs, "takeover.begin", { takeover: next });
  };

  return element<DataRecord, Volatile>({
    name: "takeover",
    version: 1,
    state: {},
    volatile: () => ({ attempt: null, next: null, tries: 0, installs: 0 }),
    handlers: {
      "takeover.begin": (_state, thread) => {
        if (thread.volatile.attempt) return;
        begin(thread, thread.payload["takeover"] as TakeoverRequest);
      },
      "takeover.polled": (_state, thread) => {
        const { attempt } = thread.volatile;
        const { vote, round, node: voter } = thread.payload as unknown as { vote: Vote; round: string; node: string };
        if (!attempt || attempt.preparing || round !== attempt.round) return;
        const next = { ...attempt, polled: { ...attempt.polled, [voter]: vote } };
        thread.setVolatile({ ...thread.volatile, attempt: next });
        if (isOver(next, next.polled, isWilling(next) || isHeard(next))) thread.insert(op("takeover.decide"));
      },
      "takeover.promised": (_state, thread) => {
        const { attempt } = thread.volatile;
        const { vote, report, epoch, node: voter } = thread.payload as unknown as {
          vote: Vote;
          report?: NodeReport;
          epoch: Epoch;
          node: string;
        };
        // Before this life asked, an answer is to a life before it: the epoch it may have asked for by the same number is not the one it will.
        if (!attempt?.preparing || attempt.installed || compareEpochs(epoch, attempt.epoch) !== 0) return;
        const next = vote.promised
          ? { ...attempt, reports: withReport(attempt.reports, voter, report!) }
          : { ...attempt, refused: { ...attempt.refused, [voter]: vote } };
        thread.setVolatile({ ...thread.volatile, attempt: next });
        if (isOver(next, { ...next.reports, ...next.refused }, !vote.promised || isEnough(next, node))) thread.insert(op("takeover.decide"));
      },
      "takeover.decide": (_state, thread) => {
        const { attempt } = thread.volatile;
        if (!attempt || attempt.installed) return;
        if (!attempt.preparing) {
          if (isWilling(attempt) && !hasLivingFtm(attempt)) prepare(thread, attempt);
          else retry(thread, attempt);
        } else if (isEnough(attempt, node) && !hasLivingFtm(attempt)) install(thread, attempt);
        else retry(thread, attempt);
      },
      "takeover.retry": (_state, thread) => {
        if (thread.volatile.attempt) retry(thread, thread.volatile.attempt);
      },
      // Whoever hears the FTM again has no reason to replace it; promises that were asked for are not taken back.
      "liveness.changed": (_state, thread) => {
        const { attempt, next } = thread.volatile;
        const request = attempt?.request ?? next;
        const heard = (thread.payload["changes"] as LivenessChange[]).some(({ id, liveness }) => id === "ftm" && liveness === "alive");
        if (!heard || !request || request.gone !== null || attempt?.preparing) return;
        thread.cancel("decide");
        thread.setVolatile({ ...thread.volatile, attempt: null, next: null, tries: 0 });
      },
      "ftm.changed": (_state, thread) => {
        const { attempt } = thread.volatile;
        const ftm = thread.payload["ftm"] as FtmLocation;
        // Promises that were asked for are not taken back; before that, any FTM but the one that is gone will do.
        if (attempt?.preparing && compareEpochs(ftm.epoch, attempt.epoch) < 0) return;
        if (attempt?.request.gone && compareEpochs(ftm.epoch, attempt.request.gone) <= 0) return;
        thread.cancel("decide");
        thread.setVolatile({ attempt: null, next: null, tries: 0, installs: 0 });
      },
    },
  });
}

/** Whether to decide at once: all have answered; or all but those held dead, if that is `enough`. One held dead may be back, and the only one to know. */
function isOver({ request }: Attempt, answers: { readonly [node: string]: unknown }, enough: boolean): boolean {
  const silent = request.nodes.filter((id) => !(id in answers));
  return silent.length === 0 || (enough && silent.every((id) => request.dead.includes(id)));
}

/** Enough would promise. */
function isWilling({ request, polled }: Attempt): boolean {
  return Object.values(polled).filter(({ promised }) => promised).length >= quorum(request.nodes.length);
}

/** Somebody who answered hears the FTM. */
function isHeard({ polled, refused }: Attempt): boolean {
  return [...Object.values(polled), ...Object.values(refused)].some((vote) => !vote.promised && vote.because === "hears-ftm");
}

/** Of two nodes one is enough only as long as the other cannot be asked: there one voice says that there is an FTM. */
function hasLivingFtm(attempt: Attempt): boolean {
  return attempt.request.nodes.length === 2 && isHeard(attempt);
}

/**
 * Of the nodes the leader knows and of those the freshest table knows: a leader that was away may have missed some.
 * Of two nodes one is enough where the other is silent, not where it has promised more.
 * A copy that was lost in part does not count, unless there is nobody left who could know more.
 *
 * @param leader Node of the leader. Where one promise is enough it has to be its own daemon's: another leader of that node would come to the same epoch.
 */
function isEnough({ request, reports, refused }: Attempt, leader: string): boolean {
  const answered = Object.values(reports);
  if (answered.length <= Object.keys(refused).length || answered.length < quorum(request.nodes.length)) return false;
  const members = membersOf(answered);
  if (quorum(members.length) < 2 && !(leader in reports)) return false;
  const joining = new Set(joiningOf(answered));
  const whole = new Set(answered.filter(({ table }) => !table.lost).map(({ node }) => node));
  const hasQuorum = (ids: readonly string[]): boolean => ids.filter((id) => whole.has(id)).length >= quorum(ids.length);
  const decides = hasQuorum(members) && hasQuorum(members.filter((id) => !joining.has(id)));
  return decides || [...request.nodes, ...members].every((id) => id in reports);
}

/** Of the members, those that were taken in with others, and of whom not everybody who counts knows yet. */
function joiningOf(reports: readonly NodeReport[]): string[] {
  return Object.values(freshestTable(reports).entries).filter((entry) => (entry as NodeRegistration).joining === true).map((entry) => (entry as NodeRegistration).id);
}

/** Ids of the nodes that have not left, by the freshest table; those that answered where there is none yet, or all have left. */
function membersOf(reports: readonly NodeReport[]): string[] {
  const nodes = Object.entries(freshestTable(reports).entries).filter(([key]) => key.startsWith("node:"));
  const members = nodes.map(([, entry]) => entry as NodeRegistration).filter(({ left }) => !left).map(({ id }) => id);
  return members.length > 0 ? members : reports.map(({ node }) => node);
}

/** In place if the old node answered; otherwise away from the leader; never a dead or avoided one while there is another. */
function choose(reports: readonly NodeReport[], { from, dead, avoid }: TakeoverRequest, leader: string): string {
  const cost = (id: string): number =>
    (dead.includes(id) ? 8 : 0) + (avoid.includes(id) ? 4 : 0) + (id === from ? 0 : 1) + (id === leader && id !== from ? 1 : 0);
  return [...reports].map(({ node }) => node).sort((a, b) => cost(a) - cost(b) || (a < b ? -1 : 1))[0]!;
}

/** "Freshest" = highest (epoch of writing, sequence). */
function freshestTable(reports: readonly NodeReport[]): TableCopy {
  let freshest = reports[0]!.table;
  for (const { table } of reports) if (compareVersions(table.version, freshest.version) > 0) freshest = table;
  return freshest;
}

/** Of many copies of a large table only what is needed of them is kept. */
function withReport(reports: Attempt["reports"], voter: string, report: NodeReport): Attempt["reports"] {
  const all = Object.entries({ ...reports, [voter]: report });
  const needed = withFreshestTable(all.map(([, one]) => one));
  const isLost = (index: number): boolean => all[index]![1].table.lost === true;
  return Object.fromEntries(needed.map((one, index) => [all[index]![0], isLost(index) ? { ...one, table: { ...one.table, lost: true } } : one]));
}

/** Copies whose content the freshest has do not travel. */
function withFreshestTable(reports: readonly NodeReport[]): NodeReport[] {
  const freshest = freshestTable(reports);
  return reports.map((report) => {
    const { version, lineage } = report.table;
    const needed = report.table === freshest || !contains(freshest, version);
    return needed ? report : { ...report, table: { version, lineage, entries: {} } };
  });
}
