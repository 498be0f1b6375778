// A generic client: it needs only an address and a photo, and reads the contract by gRPC
// reflection. Prints one JSON object. Usage: node reflection.mjs HOST:PORT PHOTO
import { readFileSync } from "node:fs";
import grpc from "@grpc/grpc-js";
import { GrpcReflection } from "grpc-js-reflection-client";

const [target, photo] = process.argv.slice(2);
const credentials = grpc.ChannelCredentials.createInsecure();
const reflection = new GrpcReflection(target, credentials);

const services = await reflection.listServices();
const name = services.find((each) => each.endsWith(".RecommendationService"));
const descriptor = await reflection.getDescriptorBySymbol(name);
const api = descriptor.getPackageObject({ keepCase: true, enums: String, longs: String });
const Service = name.split(".").reduce((package_, part) => package_[part], api);

const client = new Service(target, credentials);
const call = (method, request) =>
  new Promise((resolve, reject) => {
    const done = (error, answer) => (error ? reject(error) : resolve(answer));
    client[method](request, { deadline: new Date(Date.now() + 20_000) }, done);
  });

const asked = { signals: [{ image: readFileSync(photo) }], page_size: 5 };
const answer = await call("Recommend", asked);
const refused = await call("Recommend", { ...asked, page_size: 1000 }).catch((error) => error);
client.close();

const results = (answer.results ?? []).map(({ rank, product }) => ({
  rank,
  id: product.product_id,
  title: product.title,
}));
console.log(
  JSON.stringify({
    services,
    methods: Object.keys(Service.service),
    results,
    degradations: answer.degradations ?? [],
    refused: { code: grpc.status[refused.code], details: refused.details },
  }),
);
process.exit(0);
