"""How the gateway is reached: message cap, retries, keepalive."""

import json

import grpc

MAX_MESSAGE_BYTES = 32 * 1024 * 1024
"""The suite's cap on one message, both ways."""

_READS = {
    "sightline.gateway.v1.RecommendationService": "Recommend Search ExplainRecommendation Classify",
    "sightline.gateway.v1.CatalogService": "GetProduct ListProducts GetImage",
    "sightline.gateway.v1.AdminService": "GetStatus ListModels GetEvaluation GetOnlineReport"
    " ListGenerations ListBackups GetShopperProfile GetProductProfile ListSegments ListSpaces",
    "sightline.common.v1.JobService": "GetJob ListJobs CancelJob WatchJob",
}
"""They change nothing; a cancelled job stays cancelled."""

_WRITES = {
    "sightline.gateway.v1.CatalogService": "UpsertProducts UpdateProducts UpdateOffers"
    " DeleteProducts PurgeProducts OpenImport ImportProducts CloseImport",
    "sightline.gateway.v1.UserEventService": "WriteEvents MergeShopper PurgeEvents",
    "sightline.gateway.v1.AdminService": "TrainModel EvaluateModel ExportEvents PromoteModel"
    " PublishModel SetShopperAttributes BackfillGeneration VerifyGeneration ActivateGeneration"
    " DropGeneration CreateBackup RestoreBackup RebuildIndex FitSpace PromoteSpace RetireSpace",
}
"""Idempotent by an id that the caller gives: of the product, event, shopper, import, model,
generation or, where a job is started, of the request. Not so a product with an etag: a second try
would meet its own first."""

ONCE = {
    "sightline.gateway.v1.AdminService": "RollbackModel DemoteModel RollbackGeneration"
    " CreateGeneration",
}
"""Never tried again: going back twice is going back two models or generations, a model is
demoted once, and a second try to create a generation would meet its own first, or create another
one."""

RETRY_POLICY = {
    "maxAttempts": 4,
    "initialBackoff": "0.1s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}


def connect(
    target: str, *, retries: bool, credentials: grpc.ChannelCredentials | None
) -> grpc.aio.Channel:
    """A channel to the gateway; nothing is sent before the first call. ``credentials`` None = plain
    text. Without ``retries`` a call that fails is not tried again."""
    options = [
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.service_config", json.dumps(service_config(retries=retries))),
        ("grpc.enable_retries", int(retries)),
    ]
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=options)
    return grpc.aio.secure_channel(target, credentials, options=options)


def service_config(*, retries: bool) -> dict[str, object]:
    """gRPC's own description of how calls are balanced and tried again."""
    config: dict[str, object] = {"loadBalancingConfig": [{"round_robin": {}}]}
    if not retries:
        return config
    names = [
        {"service": service, "method": method}
        for calls in (_READS, _WRITES)
        for service, methods in calls.items()
        for method in methods.split()
    ]
    config["methodConfig"] = [{"name": names, "retryPolicy": RETRY_POLICY}]
    # A suite that is down is not made worse by everyone trying four times.
    config["retryThrottling"] = {"maxTokens": 20, "tokenRatio": 0.1}
    return config
