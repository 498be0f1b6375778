/** A transport of Connect that adds catalog, key, deadline, retries and typed errors. */
import { create, isMessage, type DescMessage, type DescMethodUnary, type Message } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import type { Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { fromConnect, SightlineError } from "./errors.js";

const ATTEMPTS = 5;
const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 1_000;

/** Values that every call of a client gets. */
export interface CallDefaults {
  /** URL of the gateway's HTTP server, without a path. */
  readonly address: string;
  /** Catalog of requests that name none. */
  readonly catalog: string;
  /** Milliseconds for a call with all its attempts; 0: no limit. */
  readonly timeoutMs: number;
  /** Headers that authenticate the caller. */
  readonly authenticate: () => Promise<Record<string, string>>;
}

/**
 * Tokens for retries, as in gRPC: a failed attempt costs one, a success returns a tenth, and calls are not retried
 * while half or less are left. It keeps clients from overloading a suite that is down.
 */
class RetryBudget {
  static readonly MOST = 400;
  private tokens = RetryBudget.MOST;

  succeeded(): void {
    this.tokens = Math.min(RetryBudget.MOST, this.tokens + 0.1);
  }

  /** Count a failed attempt. Return whether the call may be retried. */
  failed(): boolean {
    this.tokens = Math.max(0, this.tokens - 1);
    return this.tokens > RetryBudget.MOST / 2;
  }
}

/** Return the transport of a client. */
export function createTransport(defaults: CallDefaults): Transport {
  const inner = createConnectTransport({ baseUrl: defaults.address, useBinaryFormat: true });
  const budget = new RetryBudget();
  return {
    async unary(method, signal, timeoutMs, header, input, contextValues) {
      const message = withCatalog(method.input, create(method.input, input), defaults.catalog);
      const headers = new Headers(header);
      for (const [name, value] of Object.entries(await defaults.authenticate())) headers.set(name, value);
      const limit = timeoutMs ?? defaults.timeoutMs;
      const until = limit > 0 ? performance.now() + limit : Infinity;
      const attempts = isRepeatable(method) ? ATTEMPTS : 1;
      for (let attempt = 1; ; attempt++) {
        const left = until === Infinity ? 0 : Math.max(1, Math.ceil(until - performance.now()));
        try {
          const answer = await inner.unary(method, signal, left, headers, message, contextValues);
          budget.succeeded();
          return answer;
        } catch (thrown) {
          const error = fromConnect(thrown, defaults.address);
          const wait = Math.max(backoff(attempt), error.retryAfterMs ?? 0);
          const isWorthIt = isPassing(error) && budget.failed() && performance.now() + wait < until;
          if (signal?.aborted || attempt === attempts || !isWorthIt) throw error;
          await pause(wait, signal, error);
        }
      }
    },
    stream(method) {
      const message = `${method.name} is a stream, which pages cannot call: see watchJob`;
      return Promise.reject(new SightlineError({ code: "UNIMPLEMENTED", message }));
    },
  };
}

/** Return a request with the catalog, unless it, or the request within it, names one. The given message stays as it is. */
function withCatalog<T extends Message>(schema: DescMessage, message: T, catalog: string): T {
  const fields = message as T & { catalogId?: string; request?: unknown };
  const copied: typeof fields = Object.assign(create(schema), fields);
  if (fields.catalogId === "") copied.catalogId = catalog;
  const inner = schema.field["request"]?.message;
  if (inner && isMessage(fields.request, inner)) copied.request = withCatalog(inner, fields.request, catalog);
  return copied;
}

/** Return whether a call may be sent again, as the contract says. */
function isRepeatable(method: DescMethodUnary): boolean {
  return method.idempotency !== MethodOptions_IdempotencyLevel.IDEMPOTENCY_UNKNOWN;
}

/** Return whether another attempt may succeed; CANCELLED is what a gateway that shuts down answers. */
function isPassing(error: SightlineError): boolean {
  return error.code === "UNAVAILABLE" || error.code === "CANCELLED";
}

function backoff(attempt: number): number {
  return Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (attempt - 1)) * (0.8 + 0.4 * Math.random());
}

/** Wait; throw `error` if the caller aborts the call meanwhile. */
function pause(milliseconds: number, signal: AbortSignal | undefined, error: SightlineError): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", aborted);
      resolve();
    }, milliseconds);
    const aborted = (): void => {
      clearTimeout(timer);
      reject(error);
    };
    signal?.addEventListener("abort", aborted, { once: true });
  });
}
