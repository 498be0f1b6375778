"""Requests that the gateway rejects over real gRPC, with reason and field."""

import math

import pytest
from google.protobuf import timestamp_pb2

from sightline.common.v1 import event_pb2, filter_pb2, job_service_pb2, product_pb2
from sightline.embedder.v1 import embedding_service_pb2, space_service_pb2
from sightline.gateway.v1 import (
    admin_service_pb2,
    catalog_service_pb2,
    control_pb2,
    user_event_service_pb2,
)
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline.ranker.v1 import (
    event_service_pb2,
    model_service_pb2,
    online_report_pb2,
    profile_service_pb2,
)
from sightline.retriever.v1 import (
    backup_service_pb2,
    fit_service_pb2,
    index_service_pb2,
    photo_service_pb2,
    rebuild_service_pb2,
    synonym_service_pb2,
)
from sightline.vision.v1 import watch_service_pb2, webhook_service_pb2
from tests.wire.gateway_calls import (
    BY_SIMILARITY,
    PHOTO,
    UNKNOWN_FIELD,
    causes,
    ids,
    photo,
    refused,
    suite,
)

__all__ = ["suite"]  # fixtures


PIN = control_pb2.Control(name="a", kind="KIND_PIN", product_ids=["p1"], place=1)
CONTROLS = [
    ([control_pb2.Control(name="a")], "controls[0].kind"),
    ([control_pb2.Control(name="a", kind=9)], "controls[0].kind"),  # type: ignore[arg-type]
    (
        [control_pb2.Control(name="a", kind="KIND_BOOST", product_ids=["p1"], boost=math.nan)],
        "controls[0].boost",
    ),
    (
        [PIN, control_pb2.Control(name="b", kind="KIND_EXCLUDE", product_ids=["p2", "p1"])],
        "controls[1].product_ids[1]",
    ),
    (
        [PIN, control_pb2.Control(name="b", kind="KIND_PIN", product_ids=["p2"], place=1)],
        "controls[1].place",
    ),
    (
        [control_pb2.Control(name="a", kind="KIND_BURY", filter=UNKNOWN_FIELD)],
        "controls[0].filter.comparison.field",
    ),
    (
        [
            control_pb2.Control(
                name="a",
                kind="KIND_BURY",
                product_ids=["p1"],
                end_time=timestamp_pb2.Timestamp(seconds=10**18),
            )
        ],
        "controls[0].end_time",
    ),
]


