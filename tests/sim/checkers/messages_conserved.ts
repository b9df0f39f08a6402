/**
 * What is put into an outbox is handled by its receiver under its own number, as
 * it was put there; its sender forgets it only then. What is neither handled
 * nor kept is answered, or named in doubt, in the same step; and so is, once
 * both ends have met, what a receiver had handled and has lost in a rewind.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { ChannelSnapshot, CommitRecord } from "../../../core/checkpoint.ts";
import { compareGenerations, type Generation, generationText } from "../../../core/generation.ts";
import type { Microkernel } from "../../../core/microkernel.ts";
import type { Lane } from "../../../core/message.ts";
import type { Checker, Fail, Life } from "./checker.ts";

/** A message that is in an outbox; `commit` put it there. */
type Waiting = { readonly text: string; readonly commit: number; handled: boolean };
/** Messages by number, of one lane to one armor. */
type Numbered = Map<number, Waiting>;
/** What one line of a sender's state has in its outboxes, by lane and receiver; with which generation of the receiver it has agreed, and what receivers have lost. */
type Line = { readonly outboxes: Map<string, Numbered>; readonly agreed: Map<string, string>; readonly lost: Map<string, Set<Waiting>> };
/** What a receiver's last line has handled, by its commits. */
type Receiver = { readonly generation: string; readonly handled: { readonly commit: number; readonly line: Line; readonly message: Waiting }[] };
/** All lines of one sender, and its messages by their bytes: what was acknowledged may wait again after a power cut. */
type Sender = { readonly lines: Map<string, Line>; readonly messages: Map<string, Waiting> };

const lanes: readonly Lane[] = ["system", "user"];
/** Words in the answer to a message that could not be delivered, and in an event that names what is in doubt. */
const explanations = ["armor.op-failed", "armor.rewound"];

