/** Jobs, followed by Server-Sent Events: pages cannot call streams of gRPC. */
import { createRegistry, fromJson, type JsonValue } from "@bufbuild/protobuf";
import { fromConnect, fromProblem, SightlineError } from "./errors.js";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import { JobSchema, type Job } from "./gen/sightline/common/v1/job_pb.js";
import type { CallDefaults } from "./transport.js";

const JSON_OPTIONS = {
  ignoreUnknownFields: true,
  registry: createRegistry(ErrorInfoSchema, BadRequestSchema, RetryInfoSchema),
};
const ATTEMPTS = 5;

/** Yield a job each time it changes, until it has ended. A stream that breaks is opened again. */
export async function* watchJob(
  defaults: CallDefaults,
  jobId: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<Job, void> {
  for (let failures = 0; ; ) {
    try {
      for await (const event of openStream(defaults, jobId, signal)) {
        if (event.name === "end") return;
        if (event.name === "error") throw fromProblem(event.data, 200);
        failures = 0;
        yield fromJson(JobSchema, event.data, JSON_OPTIONS);
      }
      throw new SightlineError({ code: "UNAVAILABLE", message: "the stream ended before the job" });
    } catch (thrown) {
      const error = fromConnect(thrown, defaults.address);
      if (error.code !== "UNAVAILABLE" || signal?.aborted || ++failures === ATTEMPTS) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100 * 2 ** failures));
    }
  }
}

interface ServerEvent {
  readonly name: string;
  readonly data: JsonValue;
}

/** Yield the events of one stream. */
async function* openStream(
  { address, catalog, authenticate }: CallDefaults,
  jobId: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<ServerEvent, void> {
  const url = `${address}/v1/catalogs/${encodeURIComponent(catalog)}/jobs/${encodeURIComponent(jobId)}:watch`;
  const response = await fetch(url, { headers: await authenticate(), signal: signal ?? null, redirect: "error" });
  if (!response.ok || !response.body) throw fromProblem(await response.json().catch(() => ({})), response.status);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    let text = "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const blocks = (text + part.value).split("\n\n");
      text = blocks.pop() ?? "";
      yield* blocks.map(parse).filter((event) => event !== undefined);
    }
  } finally {
    await reader.cancel();
  }
}

/** Return the event of a block; undefined for a comment, which only keeps the connection. */
function parse(block: string): ServerEvent | undefined {
  const fields = new Map(block.split("\n").map((line) => line.split(/: (.*)/s, 2) as [string, string]));
  const data = fields.get("data");
  return data === undefined ? undefined : { name: fields.get("event") ?? "", data: JSON.parse(data) as JsonValue };
}
