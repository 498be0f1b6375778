"""The gateway's admin and job calls over real gRPC: each reaches the service that owns it."""

import grpc
import pytest

from servicekit.errors import Code
from servicekit.status import from_rpc_error
from sightline.common.v1 import event_pb2, job_service_pb2
from sightline.embedder.v1 import embedding_service_pb2, space_pb2, space_service_pb2
from sightline.gateway.v1 import admin_service_pb2
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
from sightline.vision.v1 import webhook_service_pb2
from tests.fakes.gateway_wire_retriever import RECALL
from tests.wire.gateway_calls import refused, suite

__all__ = ["suite"]  # fixtures


async def test_status_shows_every_component(suite):
    state = await suite.admin.GetStatus(admin_service_pb2.GetStatusRequest())

    assert [(item.component, item.status.code) for item in state.components] == [
        (name, 0)
        for name in ("gateway", "embedder", "triton", "retriever", "milvus", "ranker", "vision")
    ]
    services = {"gateway", "embedder", "retriever", "ranker", "vision"}
    assert {item.component for item in state.components if item.version} == services
    assert len({item.version for item in state.components if item.version}) == 1
    assert (state.products, state.indexed_images, state.model_version) == (5, 5, "m1")
    assert state.visual_space.version == state.embedder_space_version == "v1"
    assert {"default", "cart", "feed"} <= {*state.scenes}
    assert list(state.recall) == [RECALL]


async def test_status_answers_whatever_is_down(suite):
    for peer in (suite.embedder, suite.retriever, suite.ranker, suite.vision):
        await peer.down()
    state = await suite.admin.GetStatus(admin_service_pb2.GetStatusRequest())

    codes = {item.component: item.status.code for item in state.components}
    assert codes.pop("gateway") == 0
    assert set(codes.values()) == {14}
    assert [item.component for item in state.components if item.version] == ["gateway"]
    assert state.products == -1
    assert not state.HasField("visual_space")


async def test_models_are_trained_listed_and_promoted(suite):
    m = model_service_pb2
    job = await suite.admin.TrainModel(m.TrainModelRequest(request_id="r", seed=3))
    models = await suite.admin.ListModels(m.ListModelsRequest())
    model = await suite.admin.PromoteModel(m.PromoteModelRequest(model_version="m1"))

    assert job.job_id == "ranker/1"
    (sent,) = suite.ranker.script.requests("TrainModel")
    assert (sent.request_id, sent.seed, sent.catalog_id) == ("r", 3, "default")
    assert [item.model_version for item in models.models] == ["m1"]
    assert model.model_version == "m1"


async def test_publications_are_the_rankers(suite):
    request = model_service_pb2.PublishModelRequest(model_version="m1", rewrite=True)
    job = await suite.admin.PublishModel(request)

    assert job.job_id == "ranker/2"
    (sent,) = suite.ranker.script.requests("PublishModel")
    assert (sent.model_version, sent.rewrite, sent.catalog_id) == ("m1", True, "default")


async def test_exports_are_the_rankers(suite):
    request = event_service_pb2.ExportEventsRequest(request_id="r", types=[3])
    job = await suite.admin.ExportEvents(request)

    assert job.job_id == "ranker/3"
    (sent,) = suite.ranker.script.requests("ExportEvents")
    assert (sent.request_id, list(sent.types), sent.catalog_id) == ("r", [3], "default")


async def test_the_online_report_is_the_rankers(suite):
    request = online_report_pb2.GetOnlineReportRequest(days=3, conversion_days=2)
    report = await suite.admin.GetOnlineReport(request)

    assert [group.scene for group in report.groups] == ["home"]
    (sent,) = suite.ranker.script.requests("GetOnlineReport")
    assert (sent.days, sent.conversion_days, sent.catalog_id) == (3, 2, "default")


async def test_top_searches_are_the_rankers_with_counts_of_the_retriever(suite):
    request = admin_service_pb2.ListTopSearchesRequest(page_size=7)
    every = await suite.admin.ListTopSearches(request)
    request.nothing_found = True
    missing = await suite.admin.ListTopSearches(request)

    found = [(one.text, one.shopper_count, one.product_count) for one in every.searches]
    assert found == [("red wine", 30, 0), ("merlots", 20, 1)]
    assert [one.text for one in missing.searches] == ["red wine"]
    assert every.least_shoppers == 20
    (sent, _) = suite.ranker.script.requests("ListSearches")
    assert (sent.limit, sent.catalog_id) == (7, "default")


