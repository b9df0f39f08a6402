/**
 * Seeds that once broke a rule, and what was wrong. A seed is a function of the
 * commit, so the wrong is told in words as well; where it could be told apart
 * in one armor, a test of that armor keeps it too.
 *
 * @module
 */

/** One finding. */
export interface Scenario {
  readonly seed: number;
  readonly nodes?: number;
  /** Kinds of faults, where they are not what the seed chooses. */
  readonly kinds?: readonly string[];
  /** Milliseconds between two faults, roughly and on average, where that is not what the seed chooses: `--pause`. */
  readonly pause?: number;
  /** What happened, and what was wrong. */
  readonly found: string;
}

/** Oldest first. */
export const scenarios: readonly Scenario[] = [
  { seed: 20, found: "a power loss took an execution armor's unsynced log; it went on in the same generation and numbered other messages as those before" },
  { seed: 73, found: "a heartbeat armor stayed on a node that was out of reach when another was placed; the later placement did not end it" },
  { seed: 2, found: "a daemon found its old FTM dead after a reboot and polled for votes for ever beside the new one" },
  { seed: 178, found: "a heartbeat armor was stopped in two careful lives with nothing in hand; it was said to have hung by its own doing, and was given up" },
  { seed: 137, found: "a node left while a submission was being stored; it was acknowledged when one of the two nodes had it and the leaving was stored nowhere" },
  { seed: 172, found: "nothing in the armors: an own armor's old copy went on for a while on a node that had returned, and the checker took it for a rewind of the new one" },
  { seed: 159, found: "nothing in the armors: a guard that hung while it waited for the lock of its node was left so when faults ended" },
  { seed: 187, found: "a daemon that had just started missed the FTM, heard it again and asked for votes for a quarter of a minute all the same" },
  { seed: 35, found: "a replaced element was acknowledged, lost by its armor in a loss of power, and an older replacement told once more; see tests/armors/elements_align_test.ts" },
  { seed: 354, found: "a node that returned heard an FTM of an older epoch first, asked there to be taken back, and was refused by nobody and taken by nobody" },
  { seed: 381, found: "an FTM that had a successor and did not know it answered that an application had to be changed in nothing; the successor had removed it" },
  { seed: 358, found: "an armor spoke in a new generation before that was on its daemon's disk; after the next loss of power it was used once more, with other messages under the same numbers" },
  { seed: 390, found: "a message turned round at its deadline and left its number to the next; a loss of power made its sender forget that, and take the one for the other when it was handled" },
  { seed: 70, found: "rewinds counted into the generations of later placements of the heartbeat armor" },
  { seed: 32, found: "a launch under a used number, stopped before the host said so, stayed in state stopping for ever" },
  { seed: 44, found: "the connection to the FTM's own node closed; the FTM had that node probed once a second for ever, for it never polls it itself" },
  { seed: 560, found: "a daemon stopped by SIGTERM while the FTM was away; the answer to its farewell came to its successor, which ended" },
  { seed: 17, found: "a node that had left was started again when the FTM had moved; it asked at the old place for ever, and nobody told it" },
  { seed: 643, found: "a daemon crashed while its node ended; its successor joined again, was hit by the order to end and left a failed member behind; later: a manager alone on a node that was to leave told nobody of a job's completion" },
  { seed: 624, found: "a node that was to leave got the FTM when no other was up; nobody took the FTM over later, and it drained for ever" },
  { seed: 661, found: "a slow way and a closed connection: the FTM called a node failed of which it had missed no reply, and nothing called it alive again" },
  { seed: 57, found: "a refused stop stayed in a daemon's outbox without its deadline; after a power cut the next FTM stopped what had been submitted since" },
  { seed: 726, found: "a shim was stopped before it had started its program and its execution armor died; the next one waited for the program for ever" },
  { seed: 92, found: "a node lost power between hearing of its cluster and being registered there; it never asked again" },
  { seed: 7, nodes: 2, found: "an application was submitted again on one of two nodes that were apart; the removal before it, which both had, counted for more on the other" },
  { seed: 14, found: "a daemon whose power was cut before its FTM was registered durably found it dead, and started it again in its epoch while a takeover went on" },
  { seed: 10, found: "two nodes that did not hear each other came to the same epoch number, and their FTMs gave the same number to two events" },
  { seed: 13, found: "after a power cut a program whose end was on record, or that was to be restarted just then, started again before an FTM had ordered anything" },
  { seed: 174, found: "a node left while another was away as planned: its leaving could not be stored in time, and nobody said so again; see tests/sim/leaving_test.ts" },
  { seed: 3, nodes: 3, kinds: ["poison"], found: "an execution armor died of looking for a program as soon as it had begun to anew; its start was accused of it, and after twelve deaths the armor was given up" },
  { seed: 107, found: "a node was told once more to leave while its leaving was being stored: the table took it back, and it left by a majority that counted it" },
  { seed: 28, found: "nothing in the armors: what a rewound armor had lost was sent again and handled, and the checker missed it all the same" },
  { seed: 109, found: "two nodes were apart and both changed an armor of one's own; the FTM after that began with both tables, and did not name what gave way" },
  { seed: 36, found: "a submission was tried again under a new FTM: the first try was refused, the second, for which a node had joined, was not; its operator was told no" },
  { seed: 158, found: "nothing in the armors: a node that had left returned between a change and its answer, and the checker counted it" },
  { seed: 200, found: "nothing in the armors: an old copy of a heartbeat armor returned with its node and was rewound there, and the checker missed that of the one placed since" },
  { seed: 24, found: "nothing in the armors: a node slept between a takeover and the start of its FTM, and the checker wanted that to know what a higher epoch had acknowledged" },
  { seed: 248, found: "the table of a node that was away was taken in while an operator's request was stored, and the answer was of before that: an application that had been removed there was said to run" },
  { seed: 225, found: "nothing in the armors: one of two nodes that were apart still had an armor of one's own that the other had removed, and said that nothing had to be installed" },
  { seed: 10206, pause: 100, found: "a daemon that had lost its log refused the execution armor; each refusal counted as one more death by its own doing, and it was given up" },
  { seed: 10259, pause: 100, found: "a slow commit ordered two starts of a heartbeat armor at once; both found nothing to end, and two lived; see tests/host/armor_processes_test.ts" },
  { seed: 10500, pause: 100, found: "a crash loop was no longer one when its pauses filled no window; an FTM that began then did not move the program to a node that had joined" },
  { seed: 10138, pause: 100, found: "nothing in the armors: a generation in which nothing had been said was lost with its files in a power cut, and the checker missed it" },
  { seed: 10941, pause: 100, found: "nothing in the armors: a simulated write that a full disk took in part went on at the beginning of its file" },
  { seed: 10304, pause: 100, found: "nothing in the armors: a commit that a full disk had refused was counted, by checkers, as one that had been" },
  { seed: 11036, pause: 100, found: "nothing in the armors: as 10304" },
  { seed: 10858, pause: 100, found: "a node had lost its table and held the only other one dead; it decided before that had answered, again and again; see tests/armors/takeover_lost_table_test.ts" },
  { seed: 10424, pause: 100, found: "a daemon with a damaged log did what that said it was about to do, in an epoch that it had refused since; see tests/host/node_memory_test.ts" },
  { seed: 16, found: "nothing in the armors: a snapshot had replaced a log that was not synced, and the simulated disk still waited for that" },
  { seed: 11270, pause: 100, found: "an execution armor had lost everything, and ran a job again that had been run as its launch record showed; see tests/host/program_host_test.ts" },
  { seed: 12006, pause: 100, found: "nothing in the armors: a job that could not be started again after a power cut was held failed, and the checker saw the record of the life before" },
  { seed: 12386, pause: 100, found: "nothing in the armors: a guard hung just before its daemon left for good; a hung process that nobody watches stays" },
  { seed: 11854, pause: 100, found: "promises to a leader's life before counted for a later epoch; and an armor that was wanted again while it was being removed used its generation twice; see tests/armors/recovery_test.ts" },
  { seed: 13028, pause: 100, found: "a daemon kept a second note of a promise before the first was synced; after a power cut its table looked damaged, counted in no majority, and no FTM could begin" },
  { seed: 13372, pause: 100, found: "a daemon was stopped before it heard that its FTM was gone with the power; it noticed first that it had not registered, and started it again in its epoch" },
  { seed: 14253, pause: 100, found: "as 11153, where the armor had lost only a part" },
  { seed: 21090, pause: 100, found: "nothing in the armors: a daemon ended by itself on a full disk just as faults ended, and its guard hung; nobody was left to wake either" },
  { seed: 50069, found: "an execution armor that had lost the end of its log took the record of a later launch under the same number for its own, and ran a completed job again" },
  { seed: 14494, pause: 100, found: "an FTM had not got the answer with what it begins from when its daemon died; the next daemon's had nothing, and it ordered things in epoch 0" },
  { seed: 50213, found: "two nodes were apart and one of them took in a third; the other's FTM learnt of it with that table, and did not count it, watch it or greet it for seconds" },
  { seed: 14709, pause: 100, found: "nothing in the armors: a probe had lapsed in a careful daemon and its thread had not run yet; the checker looked for that on the disk" },
  { seed: 10462, pause: 100, found: "a node had lost its table and held the only other one dead; it decided before that had answered, again and again, and each time ended the FTM there; later: one whose log was cut started a program while that of a later launch ran" },
  { seed: 11153, pause: 100, found: "the same with nothing on record, which nobody can know: the checker excuses it; later: the same without damage, where the shim had been killed" },
  { seed: 12076, pause: 100, found: "nothing in the armors: a node that knew of one other, and of one that had left, acted alone; the checker counted that one too" },
  { seed: 80123, pause: 100, found: "an armor of one's own was wanted again while its removal was on its way, died then, and was ordered in the generation that its node had forgotten by the time it heard of it" },
  { seed: 90097, found: "an armor of one's own had lost all its files in a power cut, without a trace, and began anew without a word" },
  { seed: 90770, found: "everything crashed again and again on eight nodes, and the FTM told each event alone: its outbox to a daemon that was away grew beyond what is usual" },
  { seed: 143, found: "an operator's request was refused, its daemon died before it had the acknowledgement in a commit, and asked the next FTM again, which carried it out; see tests/host/effects_order_test.ts" },
  { seed: 126, found: "a daemon whose FTM was gone took the answer to a poll of its life before for one to its own, and let the takeover be for ever; see tests/armors/takeover_test.ts" },
  { seed: 100024, pause: 100, found: "an operator's request was hours late by the clock and in time by that of a later boot, and was carried out after those that had been acknowledged meanwhile; see tests/core/delivery_test.ts" },
  { seed: 100209, pause: 100, found: "a daemon whose machine had slept killed armors for not having registered that it had just started; twice, and one of one's own was held for bad and given up" },
  { seed: 100284, pause: 100, found: "a program was refused for a moment by the only node that has it; told again by a restarted execution armor that counted as one more refusal, and it was tried on the others for minutes" },
  { seed: 100310, pause: 100, found: "daemons that died again and again without an FTM had each sent their events in each life, and all of them waited together in the next one" },
  { seed: 101475, pause: 100, found: "an FTM hung while its daemon lost its checkpoints, and stayed: nobody knew of it any more" },
  { seed: 201418, found: "what an FTM said to a heartbeat armor reached another copy of it, which was just being removed; the one that stayed polled the FTM before for ever" },
  { seed: 201056, found: "nothing in the armors: one of two nodes that were apart had removed an armor of one's own that the other had changed; an event named what gave way, and the checker did not look" },
  { seed: 201925, found: "of two heartbeat armors the one placed later by number stayed, in the older generation of the other side's FTM, whom nobody listened to" },
  { seed: 110012, pause: 100, found: "nothing in the armors: a job that had been refused was tried again while all was to be quiet" },
  { seed: 101708, pause: 100, found: "a node of two had announced an absence and then lost its data; in its new identity it was kept waiting until the absence of the old one was over" },
  { seed: 110490, pause: 100, found: "a node that had been taken out was started again, could not reach the only other one it knew for a second, and acted alone, while the cluster went on elsewhere" },
  { seed: 120326, pause: 100, found: "a daemon found its FTM gone and died before it had asked for another; its next life knew of no FTM here and of none that was gone" },
  { seed: 130998, pause: 100, found: "a log was cut, and before the next start a power cut left the mark that would have shown it half written; the log looked whole, and its generation was used again" },
  { seed: 131186, pause: 100, found: "of two nodes that were apart one had done a request without being able to say so; the FTM of the other got both tries and refused both, and the operator was told no" },
  { seed: 220458, found: "two FTMs of one epoch number gave two events one number: one did not know a node that had joined last, and counted the nodes otherwise" },
  { seed: 411452725, found: "an FTM ordered a restart before enough nodes had it; its successor, which did not know it, carried out the same request, and a job ran twice" },
  { seed: 62, found: "a daemon told of a new placement of the heartbeat armor with the generation of the one before; another copy counted as later, and the new one was ended" },
  { seed: 130759, pause: 100, found: "nothing in the armors: the other of two nodes had failed when a change was stored and was back when it was acknowledged" },
  { seed: 131094, pause: 100, found: "nothing in the armors: a daemon had elected itself and lost that in a power cut before anything left it" },
  { seed: 130958, pause: 100, found: "an FTM had heard a heartbeat armor that went with its node, and did not listen to the older one that stayed" },
  { seed: 131437, pause: 100, found: "the same with daemons in its place: the heartbeat armor could not lead the takeover for which the FTM asked it" },
  { seed: 131581, pause: 100, found: "reports of completed jobs that had waited came all at once, and each instance in each of them was a message of its own" },
  { seed: 250102, found: "a node left while nobody knew whether the only other one lived; that had lost its disk, and nobody could lead any more" },
  { seed: 150227, pause: 100, found: "the same" },
  { seed: 250227, found: "a heartbeat armor was ordered elsewhere and told to end where it was, which was still on its way when that node reported it; it was to begin again in the generation that its daemon had forgotten by then" },
  { seed: 250454, found: "nothing in the armors: a change was stored by enough of those that were left when a node had gone; the checker counted that one" },
  { seed: 150343, pause: 100, found: "a daemon died before it had ended the heartbeat armor that it had been told to remove; that one hung, and stayed" },
];
