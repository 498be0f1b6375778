"""A shopper's copy and erasure over real gRPC, on each engine, and a search of all files for
traces."""

from __future__ import annotations

import gc
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest
import sqlalchemy as sa

from ranker.adapters.model_store import ModelStore
from ranker.domain.erasure import person_hash
from ranker.domain.events import History, Identity, Shopper
from ranker.domain.log import log_of
from ranker.domain.model import UNLEARN
from ranker.domain.pseudonyms import Pseudonyms
from ranker.domain.recipe import recipe_of
from ranker.domain.signals import interests
from ranker.events.backups.consents import ConsentNotes
from ranker.events.backups.purges import NOTES
from ranker.learning.training.sums import popularity
from ranker.record.consent_changes import ConsentRecord
from ranker.record.events import EventRecord
from ranker.record.models import ModelRegistry
from ranker.record.tables import EVENTS, JOBS, METADATA
from servicekit.jobs.queue import Jobs
from servicekit.sql.database import Database
from sightline.common.v1 import event_pb2, job_pb2
from sightline.gateway.v1 import user_event_service_pb2 as gateway_pb
from sightline.ranker.v1 import (
    answer_service_pb2,
    event_service_pb2,
    profile_service_pb2,
    ranking_service_pb2,
)
from sightline.ranker.v1 import privacy_service_pb2 as pb
from sightline.ranker.v1 import privacy_service_pb2_grpc as pb_grpc
from tests import pseudonyms
from tests.peer_stubs import peer_stub
from tests.stores import only_sqlite
from tests.waiting import until
from tests.wire.ranker_suite import (
    ANN,
    USER,
    Suite,
    crowd,
    event,
    refusal,
    suite,
    working,
)
from tests.wire.test_ranker_events import followed, merging

__all__ = ["suite", "working"]

COOKIE = "cookie-of-ann"
QUERY, ORDER, SIZE = "teal corduroy dungarees", "order-775-of-ann", "size-of-ann-42"
KEYS = Pseudonyms(bytes.fromhex(pseudonyms.KEY))
ACTORS = [
    KEYS.of("default", Shopper(Identity.USER, USER)),
    KEYS.of("default", Shopper(Identity.VISITOR, COOKIE)),
]
BOB = event_pb2.Shopper(user_id="bob")


@pytest.fixture
async def privacy_of_suite(suite: Suite) -> AsyncIterator[pb_grpc.PrivacyServiceStub]:
    """Yield a stub of a ranker without a worker."""
    async with grpc.aio.insecure_channel(suite.target) as channel:
        yield peer_stub("ranker", channel, pb_grpc.PrivacyServiceStub)


@pytest.fixture
async def privacy(working: Suite) -> AsyncIterator[pb_grpc.PrivacyServiceStub]:
    async with grpc.aio.insecure_channel(working.target) as channel:
        yield peer_stub("ranker", channel, pb_grpc.PrivacyServiceStub)


async def live(suite: Suite) -> str:
    """Let Ann leave a trace in every store. Return the job of an export."""
    await suite.append(
        *crowd(),
        event("r1", "PURCHASE", order_id=ORDER, session_id="visit-of-ann"),
        event("r2", "PURCHASE", order_id=ORDER),
        event("", "SEARCH", query=QUERY),
        event("w3", shopper=event_pb2.Shopper(visitor_id=COOKIE)),
    )
    await suite.events.MergeShopper(merging())
    async with grpc.aio.insecure_channel(suite.target) as channel:
        stub = peer_stub("ranker", channel)
        given = profile_service_pb2.ShopperAttribute(key="size", text=SIZE)
        request = profile_service_pb2.SetShopperAttributesRequest(
            shopper=ANN, attributes=[given], consent=True
        )
        await stub.SetShopperAttributes(request)
    await suite.promote(await suite.learn())
    draft = ranking_service_pb2.AnswerDraft(answer_id="of-ann")
    await suite.rank(shopper=ANN, record=draft)
    await suite.stored()
    asked = event_service_pb2.ExportEventsRequest(include_order_ids=True, include_queries=True)
    export = await suite.events.ExportEvents(asked)
    assert (await followed(suite, export.job_id)).state == job_pb2.Job.STATE_SUCCEEDED
    some = gateway_pb.PurgeEventsRequest(shopper=ANN, types=[event_pb2.EVENT_TYPE_HIDE], force=True)
    await followed(suite, (await suite.events.PurgeEvents(some)).job.job_id)
    await ConsentNotes(suite.notes()[1], ConsentRecord(suite.database))("default")
    return export.job_id


