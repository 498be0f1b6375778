/** Errors of calls and of items of batches. */
import { fromBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { ADVICE } from "./gen/advice.js";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import type { Status } from "./gen/google/rpc/status_pb.js";

/** Names by number, from 1: numbers are those of gRPC and of Connect's `Code`. */
const CODES = [
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
] as const;

/** Name of a gRPC status code other than OK. */
export type ErrorCode = (typeof CODES)[number];

/** Reason of the client: no server answers at the address. */
export const GATEWAY_UNREACHABLE = "GATEWAY_UNREACHABLE";

const OWN_ADVICE: Readonly<Record<string, string>> = {
  [GATEWAY_UNREACHABLE]:
    "check the address and that the gateway's HTTP server runs; for a page, that GATEWAY_HTTP_ORIGINS names its origin",
};

/** Error of one field of a request. */
export interface FieldViolation {
  /** Path of the field, such as "filter.all.filters[1].comparison.field". */
  readonly field: string;
  /** What is wrong, and what would be right. */
  readonly description: string;
}

/** The facts of a failure. */
export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly reason?: string;
  readonly fields?: readonly FieldViolation[];
  readonly retryAfterMs?: number | undefined;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly requestId?: string;
  readonly cause?: unknown;
}

/** A failed call, or a failed item of a batch. */
export class SightlineError extends Error {
  override readonly name = "SightlineError";
  /** gRPC status code. */
  readonly code: ErrorCode;
  /** Machine-readable reason, such as "IMAGE_UNDECODABLE"; "" if the server gave none. Decide by it. */
  readonly reason: string;
  /** Invalid fields of the request. */
  readonly fields: readonly FieldViolation[];
  /** Milliseconds before a retry; undefined if the server named no delay. */
  readonly retryAfterMs: number | undefined;
  /** Further facts by name. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Id of the request in the suite's logs; "" if there was no answer. */
  readonly requestId: string;

  constructor(failure: Failure) {
    super(failure.message, failure.cause === undefined ? {} : { cause: failure.cause });
    this.code = failure.code;
    this.reason = failure.reason ?? "";
    this.fields = failure.fields ?? [];
    this.retryAfterMs = failure.retryAfterMs;
    this.metadata = failure.metadata ?? {};
    this.requestId = failure.requestId ?? "";
  }

  /** What to do about the reason, in English; "" if nothing is known. */
  get whatToDo(): string {
    const reason = this.reason || this.code;
    return OWN_ADVICE[reason] ?? ADVICE[reason] ?? "";
  }
}

/** A detail of a status: the full name of its message, and its bytes. */
interface Detail {
  readonly type: string;
  readonly value: Uint8Array;
}

/** Read the details of google.rpc. Those that cannot be read are omitted. */
function readDetails(details: Iterable<Detail>): Pick<Failure, "reason" | "fields" | "retryAfterMs" | "metadata"> {
  let reason = "";
  let metadata: Record<string, string> = {};
  let retryAfterMs: number | undefined;
  const fields: FieldViolation[] = [];
  for (const { type, value } of details) {
    try {
      if (type === ErrorInfoSchema.typeName) {
        ({ reason, metadata } = fromBinary(ErrorInfoSchema, value));
      } else if (type === BadRequestSchema.typeName) {
        for (const each of fromBinary(BadRequestSchema, value).fieldViolations) {
          fields.push({ field: each.field, description: each.description });
        }
      } else if (type === RetryInfoSchema.typeName) {
        const delay = fromBinary(RetryInfoSchema, value).retryDelay;
        if (delay) retryAfterMs = Number(delay.seconds) * 1000 + Math.ceil(delay.nanos / 1e6);
      }
    } catch {
      // A damaged detail; the others still describe the error.
    }
  }
  return { reason, metadata, fields, retryAfterMs };
}

function codeOf(number: number): ErrorCode {
  return CODES[number - 1] ?? "UNKNOWN";
}

/** Return the typed error for what Connect throws. */
export function fromConnect(thrown: unknown, address: string): SightlineError {
  if (thrown instanceof SightlineError) return thrown;
  const error = ConnectError.from(thrown);
  if (error.cause instanceof TypeError) {
    // What `fetch` rejects with if there is no answer, or only a part of one.
    const message = `no gateway answers at ${address} (${error.rawMessage})`;
    return new SightlineError({ code: "UNAVAILABLE", reason: GATEWAY_UNREACHABLE, message, cause: error.cause });
  }
  const details = error.details.filter((each): each is Detail & typeof each => "value" in each);
  return new SightlineError({
    code: codeOf(error.code),
    message: error.rawMessage || Code[error.code],
    ...readDetails(details as readonly Detail[]),
    requestId: error.metadata.get("x-request-id") ?? "",
    cause: error.cause,
  });
}

/** Return the error of one item of a batch; undefined if the item succeeded. */
export function itemError(status: Status | undefined): SightlineError | undefined {
  if (status === undefined || status.code === 0) return undefined;
  const details = status.details.map((each) => ({
    type: each.typeUrl.slice(each.typeUrl.lastIndexOf("/") + 1),
    value: each.value,
  }));
  const code = codeOf(status.code);
  return new SightlineError({ code, message: status.message || code, ...readDetails(details) });
}

/** Return the error of a problem (RFC 9457) of the gateway's HTTP server; `status` is the answer's. */
export function fromProblem(problem: unknown, status: number): SightlineError {
  const given = problem as Partial<Record<"code" | "detail" | "reason" | "requestId", string>> & {
    fieldViolations?: FieldViolation[];
    metadata?: Record<string, string>;
    retryAfterSeconds?: number;
  };
  const seconds = given.retryAfterSeconds;
  return new SightlineError({
    code: CODES.find((code) => code === given.code) ?? (status >= 500 ? "UNAVAILABLE" : "UNKNOWN"),
    message: given.detail ?? `HTTP status ${status} without a problem of Sightline`,
    retryAfterMs: seconds === undefined ? undefined : seconds * 1000,
    reason: given.reason ?? "",
    fields: given.fieldViolations ?? [],
    metadata: given.metadata ?? {},
    requestId: given.requestId ?? "",
  });
}

/** Return the error for a request that is rejected before it is sent. */
export function invalid(field: string, description: string, reason: string): SightlineError {
  const fields = [{ field, description }];
  return new SightlineError({ code: "INVALID_ARGUMENT", message: description, reason, fields });
}
