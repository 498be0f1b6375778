"""The ranker over real gRPC, on each engine, with a fake retriever and real trainings."""

import asyncio
import contextlib
import math
import os
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp

from ranker.__main__ import bindings, open_key
from ranker.adapters.model_store import ModelStore
from ranker.adapters.retriever import Catalog
from ranker.models.live import LiveModels
from ranker.record.answers import Answer, AnswerLog, AnswerQueue
from ranker.record.models import ModelRegistry
from ranker.record.tables import EVENTS, JOBS, METADATA, MIGRATIONS
from ranker.settings import RankerSettings, TrainSettings, WorkerSettings
from ranker.training.job import Workshop
from ranker.training.job import run as run_training
from ranker.workers.jobs import train_command, work
from servicekit.channel import connect
from servicekit.clock import now_micros
from servicekit.errors import ServiceError
from servicekit.jobs import Jobs
from servicekit.requests import page_token
from servicekit.server import start
from servicekit.sql import Database
from servicekit.status import from_rpc_error, from_status
from sightline.common.v1 import (
    candidate_pb2,
    event_pb2,
    job_pb2,
    job_service_pb2,
    job_service_pb2_grpc,
)
from sightline.ranker.v1 import (
    answer_service_pb2,
    answer_service_pb2_grpc,
    event_service_pb2,
    event_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
    ranking_service_pb2,
    ranking_service_pb2_grpc,
)
from tests.fakes.ranker import FakeProducts, columns, product, serving
from tests.stores import NewStore, address, only_sqlite
from tests.waiting import SECONDS, until

PRODUCTS = [product(f"r{n}", "Red", brand="A") for n in range(6)] + [
    product(f"w{n}", "White", brand="B") for n in range(6)
]
WEIGHTS = {"visual": 1.0, "taste": 1.0, "session": 1.0, "popularity": 1.0}
USER = "ann-the-customer@example.org"
ANN = event_pb2.Shopper(user_id=USER)
HOUR = 3600


@dataclass
class Suite:
    """A running ranker and stubs to call it by."""

    folder: Path
    database: Database
    retriever: FakeProducts
    ranking: ranking_service_pb2_grpc.RankingServiceStub
    events: event_service_pb2_grpc.EventServiceStub
    answers: answer_service_pb2_grpc.AnswerServiceStub
    models: model_service_pb2_grpc.ModelServiceStub
    jobs: job_service_pb2_grpc.JobServiceStub
    target: str
    queue: AnswerQueue

    async def stored(self) -> None:
        """Wait until no answer waits to be stored."""
        await until(lambda: not self.queue._queued._waiting)

    async def append(self, *events: event_pb2.Event, catalog: str = ""):
        request = event_service_pb2.AppendEventsRequest(catalog_id=catalog, events=events)
        return await self.events.AppendEvents(request)

    async def rank(self, products=PRODUCTS, weights=WEIGHTS, **fields):
        request = ranking_service_pb2.RankRequest(
            candidates=columns(products),
            weights=[
                ranking_service_pb2.PartWeight(part=part, weight=weight)
                for part, weight in weights.items()
            ],
            **fields,
        )
        return await self.ranking.Rank(request)

    async def nominate(self, **fields):
        return await self.ranking.Nominate(ranking_service_pb2.NominateRequest(**fields))

    async def train(self, **fields) -> job_pb2.Job:
        """Ask for a training and follow it to its end."""
        job = await self.models.TrainModel(model_service_pb2.TrainModelRequest(**fields))
        watch = job_service_pb2.WatchJobRequest(
            catalog_id=fields.get("catalog_id", ""), job_id=job.job_id
        )
        return [state async for state in self.jobs.WatchJob(watch)][-1]

    async def learn(self, seed: int = 0) -> str:
        """Train without a process of its own, which is quicker; the model's version."""
        settings = TrainSettings()
        channel = connect(settings.retriever_target)
        store = ModelStore(settings.model_store)
        workshop = Workshop(self.database, Catalog(channel), store)
        job = await workshop.jobs.create("train", "default", {"seed": seed})
        try:
            return await run_training(job.id, settings.training, workshop, lambda done, total: None)
        finally:
            await channel.close(None)

    async def promote(self, version: str, *, force: bool = True):
        request = model_service_pb2.PromoteModelRequest(model_version=version, force=force)
        return await self.models.PromoteModel(request)


