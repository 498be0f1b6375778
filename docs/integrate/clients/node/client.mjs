// Recommends products by a photo, writes a click on the first of them, and handles two errors.
// Usage: node client.mjs HOST:PORT PHOTO PROTOS, where PROTOS is the folder of `make protos-bundle`.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";
import protobuf from "protobufjs";

const SECONDS = 20; // long, for a busy laptop; a shopper's page should wait 1 or 2

const [target, photo, protos] = process.argv.slice(2);
if (!protos) {
  console.error("usage: node client.mjs HOST:PORT PHOTO PROTOS");
  process.exit(2);
}
const services = ["recommendation_service", "user_event_service"];
const definition = protoLoader.loadSync(
  services.map((name) => `sightline/gateway/v1/${name}.proto`),
  { includeDirs: [protos], keepCase: true, enums: String, longs: String, defaults: true },
);
const { RecommendationService, UserEventService } =
  grpc.loadPackageDefinition(definition).sightline.gateway.v1;
const credentials = grpc.ChannelCredentials.createInsecure(); // in production: createSsl()
const recommendations = new RecommendationService(target, credentials);
const events = new UserEventService(target, credentials);

// Calls with a deadline. The service answers within it; `degradations` name what is missing.
function call(client, method, request, milliseconds = SECONDS * 1000) {
  const deadline = new Date(Date.now() + milliseconds);
  return new Promise((resolve, reject) => {
    client[method](request, { deadline }, (error, answer) =>
      error ? reject(error) : resolve(answer),
    );
  });
}

// The message types of an error's details: a google.rpc.Status is sent beside the code and the text.
const errors = new protobuf.Root();
errors.resolvePath = (_, name) => join(protos, name);
errors.loadSync(["google/rpc/status.proto", "google/rpc/error_details.proto"]);

// Returns an error's reason (docs/integrate/errors.md); "" if no service of Sightline raised the error.
function reason(error) {
  const [bytes] = error.metadata?.get("grpc-status-details-bin") ?? [];
  if (!bytes) return "";
  const { details } = errors.lookupType("google.rpc.Status").decode(bytes);
  const info = details.find((each) => each.type_url.endsWith("/google.rpc.ErrorInfo"));
  return info ? errors.lookupType("google.rpc.ErrorInfo").decode(info.value).reason : "";
}

const shopper = { visitor_id: "visitor-of-node" };
const request = { signals: [{ image: readFileSync(photo) }], shopper, page_size: 5 };
const answer = await call(recommendations, "Recommend", request);
for (const { rank, product } of answer.results) {
  console.log(`${rank}. ${product.product_id} ${product.title}`);
}
for (const { cause: lost } of answer.degradations) console.log(`degraded: ${lost}`);

const click = {
  event_id: randomUUID(), // events with the same id count once
  shopper,
  type: "EVENT_TYPE_CLICK",
  product_id: answer.results[0].product.product_id,
  position: 1,
  attribution_token: answer.attribution_token,
};
const written = await call(events, "WriteEvents", { events: [click] });
for (const { code, message } of written.statuses) if (code) console.log(`not kept: ${message}`);
console.log(`written: ${written.written_count}`);

const refused = await call(recommendations, "Recommend", { ...request, page_size: 1000 }).catch(
  (error) => error,
);
console.log(`refused: ${grpc.status[refused.code]} ${reason(refused)}: ${refused.details}`);

// A deadline of 0 is exceeded at once. With a short deadline, the answer may instead be degraded.
const late = await call(recommendations, "Recommend", request, 0).catch((error) => error);
console.log(`too late: ${grpc.status[late.code]}`);

recommendations.close();
events.close();
