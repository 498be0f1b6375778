/** The client of Sightline's public API. */
import type { DescService } from "@bufbuild/protobuf";
import { createClient, type Client } from "@connectrpc/connect";
import type { Job } from "./gen/sightline/common/v1/job_pb.js";
import { JobService } from "./gen/sightline/common/v1/job_service_pb.js";
import { CatalogService } from "./gen/sightline/gateway/v1/catalog_service_pb.js";
import { RecommendationService } from "./gen/sightline/gateway/v1/recommendation_service_pb.js";
import { UserEventService } from "./gen/sightline/gateway/v1/user_event_service_pb.js";
import { watchJob } from "./jobs.js";
import { createTransport } from "./transport.js";

/** Settings of a client. */
export interface SightlineOptions {
  /** URL of the gateway's HTTP server, such as "https://reco.shop.example". */
  readonly address: string;
  /** Token that identifies the caller, or a function that returns the current one. Default: none. */
  readonly key?: string | (() => string | Promise<string>);
  /** Catalog of requests that name none. Default: "default". */
  readonly catalog?: string;
  /** Milliseconds for a call with all its attempts; 0: no limit. A call's own `timeoutMs` replaces it. Default: 10,000. */
  readonly timeoutMs?: number;
}

/** Calls of the gateway. Failed calls reject with a SightlineError. */
export interface SightlineClient {
  readonly recommendations: Client<typeof RecommendationService>;
  readonly catalog: Client<typeof CatalogService>;
  readonly events: Client<typeof UserEventService>;
  readonly jobs: Client<typeof JobService>;
  /** Return the calls of another service, such as AdminService. */
  service<S extends DescService>(service: S): Client<S>;
  /** Yield a job each time it changes, until it has ended. */
  watchJob(jobId: string, options?: { readonly signal?: AbortSignal }): AsyncGenerator<Job, void>;
}

const CONTROL = /[^\x21-\x7e]/;

/** Return a client. It opens no connection before the first call. Throw TypeError for invalid settings. */
export function createSightlineClient(options: SightlineOptions): SightlineClient {
  const url = new URL(options.address);
  if (!/^https?:$/.test(url.protocol)) throw new TypeError(`address: must be http or https, not ${options.address}`);
  const timeoutMs = options.timeoutMs ?? 10_000;
  if (!(timeoutMs >= 0)) throw new TypeError("timeoutMs: must be 0 or more");
  const { key } = options;
  const defaults = {
    address: url.href.replace(/\/$/, ""),
    catalog: options.catalog ?? "default",
    timeoutMs,
    async authenticate(): Promise<Record<string, string>> {
      const token = typeof key === "function" ? await key() : key;
      return token === undefined ? {} : { authorization: `Bearer ${checkToken(token)}` };
    },
  };
  if (typeof key === "string") checkToken(key);
  const transport = createTransport(defaults);
  const service = <S extends DescService>(each: S): Client<S> => createClient(each, transport);
  return {
    recommendations: service(RecommendationService),
    catalog: service(CatalogService),
    events: service(UserEventService),
    jobs: service(JobService),
    service,
    watchJob: (jobId, { signal } = {}) => watchJob(defaults, jobId, signal),
  };
}

function checkToken(token: string): string {
  // The token itself is not in the message, which may be logged.
  if (token === "" || CONTROL.test(token)) throw new TypeError("key: must be printable ASCII without spaces");
  return token;
}