@pytest.fixture
async def suite(
    tmp_path: Path, new_store: NewStore, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Suite]:
    """A ranker on a free port, its record on each engine."""
    url, store_url = new_store(MIGRATIONS, "ranker.db"), str(tmp_path / "models")
    (tmp_path / "key").write_text("5e" * 32)  # the order of people, and so models, hang on it
    settings = RankerSettings(
        port=0,
        database_url=url,
        model_store=store_url,
        key_file=tmp_path / "key",
        create_key=True,
        catalogs=("default", "other"),
    )
    database = Database(url, migrations=MIGRATIONS)
    key = await open_key(database, settings)
    store = ModelStore(store_url)
    live = LiveModels(
        settings.catalogs, ModelRegistry(database), store.read, settings.nominate_in_memory_items
    )
    await live.start()
    retriever = FakeProducts(PRODUCTS, page=5)
    async with serving(retriever) as target:
        monkeypatch.setenv("RANKER_DATABASE_URL", url)
        monkeypatch.setenv("RANKER_MODEL_STORE", store_url)
        monkeypatch.setenv("RANKER_RETRIEVER_TARGET", target)
        monkeypatch.setenv("RANKER_TRAIN_EPOCHS", "10")
        queue = AnswerQueue(AnswerLog(database), now_micros)
        offered = bindings(settings, database, key, live, store, answers=queue)
        server = await start(offered, settings, "ranker")
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            yield Suite(
                tmp_path,
                database,
                retriever,
                ranking_service_pb2_grpc.RankingServiceStub(channel),
                event_service_pb2_grpc.EventServiceStub(channel),
                answer_service_pb2_grpc.AnswerServiceStub(channel),
                model_service_pb2_grpc.ModelServiceStub(channel),
                job_service_pb2_grpc.JobServiceStub(channel),
                f"127.0.0.1:{server.port}",
                queue,
            )
        await server.stop(0)
        await queue.close(1)
    await live.stop()
    database.close()


@pytest.fixture
async def working(suite: Suite) -> AsyncIterator[Suite]:
    """The same with a worker."""
    stop = asyncio.Event()
    jobs = Jobs(suite.database, JOBS)
    task = asyncio.create_task(work(jobs, train_command, WorkerSettings(poll_seconds=0.05), stop))
    yield suite
    stop.set()
    await task