async def test_profiles_are_the_rankers(suite):
    p = profile_service_pb2
    ann = event_pb2.Shopper(user_id="ann")
    profile = await suite.admin.GetShopperProfile(
        p.GetShopperProfileRequest(shopper=ann, language_code="zh")
    )
    product = await suite.admin.GetProductProfile(p.GetProductProfileRequest(product_id="p1"))
    age = p.ShopperAttribute(key="age", text="30s")
    kept = await suite.admin.SetShopperAttributes(
        p.SetShopperAttributesRequest(shopper=ann, attributes=[age], consent=True)
    )
    segments = await suite.admin.ListSegments(p.ListSegmentsRequest())

    assert (profile.event_count, product.product_id, kept.kept_count) == (7, "p1", 1)
    assert segments.model_version == "m1"
    (asked,) = suite.ranker.script.requests("GetShopperProfile")
    assert (asked.catalog_id, asked.shopper, asked.language_code) == ("default", ann, "zh")
    (sent,) = suite.ranker.script.requests("SetShopperAttributes")
    assert (sent.catalog_id, sent.consent, list(sent.attributes)) == ("default", True, [age])


async def test_generations_are_the_retrievers(suite):
    i, admin = index_service_pb2, suite.admin
    made = await admin.CreateGeneration(i.CreateGenerationRequest(name="g2", space_version="v2"))
    filled = await admin.BackfillGeneration(i.BackfillGenerationRequest(name="g2"))
    proved = await admin.VerifyGeneration(i.VerifyGenerationRequest(name="g2", k=7))
    active = await admin.ActivateGeneration(i.ActivateGenerationRequest(name="g2", force=True))
    back = await admin.RollbackGeneration(i.RollbackGenerationRequest(space="visual"))
    gone = await admin.DropGeneration(i.DropGenerationRequest(name="g2"))
    listed = await admin.ListGenerations(i.ListGenerationsRequest(include_dropped=True))

    assert [item.name for item in (made, active, back, gone)] == ["g2", "g2", "g1", "g2"]
    assert [job.job_id for job in (filled, proved)] == ["retriever/11", "retriever/12"]
    assert [item.name for item in listed.generations] == ["g1"]
    sent = {item.method: item.request for item in suite.retriever.script.seen}
    assert {request.catalog_id for request in sent.values()} == {"default"}
    assert sent["CreateGeneration"].space_version == "v2"
    assert sent["VerifyGeneration"].k == 7
    assert sent["ActivateGeneration"].force
    assert sent["ListGenerations"].include_dropped


async def test_backups_and_rebuilds_are_the_retrievers(suite):
    b = backup_service_pb2
    made = await suite.admin.CreateBackup(b.CreateBackupRequest(request_id="r"))
    listed = await suite.admin.ListBackups(b.ListBackupsRequest(page_size=3))
    restored = await suite.admin.RestoreBackup(
        b.RestoreBackupRequest(backup_id="b1", source_catalog_id="shop", force=True)
    )
    gone = await suite.admin.DeleteBackup(b.DeleteBackupRequest(backup_id="b1"))
    rebuilt = await suite.admin.RebuildIndex(rebuild_service_pb2.RebuildIndexRequest(space="x"))

    assert [job.kind for job in (made, restored, rebuilt)] == ["backup", "restore", "rebuild_index"]
    assert [item.backup_id for item in listed.backups] == ["b1"]
    script = suite.retriever.script
    assert gone.size == 7
    assert script.requests("DeleteBackup")[0].backup_id == "b1"
    (sent,) = script.requests("RestoreBackup")
    assert (sent.catalog_id, sent.backup_id, sent.force) == ("default", "b1", True)
    assert script.requests("CreateBackup")[0].request_id == "r"
    assert script.requests("ListBackups")[0].page_size == 3
    assert script.requests("RebuildIndex")[0].space == "x"


async def test_takedowns_are_the_retrievers(suite):
    p = photo_service_pb2
    asked = p.TakeDownPhotoRequest(image_id="a" * 64, reason="a face")
    taken = await suite.admin.TakeDownPhoto(asked)
    lifted = await suite.admin.LiftTakedown(p.LiftTakedownRequest(image_id="a" * 64))
    listed = await suite.admin.ListTakedowns(p.ListTakedownsRequest(page_size=3))

    assert (taken.takedown.reason, list(taken.product_ids), lifted.lifted) == (
        "a face",
        ["p1"],
        True,
    )
    assert [each.image_id for each in listed.takedowns] == ["a" * 64]
    (sent,) = suite.retriever.script.requests("TakeDownPhoto")
    assert (sent.catalog_id, sent.image_id) == ("default", "a" * 64)


async def test_spaces_are_fitted_by_the_retriever_and_served_by_the_embedder(suite):
    f, s = fit_service_pb2, space_service_pb2
    fitting = await suite.admin.FitSpace(f.FitSpaceRequest(backbone="lite2", seed=3))
    listed = await suite.admin.ListSpaces(embedding_service_pb2.ListSpacesRequest(include_all=True))
    promoted = await suite.admin.PromoteSpace(s.PromoteSpaceRequest(version="v2", force=True))
    retired = await suite.admin.RetireSpace(s.RetireSpaceRequest(version="v2"))

    assert (fitting.job_id, fitting.kind) == ("retriever/4", "fit")
    assert [space.model for space in listed.spaces] == ["m1"]
    assert (promoted.version, promoted.forced) == ("v2", True)
    assert retired.state == space_pb2.SPACE_STATE_RETIRED
    (asked,) = suite.retriever.script.requests("FitSpace")
    assert (asked.catalog_id, asked.backbone, asked.seed) == ("default", "lite2", 3)
    assert suite.embedder.script.requests("ListSpaces")[0].include_all