def traces() -> Iterator[bytes]:
    """Return what must not be found anywhere."""
    for text in (USER, COOKIE, QUERY, ORDER, SIZE, *ACTORS):
        yield text.encode()


def files_with(folder: Path, *wanted: bytes) -> list[tuple[str, bytes]]:
    """Return the files below a folder that hold any of these bytes, plain or unpacked."""
    found = []
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        content = path.read_bytes()
        if path.suffix == ".parquet":
            from pyarrow import parquet

            content += json.dumps(parquet.read_table(path).to_pylist(), default=str).encode()
        found += [(path.name, each) for each in wanted if each in content]
    return found


def rows_with(database: Database, *wanted: bytes) -> list[tuple[str, bytes]]:
    """Return the tables with any of these bytes in a value."""
    found = []
    with database.engine.connect() as connection:
        for table in METADATA.tables.values():
            for row in connection.execute(sa.select(table)):
                content = b"\n".join(
                    bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
                    for value in row
                )
                found += [(table.name, each) for each in wanted if each in content]
    return found


async def vector(suite: Suite) -> bytes:
    """Return Ann's vector in the serving model, as stored."""
    record = await ModelRegistry(suite.database).serving("default")
    assert record is not None
    model = ModelStore(str(suite.folder / "models")).read(*record.key)
    return model.actor_vectors[model.actor_rows[ACTORS[0]]].tobytes()


def erasing(shopper: event_pb2.Shopper = ANN, **fields) -> pb.EraseUserRequest:
    return pb.EraseUserRequest(shopper=shopper, **fields)


async def erased(suite: Suite, privacy: pb_grpc.PrivacyServiceStub) -> pb.Erasure:
    """Erase Ann, and return the receipt."""
    job = await privacy.EraseUser(erasing())
    ended = await followed(suite, job.job_id)
    assert ended.state == job_pb2.Job.STATE_SUCCEEDED, ended
    receipt = await privacy.GetErasure(pb.GetErasureRequest(shopper=ANN))
    assert receipt.job_id == job.job_id
    return receipt