def event(product_id: str = "r0", what: str = "VIEW", ago: int = 0, **fields) -> event_pb2.Event:
    """Ann's view of a product `ago` seconds ago."""
    values = {
        "event_id": uuid.uuid4().hex,
        "shopper": ANN,
        "type": event_pb2.EventType.Value(f"EVENT_TYPE_{what}"),
        "product_id": product_id,
        "event_time": Timestamp(seconds=now_micros() // 1_000_000 - ago),
        **fields,
    }
    return event_pb2.Event(**values)


async def refusal(call) -> ServiceError:
    """The error that the call is answered with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


def crowd() -> list[event_pb2.Event]:
    """Sixteen people, half of whom buy reds and half whites, within the last days."""
    return [
        event(
            f"{kind}{(person + n) % 5}",
            "PURCHASE",
            ago=(10 - n) * 24 * HOUR + person,
            shopper=event_pb2.Shopper(user_id=f"{kind}-{person}"),
            event_id=f"crowd-{kind}-{person}-{n}",  # the same model every time
        )
        for kind in "rw"
        for person in range(8)
        for n in range(4)
    ]


# ---- events


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
        "not-in-any-catalogue",
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
    """All that the record holds, whatever files it is in."""
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
        suite.events.MergeShopper(event_service_pb2.MergeShopperRequest(**one)),
        suite.events.PurgeEvents(event_service_pb2.PurgeEventsRequest(**one)),
        suite.rank(**one),
        suite.nominate(**one),
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


# ---- ranking without a model


async def test_before_anything_happened_ranking_is_similarity_and_nominates_nothing(
    suite: Suite,
) -> None:
    branch = ranking_service_pb2.BranchSignal(
        branch="visual", similarities=[n / 12 for n in range(12)]
    )
    answer = await suite.rank(branches=[branch])
    assert answer.product_ids[0] == "w5"
    assert answer.model_version == ""
    assert not answer.degradations, "that nothing was learned yet is no loss"
    assert [one.stage for one in answer.stage_timings] == ["history", "score"]
    assert answer.reasons[0].reasons[0].code == "LOOKS_LIKE_QUERY"
    nominated = await suite.nominate()
    assert list(nominated.product_ids) == []
    assert nominated.basis == ranking_service_pb2.NominateResponse.BASIS_UNSPECIFIED


async def test_events_make_popularity_in_the_very_next_request(suite: Suite) -> None:
    await suite.append(event("w3", "PURCHASE"), event("r1"))
    answer = await suite.rank(shopper=event_pb2.Shopper(visitor_id="new"))
    assert list(answer.product_ids[:2]) == ["w3", "r1"]
    assert [part.name for part in answer.parts] == ["popularity"]
    nominated = await suite.nominate()
    assert list(nominated.product_ids) == ["w3", "r1"]
    assert nominated.basis == ranking_service_pb2.NominateResponse.BASIS_POPULARITY


async def test_a_hidden_product_is_gone_for_one_shopper_until_it_is_unhidden(
    suite: Suite,
) -> None:
    await suite.append(event("r0", "HIDE", ago=1))
    hidden = await suite.rank(shopper=ANN)
    assert "r0" not in hidden.product_ids
    assert hidden.hidden_count == 1
    assert len((await suite.rank()).product_ids) == 12
    await suite.append(event("r0", "UNHIDE"))
    assert (await suite.rank(shopper=ANN)).hidden_count == 0


async def test_seen_products_are_dropped_on_request(suite: Suite) -> None:
    await suite.append(event("r0"), event("r1", "PURCHASE"), event("r2", "IMPRESSION"))
    answer = await suite.rank(shopper=ANN, drop_seen=True)
    assert answer.seen_count == 2
    assert {"r0", "r1"}.isdisjoint(answer.product_ids)
    assert "r2" in answer.product_ids


async def test_the_order_is_moved_as_asked_with_moves_that_add_up_and_propensities(
    suite: Suite,
) -> None:
    now = 1_790_000_000_000_000
    request = ranking_service_pb2.RankRequest(
        candidates=columns(PRODUCTS),
        branches=[
            ranking_service_pb2.BranchSignal(
                branch="visual", similarities=[1 - n / 20 for n in range(12)]
            )
        ],
        weights=[ranking_service_pb2.PartWeight(part="visual", weight=1.0)],
        diversity=ranking_service_pb2.Diversity(
            brand_cap=2, cap_places=4, exploration_places=[3], diversity=0.2
        ),
        time_micros=now,
        seed=3,
        top_k=8,
    )
    request.candidates.create_time_micros.extend([1] * 10 + [now - HOUR * 1_000_000] * 2)

    answer = await suite.ranking.Rank(request)

    assert answer.product_ids[2] in {"w4", "w5"}
    assert list(answer.propensities)[:4] == [1, 1, 0.5, 1]
    brands = [item[0] for item in answer.product_ids[:5] if item not in {"w4", "w5"}]
    assert sorted(brands) == ["r", "r", "w", "w"]
    for place, (score_rank, moves) in enumerate(
        zip(answer.score_ranks, answer.moves, strict=True), start=1
    ):
        assert sum(move.places for move in moves.moves) == score_rank - place
    again = await suite.ranking.Rank(request)
    assert list(again.product_ids) == list(answer.product_ids)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"products": []}, "candidates.product_ids"),
        ({"diversity": ranking_service_pb2.Diversity(window=1)}, "diversity.window"),
        ({"time_micros": -1}, "time_micros"),
        ({"products": [PRODUCTS[0]] * 2}, "candidates.product_ids"),
        ({"products": [product("")]}, "candidates.product_ids[0]"),
        ({"products": [product("a\x00b")]}, "candidates.product_ids[0]"),
        ({"products": [product("a", " > ".join("a" * 9))]}, "candidates.category_paths[0]"),
        ({"products": [product("a", "a" * 1046)]}, "candidates.category_paths[0]"),
        ({"top_k": -1}, "top_k"),
        ({"top_k": 10**9}, "top_k"),
        ({"fused": [1.0]}, "fused"),
        ({"fused": [math.nan] * 12}, "fused"),
        ({"weights": {"visual": math.nan}}, "weights[0].weight"),
        ({"weights": {"visual": -1.0}}, "weights[0].weight"),
        ({"weights": {"": 1.0}}, "weights[0].part"),
        ({"shopper": event_pb2.Shopper(user_id="")}, "shopper.user_id"),
        (
            {"branches": [ranking_service_pb2.BranchSignal(branch="v", similarities=[1.0])]},
            "branches[0].similarities",
        ),
        (
            {
                "branches": [
                    ranking_service_pb2.BranchSignal(branch="v", similarities=[math.inf] * 12)
                ]
            },
            "branches[0].similarities",
        ),
        (
            {
                "branches": [
                    ranking_service_pb2.BranchSignal(branch="taste", similarities=[0.0] * 12)
                ]
            },
            "branches[0].branch",
        ),
    ],
)
async def test_a_bad_rank_request_is_refused_by_its_field(
    suite: Suite, fields: dict[str, object], field: str
) -> None:
    error = await refusal(suite.rank(**fields))
    assert error.reason == "REQUEST_INVALID"
    assert error.violations[0].field == field


async def test_a_column_of_another_length_is_refused_by_its_name(suite: Suite) -> None:
    request = ranking_service_pb2.RankRequest(
        candidates=candidate_pb2.CandidateColumns(product_ids=["a", "b"], brands=["x"])
    )
    error = await refusal(suite.ranking.Rank(request))
    assert error.violations[0].field == "candidates.brands"


@pytest.mark.parametrize("top_k", [-1, 1001])
async def test_too_many_nominees_are_refused(suite: Suite, top_k: int) -> None:
    assert (await refusal(suite.nominate(top_k=top_k))).reason == "REQUEST_INVALID"


# ---- answers


async def test_an_answer_is_kept_without_its_shopper_and_its_first_content_stays(
    suite: Suite,
) -> None:
    record = answer_service_pb2.AnswerRecord(answer_id="a-1", shopper=ANN, seed=7, scene="home")
    product_ = record.products.add(product_id="r0", raw_score=1.5)
    product_.parts.add(name="visual", value=1.5)
    request = answer_service_pb2.RecordAnswersRequest(answers=[record])
    assert (await suite.answers.RecordAnswers(request)).written_count == 1
    request.answers[0].seed = 8
    assert (await suite.answers.RecordAnswers(request)).written_count == 0
    get = answer_service_pb2.GetAnswerRequest(answer_id="a-1")
    record.ClearField("shopper")
    record.total_count = 1
    assert await suite.answers.GetAnswer(get) == record


async def test_what_was_ranked_is_kept_and_read_by_pages_before_and_after_it_is_stored(
    suite: Suite,
) -> None:
    draft = ranking_service_pb2.AnswerDraft(answer_id="r-1", arms=["a"], branch_names=["visual"])
    draft.branches.extend([1] * len(PRODUCTS))
    branch = ranking_service_pb2.BranchSignal(
        branch="visual", similarities=[1 - n / 20 for n in range(12)]
    )
    page = await suite.rank(
        branches=[branch], record=draft, shopper=ANN, top_k=3, reason_top_k=0, collapse=True,
        same_pictures=[0, 1],
    )  # fmt: skip
    assert (page.recorded, page.total_count, page.collapsed_count) == (True, 11, 1)
    assert [list(one.product_ids) for one in page.collapsed] == [["r1"], [], []]
    get = answer_service_pb2.GetAnswerRequest(answer_id="r-1", offset=3, limit=4, as_columns=True)
    queued = await suite.answers.GetAnswer(get)
    assert list(queued.columns.product_ids) == ["r4", "r5", "w0", "w1"]
    assert (queued.total_count, list(queued.arms), queued.products) == (11, ["a"], [])
    await suite.stored()
    assert await suite.answers.GetAnswer(get) == queued
    first = answer_service_pb2.GetAnswerRequest(answer_id="r-1", limit=2)
    rows = (await suite.answers.GetAnswer(first)).products
    assert [one.product_id for one in rows] == list(page.product_ids)[:2]
    assert [one.raw_score for one in rows] == list(page.raw_scores)[:2]
    assert (list(rows[0].collapsed_product_ids), list(rows[0].branches)) == (["r1"], ["visual"])
    beyond = answer_service_pb2.GetAnswerRequest(answer_id="r-1", offset=11)
    assert not (await suite.answers.GetAnswer(beyond)).products
    get.limit = 2001
    assert (await refusal(suite.answers.GetAnswer(get))).reason == "REQUEST_INVALID"


async def test_columns_are_kept_as_products_are_and_refused_when_they_do_not_fit(
    suite: Suite,
) -> None:
    columns = answer_service_pb2.AnsweredColumns(product_ids=["a", "b"], raw_scores=bytes(16))
    record = answer_service_pb2.AnswerRecord(answer_id="c-1", columns=columns)
    request = answer_service_pb2.RecordAnswersRequest(answers=[record])
    assert (await suite.answers.RecordAnswers(request)).written_count == 1
    got = await suite.answers.GetAnswer(answer_service_pb2.GetAnswerRequest(answer_id="c-1"))
    assert [(one.product_id, one.score_rank) for one in got.products] == [("a", 1), ("b", 2)]
    request.answers[0].columns.raw_scores = bytes(8)
    error = await refusal(suite.answers.RecordAnswers(request))
    assert error.violations[0].field == "answers[0].columns.raw_scores"


async def test_a_record_of_an_earlier_release_is_missing_like_one_that_has_expired(
    suite: Suite,
) -> None:
    record = answer_service_pb2.AnswerRecord(answer_id="o-1")
    record.products.add(product_id="p1", score_rank=1).reasons.add(code="NEW")
    old = Answer("default", "o-1", "", "k", record.SerializeToString(), 2 * now_micros())
    await AnswerLog(suite.database).write([old], now_micros())
    get = answer_service_pb2.GetAnswerRequest(answer_id="o-1")
    assert (await refusal(suite.answers.GetAnswer(get))).reason == "ANSWER_RECORD_MISSING"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"record": {"answer_id": "a b"}}, "record.answer_id"),
        ({"record": {"answer_id": "a", "request_digest": b"x"}}, "record.request_digest"),
        ({"record": {"answer_id": "a", "arms": [""]}}, "record.arms"),
        ({"record": {"answer_id": "a", "branches": [1]}}, "record.branches"),
        ({"record": {"answer_id": "a", "matched_image_ids": ["i"]}}, "record.matched_image_ids"),
        ({"record": {"answer_id": "a", "expire_time_micros": -1}}, "record.expire_time_micros"),
        ({"collapse": True, "same_pictures": [1]}, "same_pictures"),
        ({"collapse": True, "same_pictures": [1, 12]}, "same_pictures"),
        (
            {"collapse": True, "query_products": {"product_ids": ["a"], "parent_ids": ["b", "c"]}},
            "query_products.parent_ids",
        ),
    ],
)
async def test_a_bad_draft_or_likeness_is_refused_by_its_field(
    suite: Suite, fields: dict[str, object], field: str
) -> None:
    assert (await refusal(suite.rank(**fields))).violations[0].field == field


async def test_an_answer_that_has_expired_or_was_never_there_is_missing(suite: Suite) -> None:
    record = answer_service_pb2.AnswerRecord(answer_id="a", expire_time=Timestamp(seconds=1))
    await suite.answers.RecordAnswers(answer_service_pb2.RecordAnswersRequest(answers=[record]))
    for answer_id, catalog in (("a", ""), ("never", ""), ("a", "other")):
        get = answer_service_pb2.GetAnswerRequest(answer_id=answer_id, catalog_id=catalog)
        assert (await refusal(suite.answers.GetAnswer(get))).reason == "ANSWER_RECORD_MISSING"


@pytest.mark.parametrize("answer_id", ["", "a b", "x" * 65, "'; DROP TABLE answers; --"])
async def test_an_odd_answer_id_is_refused(suite: Suite, answer_id: str) -> None:
    record = answer_service_pb2.AnswerRecord(answer_id=answer_id)
    request = answer_service_pb2.RecordAnswersRequest(answers=[record])
    assert (await refusal(suite.answers.RecordAnswers(request))).reason == "REQUEST_INVALID"


# ---- models


async def test_a_trained_and_promoted_model_moves_what_was_viewed_up(working: Suite) -> None:
    await working.append(*crowd())
    job = await working.train(request_id="first")
    assert job.state == job_pb2.Job.STATE_SUCCEEDED
    assert job.done == job.total > 0
    version = job.results[0].value
    assert working.retriever.catalogs == ["default"] * 3

    listed = await working.models.ListModels(model_service_pb2.ListModelsRequest())
    assert [one.model_version for one in listed.models] == [version]
    assert listed.models[0].state == model_service_pb2.Model.STATE_READY
    assert listed.models[0].event_count == 64
    promoted = await working.promote(version)
    assert promoted.state == model_service_pb2.Model.STATE_PROMOTED
    assert promoted.HasField("promote_time")

    new = event_pb2.Shopper(visitor_id="new")
    before = await working.rank(shopper=new)
    assert before.model_version == version
    assert [part.name for part in before.parts] == ["popularity"]
    for _ in range(3):
        await working.append(event("w5", shopper=new))
    after = await working.rank(shopper=new)
    assert [part.name for part in after.parts] == ["session"]
    assert list(after.degradations) == []
    whites = [f"w{n}" for n in range(6)]
    assert _mean_rank(after, whites) < _mean_rank(before, whites)
    for place in range(12):
        parts = [part.values[place] for part in after.parts]
        assert abs(after.raw_scores[place] - sum(parts)) <= 1e-6 * sum(map(abs, parts))

    known = await working.nominate(shopper=event_pb2.Shopper(user_id="w-0"), top_k=3)
    assert known.basis == ranking_service_pb2.NominateResponse.BASIS_LONG_TERM
    assert {item[0] for item in known.product_ids} == {"w"}
    await working.append(event("w4", shopper=new))
    fresh = await working.nominate(shopper=new, top_k=3, exclude_product_ids=["w4", "w5"])
    assert fresh.basis == ranking_service_pb2.NominateResponse.BASIS_SESSION
    assert {item[0] for item in fresh.product_ids} == {"w"}
    taste = await working.rank(shopper=event_pb2.Shopper(user_id="w-0"))
    codes = {reason.code for one in taste.reasons for reason in one.reasons}
    assert codes & {"MATCHES_TASTE", "SIMILAR_TO_VIEWED"}


async def test_the_same_request_starts_one_job_and_jobs_are_listed_newest_first(
    suite: Suite,
) -> None:
    request = model_service_pb2.TrainModelRequest(request_id="again")
    one = await suite.models.TrainModel(request)
    same = await suite.models.TrainModel(request)
    other = await suite.models.TrainModel(model_service_pb2.TrainModelRequest())
    assert one.job_id == same.job_id != other.job_id
    assert one.state == job_pb2.Job.STATE_PENDING
    jobs = await suite.jobs.ListJobs(job_service_pb2.ListJobsRequest(kind="train", page_size=1))
    assert [job.job_id for job in jobs.jobs] == [other.job_id]
    rest = job_service_pb2.ListJobsRequest(kind="train", page_token=jobs.next_page_token)
    assert [job.job_id for job in (await suite.jobs.ListJobs(rest)).jobs] == [one.job_id]
    rest.kind = "evaluate"
    assert (await refusal(suite.jobs.ListJobs(rest))).reason == "PAGE_TOKEN_INVALID"


async def test_a_publication_is_asked_for_once_and_of_a_model_that_is_there(
    suite: Suite,
) -> None:
    ask, request = suite.models.PublishModel, model_service_pb2.PublishModelRequest
    assert (await refusal(ask(request()))).reason == "MODEL_NOT_FOUND"  # none serves
    assert (await refusal(ask(request(model_version="m9")))).reason == "MODEL_NOT_FOUND"
    assert (await refusal(ask(request(request_id="i" * 129)))).reason == "REQUEST_INVALID"
    await suite.append(*crowd())
    version = await suite.learn()
    named = await ask(request(model_version=version, request_id="once"))
    again = await ask(request(model_version=version, request_id="once"))
    assert (named.kind, named.state) == ("publish", job_pb2.Job.STATE_PENDING)
    assert named.job_id == again.job_id
    await suite.models.PromoteModel(
        model_service_pb2.PromoteModelRequest(model_version=version, force=True)
    )
    assert (await ask(request())).job_id != named.job_id
    other = await refusal(ask(request(catalog_id="other", model_version=version)))
    assert other.reason == "MODEL_NOT_FOUND"


async def test_trained_again_on_the_same_data_it_is_the_same_model(suite: Suite) -> None:
    await suite.append(*crowd())
    assert await suite.learn() == await suite.learn()
    listed = await suite.models.ListModels(model_service_pb2.ListModelsRequest())
    assert len(listed.models) == 1


async def test_without_anything_to_learn_from_a_training_fails_and_says_why(
    working: Suite,
) -> None:
    job = await working.train()
    assert job.state == job_pb2.Job.STATE_FAILED
    assert from_status(job.error).reason == "TRAINING_DATA_INSUFFICIENT"


async def test_a_waiting_job_can_be_cancelled_and_one_of_another_catalog_not_be_seen(
    suite: Suite,
) -> None:
    job = await suite.models.TrainModel(model_service_pb2.TrainModelRequest())
    elsewhere = {"catalog_id": "other", "job_id": job.job_id}
    for call in (
        suite.jobs.GetJob(job_service_pb2.GetJobRequest(**elsewhere)),
        suite.jobs.CancelJob(job_service_pb2.CancelJobRequest(**elsewhere)),
        suite.jobs.GetJob(job_service_pb2.GetJobRequest(job_id="ranker/none")),
    ):
        assert (await refusal(call)).reason == "JOB_NOT_FOUND"
    cancel = job_service_pb2.CancelJobRequest(job_id=job.job_id)
    assert (await suite.jobs.CancelJob(cancel)).state == job_pb2.Job.STATE_CANCELLED


async def test_promoting_while_ranking_loses_no_request_and_the_next_one_is_served_by_it(
    suite: Suite,
) -> None:
    await suite.append(*crowd())
    versions = [await suite.learn(seed) for seed in range(2)]
    assert versions[0] != versions[1]
    await suite.promote(versions[0])
    seen: list[str] = []
    stop = asyncio.Event()

    async def ask() -> None:
        while not stop.is_set():
            answer = await suite.rank(shopper=event_pb2.Shopper(user_id="r-1"))
            assert len(answer.product_ids) == 12
            seen.append(answer.model_version)

    asking = [asyncio.create_task(ask()) for _ in range(8)]
    for turn in range(10):
        await suite.promote(versions[(turn + 1) % 2])
        now = await suite.rank()
        assert now.model_version == versions[(turn + 1) % 2]
    back = await suite.models.RollbackModel(model_service_pb2.RollbackModelRequest())
    assert (await suite.rank()).model_version == back.model_version == versions[1]
    stop.set()
    await asyncio.gather(*asking)
    assert set(seen) == set(versions)


async def test_a_tampered_model_is_not_promoted_and_the_former_one_goes_on(
    suite: Suite,
) -> None:
    await suite.append(*crowd())
    good, bad = [await suite.learn(seed) for seed in range(2)]
    await suite.promote(good)
    arrays = suite.folder / "models" / "default" / bad / "model.npz"
    content = bytearray(arrays.read_bytes())
    content[len(content) // 2] ^= 1
    arrays.write_bytes(content)
    assert (await refusal(suite.promote(bad))).reason == "MODEL_CORRUPT"
    assert (await refusal(suite.promote("lfm-none"))).reason == "MODEL_NOT_FOUND"
    assert (await suite.rank()).model_version == good


@asynccontextmanager
async def worker_process() -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker as it really runs, with claims of five seconds."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ranker.worker"),
        env=os.environ | {"RANKER_LEASE_SECONDS": "5", "RANKER_POLL_SECONDS": "0.1"},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def children(pid: int) -> list[int]:
    """Ids of the process's children."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(stat[1]) == pid and stat[0] != "Z":
                    found.append(int(entry.name))
    return found


async def test_a_killed_worker_takes_its_training_along_and_another_one_finishes_the_job(
    suite: Suite,
) -> None:
    await suite.append(*crowd())
    suite.retriever.gate = asyncio.Event()
    asked = await suite.models.TrainModel(model_service_pb2.TrainModelRequest())
    async with worker_process() as first:
        await asyncio.wait_for(suite.retriever.asked.wait(), SECONDS)
        (training,) = children(first.pid)
        first.kill()
        await first.wait()
        async with asyncio.timeout(SECONDS):
            while _state(training) != "Z":  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    suite.retriever.gate.set()
    async with worker_process():
        watch = job_service_pb2.WatchJobRequest(job_id=asked.job_id)
        job = [state async for state in suite.jobs.WatchJob(watch)][-1]
    assert job.state == job_pb2.Job.STATE_SUCCEEDED
    kept = await Jobs(suite.database, JOBS).get(asked.job_id.removeprefix("ranker/"))
    assert kept.attempts == 2
    listed = await suite.models.ListModels(model_service_pb2.ListModelsRequest())
    assert [one.model_version for one in listed.models] == [job.results[0].value]


async def test_a_page_token_with_half_a_character_is_refused(suite: Suite) -> None:
    token = page_token(("default", ""), "\ud800")
    call = suite.jobs.ListJobs(job_service_pb2.ListJobsRequest(page_token=token))
    assert (await refusal(call)).reason == "PAGE_TOKEN_INVALID"


async def test_what_one_catalog_did_and_learned_is_unknown_in_another(suite: Suite) -> None:
    await suite.append(*crowd())
    await suite.promote(await suite.learn())
    other = await suite.rank(catalog_id="other", shopper=event_pb2.Shopper(user_id="r-1"))
    assert other.model_version == ""
    assert set(other.raw_scores) == {0.0}
    assert list((await suite.nominate(catalog_id="other")).product_ids) == []


def _state(pid: int) -> str:
    """The process's state, "Z" once it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def _mean_rank(answer: ranking_service_pb2.RankResponse, ids: list[str]) -> float:
    return sum(list(answer.product_ids).index(item) for item in ids) / len(ids)