@pytest.mark.parametrize("wanted", ["v1", "m1"])
async def test_a_space_that_a_generation_stands_on_is_not_retired(suite, wanted):
    error = await refused(
        suite.admin.RetireSpace(space_service_pb2.RetireSpaceRequest(version=wanted))
    )
    assert (error.reason, error.metadata["generations"]) == ("SPACE_IN_USE", "g1")
    assert not suite.embedder.script.requests("RetireSpace")


async def test_while_the_index_can_not_be_asked_no_space_is_retired(suite):
    await suite.retriever.down()
    error = await refused(
        suite.admin.RetireSpace(space_service_pb2.RetireSpaceRequest(version="v1"))
    )
    assert error.reason == "RETRIEVER_UNAVAILABLE"
    assert not suite.embedder.script.requests("RetireSpace")


async def test_jobs_are_served_by_their_owner(suite):
    j = job_service_pb2
    job = await suite.jobs.GetJob(j.GetJobRequest(job_id="ranker/1", catalog_id="other"))
    jobs = await suite.jobs.ListJobs(j.ListJobsRequest())
    cancelled = await suite.jobs.CancelJob(j.CancelJobRequest(job_id="ranker/1"))
    watched = [item async for item in suite.jobs.WatchJob(j.WatchJobRequest(job_id="ranker/1"))]

    assert (job.job_id, job.catalog_id) == ("ranker/1", "other")
    assert [item.job_id for item in jobs.jobs] == ["retriever/2", "ranker/1"]
    assert cancelled.job_id == "ranker/1"
    assert [item.done for item in watched] == [1, 2]


@pytest.mark.parametrize("job_id", ["", "1", "embedder/1", "gateway/1"])
async def test_a_job_without_a_known_owner_is_not_found(suite, job_id):
    error = await refused(suite.jobs.GetJob(job_service_pb2.GetJobRequest(job_id=job_id)))

    assert (error.code, error.reason) == (Code.NOT_FOUND, "JOB_NOT_FOUND")


async def test_watching_a_job_without_a_known_owner_is_not_found(suite):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in suite.jobs.WatchJob(job_service_pb2.WatchJobRequest(job_id="x/1")):
            pass
    assert from_rpc_error(caught.value).reason == "JOB_NOT_FOUND"


async def test_synonyms_are_the_retrievers(suite):
    s = synonym_service_pb2
    rule = s.SynonymRule(terms=["vino"], replacements=["wine"])
    made = await suite.admin.SetSynonyms(s.SetSynonymsRequest(rules=[rule], etag="e0"))
    held = await suite.admin.GetSynonyms(s.GetSynonymsRequest())
    assert (list(made.rules), made.etag, held.etag) == ([rule], "e1", "e0")
    (sent,) = suite.retriever.script.requests("SetSynonyms")
    assert (sent.catalog_id, sent.etag) == ("default", "e0")


async def test_webhooks_are_the_retrievers(suite):
    w = webhook_service_pb2
    made = await suite.webhooks.CreateWebhook(
        w.CreateWebhookRequest(webhook_id="ops", uri="https://hooks.test/")
    )
    assert (made.webhook.webhook_id, made.secret) == ("ops", "whsec_1")
    (sent,) = suite.vision.script.requests("CreateWebhook")
    assert (sent.catalog_id, sent.uri) == ("default", "https://hooks.test/")
    await suite.webhooks.ListWebhooks(w.ListWebhooksRequest())
    moved = w.UpdateWebhookRequest(webhook_id="ops", uri="https://new.test/")
    assert (await suite.webhooks.UpdateWebhook(moved)).uri == "https://new.test/"
    tried = await suite.webhooks.SendTestDelivery(w.SendTestDeliveryRequest(webhook_id="ops"))
    assert (tried.accepted, tried.failure) == (False, "status 500")
    rotated = await suite.webhooks.RotateWebhookSecret(w.RotateWebhookSecretRequest())
    assert rotated.secret == "whsec_2"
    replayed = await suite.webhooks.ReplayDeliveries(w.ReplayDeliveriesRequest())
    assert replayed.replayed_count == 1
    assert (await suite.webhooks.DeleteWebhook(w.DeleteWebhookRequest())).deleted


async def test_pages_of_dead_letters_follow_one_another(suite):
    w = webhook_service_pb2
    first = await suite.webhooks.ListDeadLetters(w.ListDeadLettersRequest(webhook_id="ops"))
    request = w.ListDeadLettersRequest(webhook_id="ops", page_token=first.next_page_token)
    last = await suite.webhooks.ListDeadLetters(request)
    assert (last.dead_letters[0].alert_id, last.next_page_token) == ("a1", "")
