"""Events and rollbacks through a real gateway and a real ranker."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc
import pytest

from gateway.settings import GatewaySettings
from gateway.state.scenes import SceneFiles
from gateway.wiring import build
from servicekit.admission.access import PeerName
from servicekit.keys.keyring import open_keys
from servicekit.rpc.owned import idempotent_of
from servicekit.rpc.server import start
from sightline.common.v1 import event_pb2, job_service_pb2, job_service_pb2_grpc
from sightline.gateway.v1 import admin_service_pb2_grpc, user_event_service_pb2_grpc
from sightline.gateway.v1 import user_event_service_pb2 as pb
from sightline.ranker.v1 import model_service_pb2
from tests.wire.ranker_suite import ANN, Suite, crowd, event, refusal, suite

__all__ = ["suite"]

COOKIE = event_pb2.Shopper(visitor_id="cookie-of-ann")


@dataclass
class Front:
    """A gateway before a real ranker, with neither embedder nor retriever."""

    ranker: Suite
    events: user_event_service_pb2_grpc.UserEventServiceStub
    admin: admin_service_pb2_grpc.AdminServiceStub
    jobs: job_service_pb2_grpc.JobServiceStub


@pytest.fixture
async def front(suite: Suite) -> AsyncIterator[Front]:
    settings = GatewaySettings(port=0, ranker_target=suite.target, catalogs=("default", "other"))
    gateway = build(settings, SceneFiles(), open_keys)
    server = await start(gateway.bindings, settings, "gateway")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield Front(
            suite,
            user_event_service_pb2_grpc.UserEventServiceStub(channel),
            admin_service_pb2_grpc.AdminServiceStub(channel),
            job_service_pb2_grpc.JobServiceStub(channel),
        )
    await server.stop()
    await gateway.close(0.1)


def merging(source, target, **fields) -> pb.MergeShopperRequest:
    return pb.MergeShopperRequest(**{"from": source, "to": target}, **fields)


async def test_a_visitor_is_merged_in_its_own_catalog(front: Front) -> None:
    one = event(shopper=COOKIE)
    await front.events.WriteEvents(pb.WriteEventsRequest(catalog_id="other", events=[one]))
    here = await front.events.MergeShopper(merging(COOKIE, ANN))
    there = await front.events.MergeShopper(merging(COOKIE, ANN, catalog_id="other"))
    assert (here.moved_count, there.moved_count) == (0, 1)


async def test_a_refused_merge_names_the_field(front: Front) -> None:
    error = await refusal(front.events.MergeShopper(merging(ANN, ANN)))
    assert (error.reason, error.violations[0].field) == ("REQUEST_INVALID", "from.visitor_id")
    error = await refusal(front.events.MergeShopper(merging(COOKIE, COOKIE)))
    assert (error.reason, error.violations[0].field) == ("REQUEST_INVALID", "to.user_id")


async def test_a_purge_is_counted_and_its_job_followed(front: Front) -> None:
    events = [event(event_id="e1"), event("r1", "IMPRESSION", event_id="e2")]
    await front.events.WriteEvents(pb.WriteEventsRequest(events=events))
    conditions = {"types": [event_pb2.EVENT_TYPE_IMPRESSION], "shopper": ANN}
    counted = await front.events.PurgeEvents(pb.PurgeEventsRequest(**conditions))
    assert (counted.event_count, counted.HasField("job")) == (1, False)
    assert counted.first_event_time == counted.last_event_time == events[1].event_time
    forced = await front.events.PurgeEvents(pb.PurgeEventsRequest(**conditions, force=True))
    get = job_service_pb2.GetJobRequest(job_id=forced.job.job_id)
    assert (await front.jobs.GetJob(get)).kind == "purge_events"


async def test_a_count_of_nothing_has_no_times(front: Front) -> None:
    counted = await front.events.PurgeEvents(pb.PurgeEventsRequest(product_id="never"))
    assert counted == pb.PurgeEventsResponse()


@pytest.mark.parametrize(
    ("conditions", "field"),
    [({}, "before_time"), ({"shopper": event_pb2.Shopper()}, "shopper")],
)
async def test_a_condition_that_is_absent_or_empty_does_not_become_everybody(
    front: Front, conditions: dict[str, object], field: str
) -> None:
    error = await refusal(front.events.PurgeEvents(pb.PurgeEventsRequest(**conditions, force=True)))
    assert (error.reason, error.violations[0].field) == ("REQUEST_INVALID", field)


async def test_a_model_is_rolled_back(front: Front) -> None:
    await front.ranker.append(*crowd())
    first, second = await front.ranker.learn(1), await front.ranker.learn(2)
    for version in (first, second):
        request = model_service_pb2.PromoteModelRequest(model_version=version, force=True)
        await front.admin.PromoteModel(request)
    back = model_service_pb2.RollbackModelRequest()
    assert (await front.admin.RollbackModel(back)).model_version == first
    assert (await refusal(front.admin.RollbackModel(back))).reason == "MODEL_NOT_FOUND"


async def test_an_undeclared_catalog_is_not_found(front: Front) -> None:
    calls = [
        front.events.MergeShopper(pb.MergeShopperRequest(catalog_id="nope")),
        front.events.PurgeEvents(pb.PurgeEventsRequest(catalog_id="nope")),
        front.admin.RollbackModel(model_service_pb2.RollbackModelRequest(catalog_id="nope")),
    ]
    for call in calls:
        assert (await refusal(call)).reason == "CATALOG_NOT_FOUND"


def test_a_rollback_whose_answer_was_lost_is_not_repeated() -> None:
    methods = {method for _, method in idempotent_of(PeerName.RANKER)}
    assert "PromoteModel" in methods
    assert not methods & {"RollbackModel", "PurgeEvents"}
