/**
 * The HTTP application of a daemon: JSON errors, bounded bodies, no socket. Sole
 * importer of hono; the daemon registers its routes on what `createApp` returns.
 *
 * @module
 */
import { type Context, Hono } from "hono";
import { ArmorError } from "../core/errors.ts";

/** What a handler finds in `context.env`. */
export interface AppBindings {
  /** Common name of the peer's certificate; `undefined` over the Unix socket. */
  readonly peerName: string | undefined;
}

/** An application on which routes are registered: `app.get(path, (context) => context.json(…))`. */
export type App = Hono<{ Bindings: AppBindings }>;

/** One request as a handler sees it. */
export type AppContext = Context<{ Bindings: AppBindings }>;

/** Bytes of a request's body; a submission is far smaller. */
export const bodyBytesMax = 1024 * 1024;

/** Status of the codes that the operator's API answers with; any other code is ours to repair. */
const statusOfCode = { usage: 400, absent: 404, refused: 409, unknown: 504, stale: 503 } as const;

/**
 * An application without routes. Whatever fails is answered
 * `{ ok: false, code, error }`: an `ArmorError` thrown by a handler with its own
 * code, anything else as `internal` without its text.
 */
export function createApp(): App {
  const app: App = new Hono<{ Bindings: AppBindings }>();
  app.use(async (context, next) => {
    if (Number(context.req.header("content-length") ?? 0) > bodyBytesMax) return context.json(tooLong, 413);
    await next();
  });
  app.notFound((context) =>
    context.json({ ok: false, code: "usage", error: `Cannot find ${context.req.method} ${context.req.path}` }, 404)
  );
  app.onError((error, context) => {
    if (error instanceof BodyTooLong) return context.json(tooLong, 413);
    if (error instanceof ArmorError && Object.hasOwn(statusOfCode, error.code)) {
      const code = error.code as keyof typeof statusOfCode;
      return context.json({ ok: false, code, error: error.message }, statusOfCode[code]);
    }
    return context.json({ ok: false, code: "internal", error: "Cannot answer request: internal error" }, 500);
  });
  return app;
}

/**
 * The body of a request as JSON. Handlers read bodies only by this: Hono's own
 * limit rebuilds the request, which fails on Deno where the length is not announced.
 *
 * @throws {ArmorError} `"usage"` when it is not JSON.
 */
export async function readJson(context: AppContext): Promise<unknown> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of context.req.raw.body ?? []) {
    length += part.length;
    if (length > bodyBytesMax) throw new BodyTooLong();
    parts.push(part);
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString("utf8"));
  } catch (cause) {
    throw new ArmorError("usage", "Cannot read request: its body is not JSON", { cause });
  }
}

class BodyTooLong extends Error {}

const tooLong = { ok: false, code: "usage", error: `Cannot accept request: its body exceeds ${bodyBytesMax} bytes` } as const;
