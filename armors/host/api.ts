/**
 * The daemon's HTTP API for operators and for other daemons. The same routes
 * over the Unix socket and over mutual TLS.
 *
 * @module
 */
import { ArmorError } from "../../core/errors.ts";
import type { DataRecord } from "../../core/data.ts";
import { type App, createApp, readJson } from "../../transports/http2_app.ts";
import type { FaultOrder } from "../fault_order.ts";
import { operations, type OperationAnswer } from "../elements/operator.ts";
import type { DeadLetterDocument } from "./dead_letter_collection.ts";
import type { ClusterDocument } from "../join_search.ts";
import type { EventStore, StoredEvent } from "./event_store.ts";
import { followLog } from "./log_reader.ts";

/** What the API needs of its daemon. */
export interface ApiOptions {
  readonly status: () => Record<string, unknown>;
  readonly cluster: () => ClusterDocument;
  readonly events: EventStore;
  readonly operate: (operation: string, args: DataRecord) => Promise<OperationAnswer>;
  /** Where an instance of an application is: `local` with its log, or a stream from another node. */
  readonly log: (application: string, instance: string | undefined) => LogPlace;
  /** Of this node alone, or of all nodes in reach. */
  readonly deadLetters: (armor: string | undefined, everywhere: boolean) => Promise<DeadLetterDocument>;
  readonly proxyLog: (node: string, path: string, signal: AbortSignal) => Promise<AsyncIterable<Uint8Array>>;
  /** Inject a fault here or on another node. @returns What was done, in words. */
  readonly inject: (order: FaultOrder) => Promise<string>;
}

/** Where a log is. */
export type LogPlace = { readonly kind: "local"; readonly path: string } | { readonly kind: "remote"; readonly node: string };

const statusOf: { readonly [code: string]: 400 | 409 | 503 | 504 } = { usage: 400, refused: 409, stale: 503, unknown: 504 };

/** The application with all routes. */
export function createApi(options: ApiOptions): App {
  const app = createApp();
  app.get("/v1/status", (context) => context.json(options.status()));
  app.get("/v1/cluster", (context) => context.json(options.cluster()));
  app.get("/v1/events", (context) => {
    const since = Number(context.req.query("since") ?? 0);
    if (!Number.isSafeInteger(since) || since < 0) throw new ArmorError("usage", "--since must be a number of an event");
    return ndjson(options.events, since, context.req.query("follow") === "1");
  });
  app.get("/v1/applications/:name/logs", async (context) => {
    const { name } = context.req.param();
    const { instance, follow, lines } = context.req.query();
    const place = options.log(name, instance);
    const abort = new AbortController();
    const source = place.kind === "local"
      ? followLog(place.path, { lines: lines === undefined ? undefined : Number(lines), follow: follow === "1", signal: abort.signal })
      : await options.proxyLog(place.node, new URL(context.req.url).pathname + new URL(context.req.url).search, abort.signal);
    return new Response(streamOf(source, () => abort.abort()), { headers: { "content-type": "text/plain; charset=utf-8" } });
  });
  app.get("/v1/dead-letters", async (context) => {
    const { armor, here } = context.req.query();
    return context.json(await options.deadLetters(armor, here !== "1"));
  });
  app.post("/v1/operations", async (context) => {
    const body = await readJson(context) as { operation?: unknown } & DataRecord;
    const { operation, ...args } = body;
    if (!operations.some((known) => known === operation)) throw new ArmorError("usage", `unknown operation ${JSON.stringify(operation)}`);
    const answer = await options.operate(String(operation), args);
    return context.json(answer, answer.ok ? 200 : statusOf[answer.code] ?? 409);
  });
  app.post("/v1/faults", async (context) => {
    const text = await options.inject(await readJson(context) as FaultOrder);
    return context.json({ ok: true, changed: true, text });
  });
  return app;
}

/** What `armor events --json` prints of an event. */
export function publicEvent(event: StoredEvent): Record<string, unknown> {
  const { seq, wallMs, boot, atMs, epoch, kind, subject, node, origin: _origin, completion: _completion, from, ...rest } = event;
  const at = new Date(typeof wallMs === "number" ? wallMs : 0).toISOString();
  return { seq, at, boot, atMs, epoch, kind, subject, node, ...(from !== null && from !== undefined && { from }), ...withoutNulls(rest) };
}

function withoutNulls(record: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== null));
}

function ndjson(events: EventStore, since: number, follow: boolean): Response {
  const encoder = new TextEncoder();
  const line = (event: StoredEvent): Uint8Array => encoder.encode(`${JSON.stringify(publicEvent(event))}\n`);
  let stop: (() => void) | undefined;
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      const before = events.since(since);
      for (const event of before) controller.enqueue(line(event));
      if (!follow) return controller.close();
      stop = events.follow((event) => {
        // A reader that does not read is dropped, or it would fill the memory.
        if ((controller.desiredSize ?? 0) < -10_000 - before.length) {
          stop?.();
          controller.error(new Error("reader too slow"));
        } else controller.enqueue(line(event));
      });
    },
    cancel: () => stop?.(),
  });
  return new Response(stream, { headers: { "content-type": "application/x-ndjson" } });
}

function streamOf(source: AsyncIterable<Uint8Array>, cancel: () => void): ReadableStream<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { value, done } = await iterator.next();
        if (done) controller.close();
        else controller.enqueue(value);
      } catch (error) {
        controller.error(error);
      }
    },
    cancel() {
      cancel();
      void iterator.return?.();
    },
  });
}
