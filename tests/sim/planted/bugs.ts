/**
 * Bugs that are planted to see that the checkers notice: each is a mistake that
 * somebody could make.
 *
 * @module
 */
import type { PlantedBug } from "./planted_bug.ts";

const channel = "core/reliable_channel.ts";
const inbox = "core/inbox.ts";
const outbox = "core/outbox.ts";
const microkernel = "core/microkernel.ts";
const host = "armors/host/armor_host.ts";
const instances = "armors/elements/instances.ts";
const programs = "armors/host/program_host.ts";

/** All of them; the table in docs/PROOF.md has the same names. */
export const plantedBugs: readonly PlantedBug[] = [
  {
    name: "acknowledged before the commit",
    changes: [{
      file: host,
      text: "    const { store, durability } = this.surroundings;\n",
      planted: "    const { store, durability } = this.surroundings;\n    for (const frame of effects.acks) this.surroundings.send(frame);\n",
    }],
    rule: "effects order",
    within: 4,
    nodes: 1,
    kinds: [],
  },
  {
    name: "promise not synced",
    changes: [{ file: host, text: '      if (durability === "disk") this.#syncing ||= this.#beginSync(store);\n', planted: "" }],
    rule: "effects order",
    within: 4,
    nodes: 1,
    kinds: [],
  },
  {
    name: "duplicates handled again",
    changes: [
      { file: inbox, text: "if (sequence !== this.#marks[lane] + 1) {", planted: "if (sequence > this.#marks[lane] + 1) {" },
      { file: inbox, text: "    invariant(sequence === this.#marks[lane] + 1, `message ${sequence} handled out of order`);\n    this.#marks[lane] = sequence;", planted: "    this.#marks[lane] = Math.max(this.#marks[lane], sequence);" },
    ],
    rule: "messages once",
    within: 4,
    nodes: 2,
    kinds: ["break-links", "frames"],
  },
  {
    name: "sent again under a new number",
    changes: [{
      file: outbox,
      text: "  again(): void {\n    this.#cursor = 0;",
      planted: "  again(): void {\n    this.#cursor = 0;\n    for (const entry of this.#waiting) entry.sequence = this.#next++;",
    }],
    rule: "messages once",
    within: 4,
    nodes: 2,
    kinds: ["break-links", "frames"],
  },
  {
    name: "generation not checked",
    changes: [{ file: channel, text: "    if (!this.#rewoundAt && compareGenerations(saved.numbered, generation) !== 0) {\n", planted: "    if (false) {\n" }],
    rule: "messages conserved",
    within: 8,
    nodes: 2,
    kinds: ["power-cut"],
    pauseMs: 1_500,
  },
  {
    name: "outbox not restored",
    changes: [{ file: outbox, text: "of saved.waiting) {", planted: "of [] as typeof saved.waiting) {" }],
    rule: "messages conserved",
    within: 8,
    nodes: 2,
    kinds: ["crash-armor", "isolate"],
  },
  {
    name: "rewind not told",
    changes: [{ file: microkernel, text: '    if (received.kind === "rewound") {\n', planted: "    if (false) {\n" }],
    rule: "messages conserved",
    within: 6,
    nodes: 3,
    kinds: ["power-cut"],
  },
  {
    name: "removed property stays in the log",
    changes: [{ file: "core/live_elements.ts", text: "      if (changes.unset.length > 0) unset[name] = changes.unset;\n", planted: "" }],
    rule: "restored equals committed",
    within: 4,
    nodes: 1,
    kinds: ["crash-armor"],
  },
  {
    name: "torn tail not cut",
    // Nearly every torn tail has a snapshot after it, and nothing is appended to it then: planted without that.
    changes: [
      { file: "armors/host/checkpoint_file.ts", text: "      this.files.ftruncateSync(descriptor, log.bytes);\n      if (read", planted: "      if (read" },
      { file: "armors/host/checkpoint_file.ts", text: "      if (unsynced) this.#block(", planted: "      if (!reached) this.#block(" },
      { file: "armors/host/daemon_state.ts", text: "!complete || restored.unsynced", planted: "!complete" },
    ],
    rule: "restored equals committed",
    within: 12,
    nodes: 1,
    kinds: ["power-cut", "slow-disk", "crash-daemon"],
    pauseMs: 250,
  },
  {
    name: "lost tail taken for complete",
    changes: [{ file: "armors/host/restored_generation.ts", text: "complete && !unsynced ? saved :", planted: "complete ? saved :" }],
    rule: "lines forward",
    within: 6,
    nodes: 2,
    kinds: ["power-cut"],
  },
  {
    name: "stale epoch obeyed",
    // An FTM of an older epoch has an older generation too: channels refuse most of what it says.
    changes: [
      { file: "armors/elements/epoch_promise.ts", text: "        if (compareEpochs(epoch, state.promised) < 0) {\n          throw", planted: "        if (false) {\n          throw" },
      { file: channel, text: "    if (this.#isOlder(frame.fromGeneration)) return nothing;\n", planted: "" },
    ],
    rule: "promises kept",
    within: 24,
    nodes: 3,
    kinds: ["one-way", "pause-armor", "isolate"],
    pauseMs: 500,
  },
  {
    name: "promise not stored",
    changes: [{ file: "armors/elements/epoch_promise.ts", text: "        return { ...state, promised: epoch };\n      },\n", planted: "        return state;\n      },\n" }],
    rule: "takeover by majority",
    within: 4,
    nodes: 3,
    kinds: ["crash-ftm"],
  },
  {
    name: "FTM started again in its epoch",
    // One that is started with nothing to begin from would end.
    changes: [
      { file: "armors/elements/local_armors.ts", text: '    if (armor === "ftm") {\n      thread.payload["gone"]', planted: '    if (armor === "") {\n      thread.payload["gone"]' },
      { file: "armors/host/armor_kind.ts", text: "needsBegin: true", planted: "needsBegin: false" },
    ],
    rule: "one FTM per epoch",
    within: 4,
    nodes: 1,
    kinds: ["crash-ftm"],
  },
  {
    name: "takeover without a majority",
    changes: [
      { file: "armors/elements/takeover.ts", text: "promised).length >= quorum(request.nodes.length);", planted: "promised).length >= 1;" },
      { file: "armors/elements/takeover.ts", text: "  if (answered.length <= Object.keys(refused).length", planted: "  if (answered.length > 0) return true;\n  if (answered.length <= Object.keys(refused).length" },
    ],
    rule: "takeover by majority",
    within: 4,
    nodes: 3,
    kinds: ["isolate"],
  },
  {
    name: "failed without a majority",
    changes: [{ file: "armors/elements/registration.ts", text: "        if (!hasMajority([...thread.volatile.nodes.values()], accused)) return;\n", planted: "" }],
    rule: "majority decides",
    within: 4,
    nodes: 3,
    kinds: ["isolate"],
  },
  {
    name: "acknowledged before enough have stored it",
    changes: [{ file: "armors/elements/application_table.ts", text: "  if (ids.includes(own) && !have.includes(own)) return false;\n", planted: "  if (have.length >= 0) return true;\n" }],
    rule: "acknowledged stored",
    within: 4,
    nodes: 3,
    kinds: [],
  },
  {
    name: "ordered before enough have stored it",
    changes: [{ file: "armors/elements/application_table.ts", text: 'thread.payload["settled"] = settled && settled.entries;', planted: 'thread.payload["settled"] = tableEntries(_state);' }],
    rule: "orders stored",
    within: 4,
    nodes: 3,
    kinds: [],
  },
  {
    name: "placement before reports",
    changes: [{ file: "armors/elements/placement.ts", text: "  if (silent.length > 0) return;\n", planted: "" }],
    rule: "placement waits",
    within: 4,
    nodes: 3,
    kinds: ["crash-ftm"],
  },
  {
    name: "launched after a reboot without an order",
    changes: [{
      file: instances,
      text: '        tell(thread);\n        return put(state, instance.order.id, { ...instance, state: "pending", process: null });\n',
      planted: "        tell(thread);\n        return put(state, instance.order.id, launch(thread, instance));\n",
    }],
    rule: "launches ordered",
    within: 4,
    nodes: 2,
    kinds: ["power-cut"],
  },
  {
    name: "launch record skipped",
    changes: [
      {
        file: programs,
        text: '    local("program.started", { id, launch: number, process: record.program });\n    watch(args, record.program, local, true);\n',
        planted: '    local("program.exited", { id, launch: number, status: 127, reason: "it is not a child" });\n',
      },
      { file: programs, text: "const running = runningLaunch(system, id);", planted: "const running = undefined as number | undefined;" },
    ],
    rule: "instance once",
    within: 4,
    nodes: 1,
    kinds: ["crash-armor"],
  },
  {
    name: "hung program replaced while it lives",
    changes: [
      {
        file: instances,
        text: '        thread.command({ kind: "program.kill", args: { id, launch: instance.launch } });\n        if',
        planted: "        return put(state, id, launch(thread, instance));\n        if",
      },
      { file: programs, text: "const running = runningLaunch(system, id);", planted: "const running = undefined as number | undefined;" },
    ],
    rule: "instance once",
    within: 4,
    nodes: 1,
    kinds: ["hang-program"],
  },
  {
    name: "completion lost on adoption",
    changes: [{
      file: programs,
      text: 'local("program.exited", { id, launch: number, status, unknown: status === null, adopted: foundDead,',
      planted: 'local("program.exited", { id, launch: number, status: adopted ? null : status, unknown: adopted || status === null, adopted: foundDead,',
    }],
    rule: "completed once",
    within: 8,
    nodes: 1,
    kinds: ["crash-armor"],
    pauseMs: 1_000,
    programs: ["job"],
  },
  {
    name: "hung armor taken for gone",
    changes: [
      { file: "armors/host/armor_processes.ts", text: "      await this.#endOlder(role, armor, before);\n", planted: "" },
      { file: "armors/host/armor_processes.ts", text: "    void this.system.killAndConfirm(identity, \"SIGKILL\", killWithinMs).then(() => {\n      const tracked = this.#tracked.get(armor);\n      if (!tracked?.child) ", planted: "    void Promise.resolve().then(() => {\n      " },
    ],
    rule: "gone before replaced",
    within: 4,
    nodes: 1,
    kinds: ["hang-armor"],
  },
  {
    name: "poison counted as corruption",
    changes: [{ file: "armors/host/hand_record.ts", text: "    const culprit = ours ? undefined : last.hand ?? last.work;\n", planted: "    const culprit = undefined as { id: string } | undefined;\n" },
      { file: "armors/host/hand_record.ts", text: "bad: ours || own ? last.bad + weight : 0 };", planted: "bad: last.bad + weight };" }],
    rule: "state never bad",
    within: 4,
    nodes: 2,
    kinds: ["poison"],
  },
  {
    name: "event number given twice",
    changes: [{ file: "armors/elements/event_numbering.ts", text: "next: next + events.length,", planted: "next," }],
    rule: "events numbered",
    within: 4,
    nodes: 1,
    kinds: [],
  },
  {
    name: "heartbeats counted in durable state",
    changes: [{
      file: "armors/elements/heartbeat_reply.ts",
      text: '        thread.command({ kind: "heartbeat.reply", args: { to: from, nonce, path, ...next } });\n',
      planted: '        thread.command({ kind: "heartbeat.reply", args: { to: from, nonce, path, ...next } });\n        return { last: nonce } as never;\n',
    }],
    rule: "idle writes nothing",
    within: 4,
    nodes: 1,
    kinds: [],
  },
  {
    name: "stop order lost",
    changes: [{ file: instances, text: '    if (instance.state !== "stopping") thread.command({ kind: "program.stop", args });\n', planted: "" }],
    rule: "not converged",
    within: 4,
    nodes: 1,
    kinds: [],
  },
  {
    name: "signature of heartbeats not looked at",
    changes: [{ file: "transports/heartbeat_datagram.ts", text: "  if (!timingSafeEqual(mac, view.subarray(end))) return undefined;\n", planted: "" }],
    rule: "altered datagrams",
    within: 4,
    nodes: 2,
    kinds: ["datagrams"],
  },
  {
    name: "another cluster let in",
    changes: [{ file: "armors/host/peer_admission.ts", text: "    if (greeting.cluster !== cluster()) {\n", planted: "    if (false) {\n" }],
    rule: "strangers",
    within: 4,
    nodes: 2,
    kinds: ["stranger"],
  },
  {
    name: "heartbeats without the secret heard",
    changes: [{ file: "transports/heartbeat_datagram.ts", text: "  if (!timingSafeEqual(mac, view.subarray(end))) return undefined;\n", planted: "" }],
    rule: "strangers",
    within: 4,
    nodes: 2,
    kinds: ["stranger"],
  },
];
