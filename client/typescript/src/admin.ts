/** The calls of operators: `client.service(AdminService)`. Apart from the client, because a shop's pages need none. */
export * from "./gen/sightline/gateway/v1/admin_service_pb.js";
