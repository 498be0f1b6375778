// Calls the HTTP server by Connect's client for browsers, and prints what came as one JSON object.
//   node client.mjs http://127.0.0.1:8680 descriptors.binpb
import { readFileSync } from "node:fs";
import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";

const [address, descriptors] = process.argv.slice(2);
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(descriptors)));
const errorInfo = registry.getMessage("google.rpc.ErrorInfo");
const violations = registry.getMessage("google.rpc.BadRequest");
const photo = new TextEncoder().encode("photo");

/** Run a call, and return its error's code, reason and fields. */
async function refused(call) {
  try {
    await call;
  } catch (error) {
    return {
      code: Code[error.code],
      message: error.rawMessage,
      reasons: error.findDetails(errorInfo).map((each) => each.reason),
      fields: error.findDetails(violations).flatMap((each) => each.fieldViolations.map(({ field }) => field)),
    };
  }
  return null;
}

const found = {};
for (const [name, options] of Object.entries({
  json: {},
  binary: { useBinaryFormat: true },
  get: { useHttpGet: true },
  binaryGet: { useBinaryFormat: true, useHttpGet: true },
})) {
  const transport = createConnectTransport({
    baseUrl: address,
    jsonOptions: { registry }, // of the details in the statuses of items
    ...options,
  });
  const client = (service) => createClient(registry.getService(`sightline.gateway.v1.${service}`), transport);
  const catalog = client("CatalogService");
  const recommendation = client("RecommendationService");
  const signals = [{ content: { case: "image", value: photo } }];
  found[name] = {
    title: (await catalog.getProduct({ productId: "p1" })).title,
    results: (await recommendation.search({ signals, pageSize: 3 })).results.map((each) => each.product.productId),
    written: (await catalog.upsertProducts({ products: [{ productId: "a" }] })).indexToken,
    missing: await refused(catalog.getProduct({ productId: "nope" })),
    invalid: await refused(catalog.listProducts({ pageSize: 5000 })),
    late: await refused(catalog.listProducts({}, { timeoutMs: 50 })),
  };
}
console.log(JSON.stringify(found));