@pytest.mark.parametrize(
    ("request_", "code", "reason", "fields"),
    [
        (photo(page_size=-1), "INVALID_ARGUMENT", "PAGE_SIZE_INVALID", ["page_size"]),
        (photo(page_size=10**9), "INVALID_ARGUMENT", "PAGE_SIZE_INVALID", ["page_size"]),
        (photo(catalog_id="nope"), "NOT_FOUND", "CATALOG_NOT_FOUND", ["catalog_id"]),
        (photo(scene="nope"), "NOT_FOUND", "SCENE_NOT_FOUND", ["scene"]),
        (
            pb.RecommendRequest(signals=[pb.QuerySignal(product_id="nope")]),
            "NOT_FOUND",
            "PRODUCT_NOT_FOUND",
            ["signals[0].product_id"],
        ),
        (
            pb.RecommendRequest(signals=[pb.QuerySignal()]),
            "INVALID_ARGUMENT",
            "REQUEST_INVALID",
            ["signals[0]"],
        ),
        (
            pb.RecommendRequest(signals=[pb.QuerySignal(image=b"")]),
            "INVALID_ARGUMENT",
            "IMAGE_UNDECODABLE",
            ["signals[0].image"],
        ),
        (
            pb.RecommendRequest(signals=[pb.QuerySignal(image=b"text")]),
            "INVALID_ARGUMENT",
            "IMAGE_UNDECODABLE",
            ["signals[0].image"],
        ),
        (
            pb.RecommendRequest(signals=[pb.QuerySignal(image_uri="file:///etc/passwd")]),
            "INVALID_ARGUMENT",
            "REQUEST_INVALID",
            ["signals[0].image_uri"],
        ),
        (
            pb.RecommendRequest(signals=[pb.QuerySignal(image_uri="https://other.test/a.jpg")]),
            "INVALID_ARGUMENT",
            "URI_FORBIDDEN",
            ["signals[0].image_uri"],
        ),
        (
            pb.RecommendRequest(signals=[pb.QuerySignal(image_uri="https://photos.test/gone.jpg")]),
            "FAILED_PRECONDITION",
            "URI_UNREADABLE",
            ["signals[0].image_uri"],
        ),
        (
            pb.RecommendRequest(signals=[pb.QuerySignal(image=b"many pixels")]),
            "INVALID_ARGUMENT",
            "IMAGES_TOO_LARGE",
            ["signals[0].image"],
        ),
        (
            pb.RecommendRequest(signals=[pb.QuerySignal(image=bytes(10 * 2**20 + 1))]),
            "INVALID_ARGUMENT",
            "IMAGE_TOO_LARGE",
            ["signals[0].image"],
        ),
        (
            pb.RecommendRequest(signals=[pb.QuerySignal(image=PHOTO, weight=float("nan"))]),
            "INVALID_ARGUMENT",
            "REQUEST_INVALID",
            ["signals[0].weight"],
        ),
        (
            pb.RecommendRequest(signals=[pb.QuerySignal(image=PHOTO)] * 9),
            "INVALID_ARGUMENT",
            "REQUEST_INVALID",
            ["signals"],
        ),
        (
            photo(shopper=event_pb2.Shopper(user_id="")),
            "INVALID_ARGUMENT",
            "REQUEST_INVALID",
            ["shopper.user_id"],
        ),
        (
            photo(filter=UNKNOWN_FIELD),
            "INVALID_ARGUMENT",
            "FILTER_INVALID",
            ["filter.comparison.field"],
        ),
        (
            photo(filter=filter_pb2.Filter(text="price < 30")),
            "INVALID_ARGUMENT",
            "FILTER_INVALID",
            ["filter.text"],
        ),
        (
            photo(filter=filter_pb2.Filter(text="(" * 65_536)),
            "INVALID_ARGUMENT",
            "FILTER_INVALID",
            ["filter.text"],
        ),
        *(
            (photo(controls=controls), "INVALID_ARGUMENT", "REQUEST_INVALID", [field])
            for controls, field in CONTROLS
        ),
        (photo(page_token="junk"), "INVALID_ARGUMENT", "PAGE_TOKEN_INVALID", ["page_token"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_bad_requests_are_refused_with_reason_and_field(
    suite, request_, code, reason, fields
):
    error = await refused(suite.recommendation.Recommend(request_))

    assert (error.code, error.reason) == (code, reason)
    assert [item.field for item in error.violations] == fields


async def test_a_text_is_flagged_until_there_is_a_text_space(suite):
    request = pb.RecommendRequest(signals=[pb.QuerySignal(text="红酒")])
    answer = await suite.recommendation.Recommend(request)

    assert causes(answer) == [("text", "SPACE_UNAVAILABLE")]
    assert ids(answer) == ["p2"]
    assert list(answer.results[0].branches) == ["keywords"]


async def test_a_search_by_text_alone_finds_by_words_while_there_is_no_text_space(suite):
    request = pb.SearchRequest(signals=[pb.QuerySignal(text="红酒")])
    answer = await suite.recommendation.Search(request)

    assert causes(answer) == [("text", "SPACE_UNAVAILABLE")]
    assert [result.product.product_id for result in answer.results] == ["p2"]
    (asked,) = suite.retriever.script.requests("SearchKeywords")
    assert asked.text == "红酒"


async def test_an_unknown_product_among_others_is_named(suite):
    request = photo()
    request.signals.add(product_id="nope")
    answer = await suite.recommendation.Recommend(request)

    assert list(answer.missing_product_ids) == ["nope"]
    assert ids(answer) == BY_SIMILARITY


def _undeclared(suite):
    c, a, j = catalog_service_pb2, admin_service_pb2, job_service_pb2
    m, e, i = model_service_pb2, user_event_service_pb2, index_service_pb2
    w = watch_service_pb2
    return [
        (suite.admin.CreateGeneration, i.CreateGenerationRequest),
        (suite.admin.BackfillGeneration, i.BackfillGenerationRequest),
        (suite.admin.VerifyGeneration, i.VerifyGenerationRequest),
        (suite.admin.ActivateGeneration, i.ActivateGenerationRequest),
        (suite.admin.RollbackGeneration, i.RollbackGenerationRequest),
        (suite.admin.DropGeneration, i.DropGenerationRequest),
        (suite.admin.ListGenerations, i.ListGenerationsRequest),
        (suite.catalog.UpsertProducts, c.UpsertProductsRequest),
        (suite.catalog.GetProduct, c.GetProductRequest),
        (suite.catalog.ListProducts, c.ListProductsRequest),
        (suite.catalog.DeleteProducts, c.DeleteProductsRequest),
        (suite.catalog.GetImage, c.GetImageRequest),
        (suite.events.WriteEvents, e.WriteEventsRequest),
        (suite.admin.GetStatus, a.GetStatusRequest),
        (suite.admin.TrainModel, m.TrainModelRequest),
        (suite.admin.ListModels, m.ListModelsRequest),
        (suite.admin.PromoteModel, m.PromoteModelRequest),
        (suite.admin.PublishModel, m.PublishModelRequest),
        (suite.admin.ExportEvents, event_service_pb2.ExportEventsRequest),
        (suite.admin.GetOnlineReport, online_report_pb2.GetOnlineReportRequest),
        (suite.admin.GetShopperProfile, profile_service_pb2.GetShopperProfileRequest),
        (suite.admin.GetProductProfile, profile_service_pb2.GetProductProfileRequest),
        (suite.admin.SetShopperAttributes, profile_service_pb2.SetShopperAttributesRequest),
        (suite.admin.ListSegments, profile_service_pb2.ListSegmentsRequest),
        (suite.admin.CreateBackup, backup_service_pb2.CreateBackupRequest),
        (suite.admin.ListBackups, backup_service_pb2.ListBackupsRequest),
        (suite.admin.RestoreBackup, backup_service_pb2.RestoreBackupRequest),
        (suite.admin.DeleteBackup, backup_service_pb2.DeleteBackupRequest),
        (suite.admin.TakeDownPhoto, photo_service_pb2.TakeDownPhotoRequest),
        (suite.admin.LiftTakedown, photo_service_pb2.LiftTakedownRequest),
        (suite.admin.ListTakedowns, photo_service_pb2.ListTakedownsRequest),
        (suite.admin.GetSynonyms, synonym_service_pb2.GetSynonymsRequest),
        (suite.admin.SetSynonyms, synonym_service_pb2.SetSynonymsRequest),
        (suite.webhooks.CreateWebhook, webhook_service_pb2.CreateWebhookRequest),
        (suite.webhooks.UpdateWebhook, webhook_service_pb2.UpdateWebhookRequest),
        (suite.webhooks.SendTestDelivery, webhook_service_pb2.SendTestDeliveryRequest),
        (suite.webhooks.ListWebhooks, webhook_service_pb2.ListWebhooksRequest),
        (suite.webhooks.RotateWebhookSecret, webhook_service_pb2.RotateWebhookSecretRequest),
        (suite.webhooks.DeleteWebhook, webhook_service_pb2.DeleteWebhookRequest),
        (suite.webhooks.ListDeadLetters, webhook_service_pb2.ListDeadLettersRequest),
        (suite.webhooks.ReplayDeliveries, webhook_service_pb2.ReplayDeliveriesRequest),
        (suite.admin.RebuildIndex, rebuild_service_pb2.RebuildIndexRequest),
        (suite.admin.FitSpace, fit_service_pb2.FitSpaceRequest),
        (suite.admin.ListSpaces, embedding_service_pb2.ListSpacesRequest),
        (suite.admin.PromoteSpace, space_service_pb2.PromoteSpaceRequest),
        (suite.admin.RetireSpace, space_service_pb2.RetireSpaceRequest),
        (suite.watches.CreateWatch, w.CreateWatchRequest),
        (suite.watches.UpdateWatch, w.UpdateWatchRequest),
        (suite.watches.GetWatch, w.GetWatchRequest),
        (suite.watches.ListWatches, w.ListWatchesRequest),
        (suite.watches.DeleteWatch, w.DeleteWatchRequest),
        (suite.watches.SendFrames, w.SendFramesRequest),
        (suite.watches.ListAlerts, w.ListAlertsRequest),
        (suite.watches.GetAlertPhoto, w.GetAlertPhotoRequest),
        (suite.jobs.GetJob, j.GetJobRequest),
        (suite.jobs.ListJobs, j.ListJobsRequest),
        (suite.jobs.CancelJob, j.CancelJobRequest),
        (suite.recommendation.Search, pb.SearchRequest),
        (suite.recommendation.Suggest, pb.SuggestRequest),
        (suite.admin.ListTopSearches, a.ListTopSearchesRequest),
    ]


async def test_an_undeclared_catalog_is_not_found_in_any_call_and_reaches_no_peer(suite):
    for call, request in _undeclared(suite):
        error = await refused(call(request(catalog_id="nope")))
        assert error.reason == "CATALOG_NOT_FOUND", request
    for peer in (suite.embedder, suite.retriever, suite.ranker, suite.vision):
        assert not peer.script.seen


@pytest.mark.parametrize("page_size", [-1, 10**9])
async def test_page_sizes_out_of_range_are_refused_in_every_list(suite, page_size):
    for call, request in (
        (suite.catalog.ListProducts, catalog_service_pb2.ListProductsRequest),
        (suite.jobs.ListJobs, job_service_pb2.ListJobsRequest),
        (suite.recommendation.Search, pb.SearchRequest),
    ):
        error = await refused(call(request(page_size=page_size)))
        assert error.reason == "PAGE_SIZE_INVALID", request


async def test_batches_out_of_range_are_refused(suite):
    for call, request in (
        (
            suite.catalog.UpsertProducts,
            catalog_service_pb2.UpsertProductsRequest(products=[product_pb2.Product()] * 101),
        ),
        (
            suite.catalog.DeleteProducts,
            catalog_service_pb2.DeleteProductsRequest(product_ids=["x"] * 1001),
        ),
        (
            suite.recommendation.Recommend,
            pb.RecommendRequest(exclude_product_ids=["x"] * 1001),
        ),
        (
            suite.events.WriteEvents,
            user_event_service_pb2.WriteEventsRequest(events=[event_pb2.Event()] * 1001),
        ),
    ):
        assert (await refused(call(request))).reason == "REQUEST_INVALID"
