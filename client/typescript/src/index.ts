/** A client of Sightline for browsers and Node. */
export { createSightlineClient, type SightlineClient, type SightlineOptions } from "./client.js";
export { GATEWAY_UNREACHABLE, itemError, SightlineError, type ErrorCode, type FieldViolation } from "./errors.js";
export { MAX_PHOTO_BYTES, photoBytes, photoSignal, type Photo, type PhotoOptions, type Signal } from "./photos.js";
export * from "./values.js";

export * from "./gen/google/type/money_pb.js";
export * from "./gen/sightline/common/v1/answer_pb.js";
export * from "./gen/sightline/common/v1/event_pb.js";
export * from "./gen/sightline/common/v1/facet_pb.js";
export * from "./gen/sightline/common/v1/filter_pb.js";
export * from "./gen/sightline/common/v1/import_pb.js";
export * from "./gen/sightline/common/v1/job_pb.js";
export * from "./gen/sightline/common/v1/job_service_pb.js";
export * from "./gen/sightline/common/v1/photo_pb.js";
export * from "./gen/sightline/common/v1/product_pb.js";
export * from "./gen/sightline/gateway/v1/catalog_service_pb.js";
export * from "./gen/sightline/gateway/v1/control_pb.js";
export * from "./gen/sightline/gateway/v1/recommendation_service_pb.js";
export * from "./gen/sightline/gateway/v1/user_event_service_pb.js";