/** Follows every message from its outbox to its handling. */
export function messagesConserved(fail: Fail): Checker {
  const senders = new Map<string, Sender>();
  /** By armor and node: an old copy on a node that returns is no rewind of the one that was placed elsewhere meanwhile. */
  const receivers = new Map<string, Map<string, Receiver>>();
  /** By armor, the latest generation in which it began anew. */
  const begun = new Map<string, Generation>();
  const copiesOf = (armor: string): Map<string, Receiver> => {
    let copies = receivers.get(armor);
    if (!copies) receivers.set(armor, copies = new Map());
    return copies;
  };
  const senderOf = (armor: string): Sender => {
    let sender = senders.get(armor);
    if (!sender) senders.set(armor, sender = { lines: new Map(), messages: new Map() });
    return sender;
  };
  const lineOf = ({ armor, generation }: Microkernel): { sender: Sender; line: Line } => {
    const sender = senderOf(armor);
    const name = generationText(generation);
    let line = sender.lines.get(name);
    if (!line) sender.lines.set(name, line = { outboxes: new Map(), agreed: new Map(), lost: new Map() });
    return { sender, line };
  };
  const numbered = ({ outboxes }: Line, lane: Lane, peer: string): Numbered => {
    const key = `${lane} ${peer}`;
    let found = outboxes.get(key);
    if (!found) outboxes.set(key, found = new Map());
    return found;
  };
  const waiting = ({ messages }: Sender, body: Uint8Array, commit: number): Waiting => {
    const text = textOf(body);
    let message = messages.get(text);
    if (!message) messages.set(text, message = { text, commit, handled: false });
    return message;
  };

  /** An outbox as a whole, after a commit. @returns How many messages are in it no more and were not handled. */
  const renumber = ({ sender, line }: { sender: Sender; line: Line }, { peer, outbox, outbound }: ChannelSnapshot, commit: number): number => {
    let gone = 0;
    if (outbound) line.agreed.set(peer, generationText(outbound));
    for (const lane of lanes) {
      const now: Numbered = new Map();
      for (const one of outbox) if (one.lane === lane) now.set(one.sequence, waiting(sender, one.body, commit));
      const kept = new Set(now.values());
      for (const message of numbered(line, lane, peer).values()) if (!message.handled && !kept.has(message)) gone += 1;
      line.outboxes.set(`${lane} ${peer}`, now);
      for (const message of kept) line.lost.get(peer)?.delete(message);
    }
    return gone;
  };

  /** What was put there by a commit that is lost has not left either. */
  const forgetAfter = ({ sender, line }: { sender: Sender; line: Line }, commit: number): void => {
    for (const outbox of line.outboxes.values()) {
      for (const [sequence, message] of outbox) {
        if (message.commit <= commit || message.handled) continue;
        outbox.delete(sequence);
        sender.messages.delete(message.text);
      }
    }
  };

  const commit = ({ kernel, node }: Life, commits: readonly CommitRecord[]): void => {
    const of = lineOf(kernel);
    const { sender, line } = of;
    for (const { commit: number, channels = [], acked = [], sent = [], forgotten = [] } of commits) {
      for (const channel of channels) {
        const { peer, outbound } = channel;
        const met = outbound !== undefined && [...copiesOf(peer).values()].some(({ generation }) => generation === generationText(outbound));
        const gone = renumber(of, channel, number) + (met ? line.lost.get(peer)?.size ?? 0 : 0);
        if (met) line.lost.delete(peer);
        if (gone > 0 && !commits.some(isExplained)) fail("messages conserved", `${gone} messages from ${kernel.armor} of ${node.name} to ${peer} are gone without a word`);
      }
      for (const { peer, acked: marks } of acked) {
        for (const lane of lanes) {
          const outbox = numbered(line, lane, peer);
          for (const [sequence, { handled }] of outbox) {
            if (sequence > marks[lane]) break;
            if (!handled) fail("messages conserved", `${kernel.armor} of ${node.name} forgets message ${lane} ${sequence} to ${peer}, which was not handled`);
            outbox.delete(sequence);
          }
        }
      }
      for (const { peer, lane, sequence, body } of sent) numbered(line, lane, peer).set(sequence, waiting(sender, body, number));
      for (const peer of forgotten) for (const lane of lanes) line.outboxes.delete(`${lane} ${peer}`);
    }
  };

  /** A life begins: what its line has handled after this commit is lost. */
  const receive = ({ armor, generation }: Microkernel, node: string, commit: number, follows: boolean): void => {
    const copies = copiesOf(armor);
    const before = copies.get(node);
    const kept = follows ? before?.handled.filter((one) => one.commit <= commit) ?? [] : [];
    copies.set(node, { generation: generationText(generation), handled: kept });
    if (!follows) {
      // One that begins anew by order has nothing in doubt: what came before it is over, also what an earlier line had lost.
      for (const { lines } of senders.values()) for (const { lost } of lines.values()) lost.delete(armor);
      const last = begun.get(armor);
      if (!last || compareGenerations(generation, last) > 0) begun.set(armor, generation);
      return;
    }
    // The same of an old copy on a node that returns later.
    if (before?.generation === generationText(generation) || compareGenerations(generation, begun.get(armor) ?? generation) < 0) return;
    for (const { commit: at, line, message } of before?.handled ?? []) {
      if (at > commit) line.lost.set(armor, (line.lost.get(armor) ?? new Set()).add(message));
    }
  };

  return {
    made: ({ kernel, node, follows }) => {
      const of = lineOf(kernel);
      // A node without a cluster has no past: nobody has heard of it.
      if (node.identity?.cluster === "") of.line.outboxes.clear();
      const { channels, commit: number } = kernel.snapshot();
      receive(kernel, node.name, follows ? number : 0, follows);
      forgetAfter(of, follows ? number : 0);
      if (!follows) return;
      for (const channel of channels) {
        // Under another generation they get their numbers when both ends agree.
        if (generationText(channel.numbered) !== generationText(kernel.generation)) continue;
        const gone = renumber(of, channel, number);
        if (gone > 0) fail("messages conserved", `${kernel.armor} of ${node.name} was restored without ${gone} messages to ${channel.peer}`);
      }
    },
    // A commit that a full disk did not take was none.
    died: ({ kernel, store }) => {
      if (store) forgetAfter(lineOf(kernel), store.taken);
    },
    stepped: (life, event, { commits }) => {
      if (commits.length === 0) return;
      if (event.kind === "frame" && event.frame.type === "data") {
        const { from, fromGeneration, lane, sequence, body } = event.frame;
        const record = commits.find(({ handled }) => handled?.some((one) => one.peer === from && one.lane === lane && one.sequence === sequence));
        if (record) {
          const { lines, messages } = senderOf(from);
          const message = messages.get(textOf(body));
          const line = lines.get(generationText(fromGeneration));
          // An FTM whose successor has begun may still take what was sent to itself.
          const agreed = line?.agreed.get(life.kernel.armor) === generationText(life.kernel.generation);
          const there = agreed ? line?.outboxes.get(`${lane} ${life.kernel.armor}`)?.get(sequence) : undefined;
          if (there && there !== message) fail("messages conserved", `${life.kernel.armor} of ${life.node.name} handles another message as ${lane} ${sequence} of ${from} than the one of this number`);
          if (message) message.handled = true;
          // Lost in a rewind and sent again, it has its effect again.
          if (message) line?.lost.get(life.kernel.armor)?.delete(message);
          if (message && line) copiesOf(life.kernel.armor).get(life.node.name)?.handled.push({ commit: record.commit, line, message });
        }
      }
      commit(life, commits);
    },
  };
}

function textOf(body: Uint8Array): string {
  return Buffer.from(body.buffer, body.byteOffset, body.length).toString("latin1");
}

function isExplained({ sent = [], continuations = {} }: CommitRecord): boolean {
  const inSent = sent.some(({ body }) => explanations.some((word) => Buffer.from(body.buffer, body.byteOffset, body.length).includes(word)));
  return inSent || Object.values(continuations).some((one) => explanations.some((word) => one && JSON.stringify(one.message).includes(word)));
}
