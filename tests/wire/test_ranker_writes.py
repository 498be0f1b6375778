"""Events written and read back, and rejections of every call, over real gRPC, on each engine."""

import asyncio
import math

import pytest
import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp

from ranker.record.tables import EVENTS, METADATA
from servicekit.jobs.queue import now_micros
from servicekit.rpc.requests import page_token
from servicekit.status import from_status
from sightline.common.v1 import event_pb2, job_service_pb2
from sightline.gateway.v1 import user_event_service_pb2 as gateway_pb
from sightline.ranker.v1 import answer_service_pb2, event_service_pb2, model_service_pb2
from tests.stores import address, only_sqlite
from tests.wire.ranker_suite import ANN, USER, Suite, event, refusal, suite

__all__ = ["suite"]  # fixtures


async def test_an_event_counts_once_however_often_it_is_written(suite: Suite) -> None:
    one = event()
    first = await suite.append(one, one)
    again = await suite.append(one)
    assert (first.written_count, first.duplicate_count) == (1, 1)
    assert (again.written_count, again.duplicate_count) == (0, 1)
    assert {status.code for status in [*first.statuses, *again.statuses]} == {0}
    request = event_service_pb2.GetEventsRequest(shopper=ANN)
    assert len((await suite.events.GetEvents(request)).events) == 1


async def test_bad_events_are_refused_one_by_one_with_their_reasons(suite: Suite) -> None:
    good, future, nan, nobody = event(), event(ago=-400), event(value=math.nan), event()
    nobody.ClearField("shopper")
    wild = event(event_time=Timestamp(seconds=2**62))
    conflict = event("r1", event_id=good.event_id)
    odd = event()
    odd.type = 77
    answer = await suite.append(good, future, nan, nobody, wild, conflict, odd)
    reasons = [from_status(status).reason if status.code else "" for status in answer.statuses]
    assert reasons == [
        "",
        "EVENT_TIME_INVALID",
        "EVENT_INVALID",
        "EVENT_INVALID",
        "EVENT_TIME_INVALID",
        "EVENT_CONFLICT",
        "EVENT_INVALID",
    ]
    assert answer.written_count == 1
    assert from_status(answer.statuses[3]).violations[0].field == "shopper"


async def test_an_event_of_an_unknown_product_is_kept_and_given_back_whole(suite: Suite) -> None:
    given = event(
        "not-in-any-catalog",
        "PURCHASE",
        quantity=2,
        order_id="o-1",
        scene="home",
        value=1.5,
        attribution_token="token",
    )
    given.unit_price.currency_code, given.unit_price.units = "EUR", 12
    given.unit_price.nanos = 340_000_000
    await suite.append(given)
    (back,) = (await suite.events.GetEvents(event_service_pb2.GetEventsRequest(shopper=ANN))).events
    assert abs(back.receive_time.seconds - now_micros() / 1e6) < 60
    back.ClearField("receive_time")
    given.ClearField("shopper")
    assert back == given


async def test_pages_of_events_are_newest_first(suite: Suite) -> None:
    await suite.append(*(event(event_id=f"e{n}", ago=100 - n) for n in range(5)))
    request = event_service_pb2.GetEventsRequest(shopper=ANN, page_size=2)
    found = []
    while True:
        page = await suite.events.GetEvents(request)
        found += [one.event_id for one in page.events]
        request.page_token = page.next_page_token
        if not page.next_page_token:
            break
    assert found == ["e4", "e3", "e2", "e1", "e0"]


async def test_nothing_at_rest_names_anybody(suite: Suite) -> None:
    await suite.append(
        event(session_id="visit-4711-of-ann"),
        event(shopper=event_pb2.Shopper(visitor_id="cookie-0815")),
    )
    record = answer_service_pb2.AnswerRecord(answer_id="a1", shopper=ANN)
    request = answer_service_pb2.RecordAnswersRequest(answers=[record])
    await suite.answers.RecordAnswers(request)
    places = {str(path): path.read_bytes() for path in suite.folder.rglob("*") if path.is_file()}
    places |= await suite.database.read(tables)
    assert len(places["events"]) > 500
    for place, content in places.items():
        for name in (USER.encode(), b"visit-4711", b"cookie-0815"):
            assert name not in content, place


def tables(connection: sa.Connection) -> dict[str, bytes]:
    """Return the content of the record in all of its files."""
    held = {}
    for table in METADATA.sorted_tables:
        rows = connection.execute(sa.select(table)).all()
        texts = (
            one if isinstance(one, bytes) else str(one).encode() for row in rows for one in row
        )
        held[table.name] = b"\n".join(texts)
    return held


@only_sqlite
async def test_every_connection_writes_ahead_and_waits_for_the_disk(suite: Suite) -> None:
    def pragmas(connection) -> tuple[str, int]:
        journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
        return journal, connection.exec_driver_sql("PRAGMA synchronous").scalar()

    found = await asyncio.gather(*(suite.database.read(pragmas) for _ in range(8)))
    assert {*found, await suite.database.write(pragmas)} == {("wal", 2)}


async def test_an_acknowledged_event_is_there_for_any_other_process(suite: Suite) -> None:
    await suite.append(event(event_id="durable"))
    other = sa.create_engine(address(suite.database), poolclass=sa.NullPool)
    with other.connect() as connection:
        assert connection.execute(sa.select(EVENTS.c.event_id)).all() == [("durable",)]


@pytest.mark.parametrize("count", [0, 1001])
async def test_a_batch_of_none_or_too_many_is_refused(suite: Suite, count: int) -> None:
    error = await refusal(suite.append(*[event()] * count))
    assert (error.reason, error.violations[0].field) == ("REQUEST_INVALID", "events")


async def test_an_undeclared_catalog_is_refused_by_every_call(suite: Suite) -> None:
    one = {"catalog_id": "nobodys"}
    calls = [
        suite.append(event(), catalog="nobodys"),
        suite.events.GetEvents(event_service_pb2.GetEventsRequest(**one)),
        suite.events.MergeShopper(gateway_pb.MergeShopperRequest(**one)),
        suite.events.PurgeEvents(gateway_pb.PurgeEventsRequest(**one)),
        suite.rank(**one),
        suite.generate(**one),
        suite.answers.RecordAnswers(answer_service_pb2.RecordAnswersRequest(**one)),
        suite.answers.GetAnswer(answer_service_pb2.GetAnswerRequest(**one)),
        suite.models.TrainModel(model_service_pb2.TrainModelRequest(**one)),
        suite.models.ListModels(model_service_pb2.ListModelsRequest(**one)),
        suite.models.PromoteModel(model_service_pb2.PromoteModelRequest(**one)),
        suite.models.PublishModel(model_service_pb2.PublishModelRequest(**one)),
        suite.models.RollbackModel(model_service_pb2.RollbackModelRequest(**one)),
        suite.jobs.GetJob(job_service_pb2.GetJobRequest(**one)),
        suite.jobs.ListJobs(job_service_pb2.ListJobsRequest(**one)),
        suite.jobs.CancelJob(job_service_pb2.CancelJobRequest(**one)),
        suite.jobs.WatchJob(job_service_pb2.WatchJobRequest(**one)).read(),
    ]
    assert {(await refusal(call)).reason for call in calls} == {"CATALOG_NOT_FOUND"}


async def test_a_page_token_with_half_a_character_is_refused(suite: Suite) -> None:
    token = page_token(("default", ""), "\ud800")
    call = suite.jobs.ListJobs(job_service_pb2.ListJobsRequest(page_token=token))
    assert (await refusal(call)).reason == "PAGE_TOKEN_INVALID"