async def test_nothing_of_an_erased_shopper_is_found_in_any_file_or_table(
    working: Suite, privacy: pb_grpc.PrivacyServiceStub
) -> None:
    export = await live(working)
    own = await vector(working)
    noted = list((working.folder / "backups" / NOTES).iterdir())
    assert [ACTORS[0] in each.read_text() for each in noted] == [True, True], "purge and consent"
    left = {each for _, each in files_with(working.folder, *traces(), own)}
    left |= {each for _, each in rows_with(working.database, *traces())}
    assert left == {*traces(), own} - {USER.encode(), COOKIE.encode()}, "the search finds traces"

    last = await privacy.GetLastErasure(pb.GetLastErasureRequest())
    assert not last.HasField("request_time")
    receipt = await erased(working, privacy)
    last = await privacy.GetLastErasure(pb.GetLastErasureRequest())
    assert last.request_time == receipt.request_time
    assert rows_with(working.database, *traces()) == []
    assert files_with(working.folder, *traces(), own) == []
    counts = {one.store: one.erased_count for one in receipt.stores}
    assert counts == {
        "events": 4,
        "answers": 1,
        "attributes": 1,
        "consents": 1,
        "aliases": 1,
        "count_units": 0,
        "models": 1,
        "exports": 4,
        "backups": 0,
        "jobs": 1,
    }
    assert receipt.complete_time.ToMicroseconds() >= receipt.request_time.ToMicroseconds()
    (models,) = [one for one in receipt.stores if one.store == "models"]
    days = (models.due_time.ToDatetime() - receipt.request_time.ToDatetime()).days
    assert (days, bool(models.text)) == (30, True)

    manifest = next((working.folder / "exports").rglob(f"*{export[-8:]}/manifest.json"))
    told = json.loads(manifest.read_text())
    for each in told["files"]:
        content = (manifest.parent / each["name"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == each["sha256"]
    assert told["event_count"] == len(crowd())


def sums(database: Database) -> dict[str, dict[tuple[object, ...], object]]:
    """Return the sums over all shoppers: by table, the last column by the others."""
    names = ("count_pairs", "count_gaps", "count_days", "popularity")
    with database.engine.connect() as connection:
        assert not connection.execute(sa.select(METADATA.tables["count_queue"])).first()
        return {
            name: {
                tuple(row[:-1]): row[-1]
                for row in connection.execute(sa.select(METADATA.tables[name]))
            }
            for name in names
        }


async def counted(database: Database) -> None:
    """Wait until all days are counted."""

    def is_counted() -> bool:
        with database.engine.connect() as connection:
            return not connection.execute(sa.select(METADATA.tables["count_queue"])).first()

    await until(is_counted)


@only_sqlite
async def test_the_process_that_is_asked_drops_histories_from_memory_at_once(
    suite: Suite, privacy_of_suite: pb_grpc.PrivacyServiceStub
) -> None:
    await suite.append(*crowd(), event("r1", "PURCHASE"))
    await suite.promote(await suite.learn())
    await suite.rank(shopper=ANN)
    assert in_memory(ACTORS[0])
    await privacy_of_suite.EraseUser(erasing())
    assert not in_memory(ACTORS[0])


def in_memory(actor: str) -> bool:
    """Return whether this process holds a history of a shopper."""
    gc.collect()
    held = [each for each in gc.get_objects() if isinstance(each, History)]
    return any(each.actor == actor or actor in {one.actor for one in each.recent} for each in held)


async def test_others_keep_all_of_theirs_and_sums_are_as_if_the_erased_had_never_been(
    working: Suite, privacy: pb_grpc.PrivacyServiceStub
) -> None:
    others = [*crowd(), event("w4", "PURCHASE", shopper=BOB, event_id="of-bob", ago=60)]
    await working.append(*others)
    await counted(working.database)
    before = sums(working.database)
    await live(working)
    await counted(working.database)
    assert sums(working.database)["count_pairs"] != before["count_pairs"]
    await erased(working, privacy)
    after = sums(working.database)
    popular, was = after.pop("popularity"), before.pop("popularity")
    assert after == before
    assert popular == pytest.approx(was)
    with working.database.engine.connect() as connection:
        names = set(connection.execute(sa.select(EVENTS.c.event_id)).scalars())
    assert names == {one.event_id for one in others}


@pytest.mark.full
async def test_the_serving_model_answers_on_without_the_erased(
    working: Suite, privacy: pb_grpc.PrivacyServiceStub
) -> None:
    await live(working)
    other = event_pb2.Shopper(user_id="r-0")
    before = await working.rank(weights={"taste": 1.0}, shopper=other)
    assert "taste" in {part.name for part in (await working.rank(shopper=ANN)).parts}
    await erased(working, privacy)

    async def is_forgotten() -> bool:
        answer = await working.rank(shopper=ANN)
        return "taste" not in {part.name for part in answer.parts}

    await until(is_forgotten)
    after = await working.rank(weights={"taste": 1.0}, shopper=other)
    assert (after.model_version, list(after.raw_scores)) == (
        before.model_version,
        list(before.raw_scores),
    )


@pytest.mark.full
async def test_a_job_of_the_worker_subtracts_the_erased_from_sums_of_kept_models(
    working: Suite, privacy: pb_grpc.PrivacyServiceStub
) -> None:
    await live(working)
    await erased(working, privacy)
    jobs = Jobs(working.database, JOBS)
    job = await jobs.create(UNLEARN, "default", {})
    assert (await followed(working, job.id)).state == job_pb2.Job.STATE_SUCCEEDED
    assert (await jobs.get(job.id)).result == {"model_count": "1"}
    record = await ModelRegistry(working.database).serving("default")
    assert record is not None
    store = ModelStore(str(working.folder / "models"))
    model, manifest = store.read(*record.key), store.manifest(*record.key)
    log = log_of(await EventRecord(working.database).interactions("default"))
    found = interests(log, recipe_of(manifest["recipe"]).signals)
    assert model.popularity is not None
    assert model.popularity.tolist() == popularity(found, model.item_ids).tolist()


@pytest.mark.full
async def test_a_copy_holds_all_that_is_stored_in_pages(
    working: Suite, privacy: pb_grpc.PrivacyServiceStub
) -> None:
    await live(working)
    records, token = list[pb.PersonalRecord](), ""
    while True:
        request = pb.ExportUserRequest(shopper=ANN, page_size=2, page_token=token)
        page = await privacy.ExportUser(request)
        assert len(page.records) <= 2
        records += page.records
        if not (token := page.next_page_token):
            break
    whole = await privacy.ExportUser(
        pb.ExportUserRequest(shopper=event_pb2.Shopper(visitor_id=COOKIE), page_size=1_000)
    )
    stored = [one for one in records if one.store != "profile"]  # its figures change with time
    assert list(whole.records)[: len(stored)] == stored, "a merged visitor is the user"
    found: dict[str, list[dict[str, object]]] = {}
    for one in records:
        found.setdefault(one.store, []).append(json.loads(one.json))
    assert {store: len(rows) for store, rows in found.items() if store != "count_units"} == {
        "events": 4,
        "answers": 1,
        "attributes": 1,
        "consents": 1,
        "aliases": 1,
        "jobs": 1,
        "models": 1,
        "profile": 1,
    }
    text = json.dumps(found)
    assert all(each in text for each in (QUERY, ORDER, SIZE, *ACTORS))
    with working.database.engine.connect() as connection:
        for name in ("events", "answers", "attributes", "aliases"):
            row = connection.execute(sa.select(METADATA.tables[name])).first()
            assert row is not None
            assert set(found[name][0]) == set(row._mapping)


@pytest.mark.full
async def test_an_erasure_is_asked_for_twice_and_done_once_until_there_is_something_new(
    working: Suite, privacy: pb_grpc.PrivacyServiceStub
) -> None:
    unknown = await refusal(privacy.EraseUser(erasing()))
    assert unknown.reason == "SHOPPER_NOT_FOUND"
    assert (await refusal(privacy.ExportUser(pb.ExportUserRequest(shopper=ANN)))).reason == (
        "SHOPPER_NOT_FOUND"
    )
    never = await refusal(privacy.GetErasure(pb.GetErasureRequest(shopper=ANN)))
    assert never.reason == "ERASURE_NOT_FOUND"
    searched = await privacy.EraseUser(erasing(BOB, force=True))
    assert (await followed(working, searched.job_id)).state == job_pb2.Job.STATE_SUCCEEDED

    await working.append(event("r1"))
    first = await privacy.EraseUser(erasing())
    assert (await privacy.EraseUser(erasing())).job_id == first.job_id
    await followed(working, first.job_id)
    assert (await privacy.EraseUser(erasing())).job_id == first.job_id
    await working.append(event("r2", event_id="afterwards"))
    second = await privacy.EraseUser(erasing())
    assert second.job_id != first.job_id
    await followed(working, second.job_id)
    assert rows_with(working.database, ACTORS[0].encode()) == []
    assert rows_with(working.database, person_hash(ACTORS[0]).encode())


@pytest.mark.full
async def test_an_erasure_that_failed_is_asked_for_again(
    working: Suite, privacy: pb_grpc.PrivacyServiceStub
) -> None:
    await live(working)
    models = working.folder / "models"
    kept = {path: path.read_bytes() for path in models.rglob("manifest.json")}
    for path in kept:
        path.write_text("damaged")
    failed = await followed(working, (await privacy.EraseUser(erasing())).job_id)
    assert (failed.state, failed.error.message != "") == (job_pb2.Job.STATE_FAILED, True)
    under_way = await privacy.GetErasure(pb.GetErasureRequest(shopper=ANN))
    assert not under_way.HasField("complete_time")
    for path, content in kept.items():
        path.write_bytes(content)
    again = await privacy.EraseUser(erasing(force=True))
    assert again.job_id != failed.job_id
    assert (await followed(working, again.job_id)).state == job_pb2.Job.STATE_SUCCEEDED
    assert files_with(working.folder, *traces()) == []


@pytest.mark.full
async def test_what_the_shopper_does_after_the_request_stays(
    working: Suite, privacy: pb_grpc.PrivacyServiceStub
) -> None:
    await working.append(event("r1"))
    await erased(working, privacy)
    await working.append(event("r2", event_id="new"))
    request = event_service_pb2.GetEventsRequest(shopper=ANN)
    assert [one.event_id for one in (await working.events.GetEvents(request)).events] == ["new"]


@pytest.mark.full
async def test_an_answer_that_waits_while_its_shopper_is_erased_is_not_stored(
    working: Suite, privacy: pb_grpc.PrivacyServiceStub
) -> None:
    await working.append(event("r1"))
    early = answer_service_pb2.AnswerRecord(answer_id="early", shopper=ANN)
    early.answer_time.GetCurrentTime()
    await erased(working, privacy)
    late = answer_service_pb2.AnswerRecord(answer_id="late", shopper=ANN)
    late.answer_time.GetCurrentTime()
    request = answer_service_pb2.RecordAnswersRequest(answers=[early, late])
    assert (await working.answers.RecordAnswers(request)).written_count == 1
    found = await refusal(
        working.answers.GetAnswer(answer_service_pb2.GetAnswerRequest(answer_id="early"))
    )
    assert found.reason == "ANSWER_RECORD_MISSING"
    await working.answers.GetAnswer(answer_service_pb2.GetAnswerRequest(answer_id="late"))


def counting(**fields) -> pb.ExportCountsRequest:
    return pb.ExportCountsRequest(**{"request_id": uuid.uuid4().hex, **fields})


def bad_counts() -> Iterator[tuple[str, pb.ExportCountsRequest]]:
    yield "request_id", pb.ExportCountsRequest(epsilon=1)
    for epsilon in (0.0, -1.0, 10.5, float("nan"), float("inf")):
        yield "epsilon", counting(epsilon=epsilon)
    for most in (-1, 101):
        yield "most_products", counting(epsilon=1, most_products=most)
    yield "attribute", counting(epsilon=1, attribute="Größe")
    yield "types[0]", counting(epsilon=1, types=[99])


@pytest.mark.full
@pytest.mark.parametrize(("field", "request_"), list(bad_counts()))
async def test_bad_orders_of_counts_are_refused_and_spend_nothing(
    privacy: pb_grpc.PrivacyServiceStub, field: str, request_: pb.ExportCountsRequest
) -> None:
    error = await refusal(privacy.ExportCounts(request_))
    assert (error.reason, [one.field for one in error.violations]) == ("REQUEST_INVALID", [field])
    budget = await privacy.GetPrivacyBudget(pb.GetPrivacyBudgetRequest())
    assert (budget.left, len(budget.spendings)) == (3.0, 0)


async def test_a_budget_is_spent_once_for_a_repeated_request_and_refused_when_it_is_spent(
    privacy: pb_grpc.PrivacyServiceStub,
) -> None:
    asked = counting(epsilon=2, request_id="once")
    first = await privacy.ExportCounts(asked)
    assert (await privacy.ExportCounts(asked)).job_id == first.job_id
    budget = await privacy.GetPrivacyBudget(pb.GetPrivacyBudgetRequest())
    assert (budget.epsilon, budget.days, budget.left) == (3.0, 365.0, 1.0)
    assert [one.epsilon for one in budget.spendings] == [2.0]
    error = await refusal(privacy.ExportCounts(counting(epsilon=1.5)))
    assert error.reason == "PRIVACY_BUDGET_SPENT"
    assert "epsilon 1 of" in error.message
    assert (await privacy.ExportCounts(counting(epsilon=1))).job_id != first.job_id
    other = counting(epsilon=3, catalog_id="other")
    assert (await privacy.ExportCounts(other)).job_id, "each catalog has its own"
