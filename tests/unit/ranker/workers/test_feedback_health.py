"""The worker's findings about feedback, on real records of answers and events in a real store."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import REGISTRY

from ranker.adapters.model_store import ModelStore
from ranker.domain.events import DAY_MICROS, EventType, Identity, Shopper
from ranker.domain.model import ModelRecord
from ranker.domain.online import JoinCounts, Period
from ranker.learning.feedback import answered, health
from ranker.record.answer_feedback import FeedbackRecord
from ranker.record.answers import AnswerLog, StoredAnswer
from ranker.record.events import EventRecord
from ranker.record.models import ModelRegistry
from ranker.record.online import OnlineRecord
from ranker.workers.feedback_health import Watch
from servicekit.sql.database import Database
from sightline.common.v1 import answer_pb2
from sightline.ranker.v1 import answer_service_pb2 as pb
from tests.fakes.answered import of_products
from tests.fakes.ranker import NOW, model, stored

TODAY = NOW // DAY_MICROS * DAY_MICROS
EVERYTHING = Period(0, NOW + DAY_MICROS, DAY_MICROS)
PLACES = 4


def gauge(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"sightline_feedback_{name}", labels)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(str(tmp_path / "models"))


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


def watch(db: Database, store: ModelStore, clock: Clock, seconds: float = 3600) -> Watch:
    compared = partial(health.windows, days=7, reference_days=28)
    return Watch(db, store, ("default",), seconds, compared, clock=clock)


async def serve(db: Database, store: ModelStore, version: str = "m1", *, promote: bool = True):
    made = model({f"p{n}": [float(n)] for n in range(PLACES)}, version=version)
    digest = store.write("default", made, {})
    row = ModelRecord("default", version, digest, NOW, 1, 1, 1, 1, 1, ())
    await ModelRegistry(db).add(row)
    if promote:
        await ModelRegistry(db).promote("default", version, NOW)


def record(answer_id: str, version: str, rng: np.random.Generator) -> pb.AnswerRecord:
    """Return a record with products by score; in half of the answers the first two are swapped."""
    scores = np.sort(rng.normal(size=PLACES))[::-1]
    order = [1, 0, *range(2, PLACES)] if rng.random() < 0.5 else list(range(PLACES))
    products = [
        pb.AnsweredProduct(
            product_id=f"p{place}",
            raw_score=scores[place],
            parts=[answer_pb2.ScorePart(name="taste", value=scores[place])],
            propensity=0.5 if place < 2 else 1.0,
        )
        for place in order
    ]
    return pb.AnswerRecord(answer_id=answer_id, columns=of_products(products))


async def live(db: Database, days: range, a_day: int = 20, version: str = "m1") -> None:
    """Write this many answers on each of these days before today, all seen, a fifth of them
    clicked."""
    rng = np.random.default_rng(days.start)
    answers, events = [], []
    for day in days:
        for n in range(a_day):
            answer_id = f"a-{day}-{n}"
            at = TODAY - day * DAY_MICROS + n
            kept = record(answer_id, version, rng)
            content = kept.SerializeToString()
            answers.append(
                StoredAnswer("default", answer_id, "", "k", content, NOW * 2, at, version, "home")
            )
            fields = {
                "shopper": Shopper(Identity.USER, f"u{n}-{day}"),
                "time_micros": at,
                "answer_id": answer_id,
                "attribution_token": "t",
            }
            for place, item in enumerate(kept.columns.product_ids, start=1):
                shown = {"type": EventType.IMPRESSION, "position": place}
                events.append(stored(f"i-{answer_id}-{item}", product_id=item, **shown, **fields))
                if rng.random() < 0.2:
                    clicked = {"type": EventType.CLICK, "position": place}
                    one = stored(f"c-{answer_id}-{item}", product_id=item, **clicked, **fields)
                    events.append(one)
    await AnswerLog(db).write(answers, NOW)
    for start in range(0, len(events), 1_000):
        await EventRecord(db).append(events[start : start + 1_000])


async def test_answers_are_read_as_columns(db: Database) -> None:
    await live(db, range(1, 4), a_day=50)
    read = FeedbackRecord(db).answers("default", EVERYTHING, 1_000)
    found = await answered.feedback(read)
    assert (len(found), found.part_names, found.versions) == (150 * PLACES, ("taste",), ("m1",))
    assert (np.diff(found.micros) >= 0).all()
    assert found.shown.all()
    assert 0.1 < found.clicked.mean() < 0.3
    np.testing.assert_array_equal(found.raw_score, found.parts[:, 0])
    np.testing.assert_array_equal(found.place, found.rank)
    assert sorted(set(found.propensity.tolist())) == [0.5, 1.0]


async def test_candidates_that_nobody_saw_are_left_out_when_asked(db: Database) -> None:
    await live(db, range(1, 2), a_day=5)
    await db.write(
        lambda connection: connection.exec_driver_sql("DELETE FROM events WHERE position = 2")
    )
    read = FeedbackRecord(db).answers("default", EVERYTHING, 1_000)
    assert len(await answered.feedback(read, shown_only=True)) == 5 * (PLACES - 1)


@pytest.mark.full
@pytest.mark.slow
async def test_a_look_finds_estimates_and_drift_keeps_and_exports_them(
    db: Database, store: ModelStore
) -> None:
    await serve(db, store)
    await serve(db, store, "m2", promote=False)
    await live(db, range(8, 36))
    await live(db, range(1, 8), a_day=60)
    clock = Clock()
    await watch(db, store, clock).look()

    kept = await OnlineRecord(db).kept("default")
    assert kept is not None
    seen = health.from_json(kept[1])
    assert seen.joined.tokens == seen.joined.joined > 1_680
    policies = {one.name: one.estimates for one in seen.policies}
    assert list(policies) == ["served", "raw_score", "blend of m2"]
    assert policies["served"].count == 420 * PLACES
    assert policies["served"].snips is not None
    assert policies["raw_score"].support == pytest.approx(1.0, abs=0.1)
    assert policies["raw_score"].snips is not None
    drift = {one.item: one for one in seen.drift}
    assert drift["events_per_day"].flagged
    assert not drift["event_types"].flagged
    assert not drift["raw_score"].flagged
    assert drift["raw_score"].count == 420 * PLACES
    assert gauge("drift", catalog="default", item="events_per_day") == 1
    assert gauge("drift", catalog="default", item="event_types") == 0
    assert gauge("unjoined_share", catalog="default") == 0
    assert gauge("compute_timestamp_seconds") == NOW / 1e6


async def test_it_looks_again_only_when_it_is_due(db: Database, store: ModelStore) -> None:
    clock = Clock()
    looks, record = watch(db, store, clock, seconds=60), OnlineRecord(db)
    for at, computed in ((0, 0), (59, 0), (60, 60)):
        clock.now = NOW + at * 1_000_000
        await looks.look()
        kept = await record.kept("default")
        assert kept is not None
        assert kept[0] == NOW + computed * 1_000_000


async def test_an_empty_shop_has_nothing_measured_and_no_flag(
    db: Database, store: ModelStore
) -> None:
    await watch(db, store, Clock()).look()
    kept = await OnlineRecord(db).kept("default")
    assert kept is not None
    seen = health.from_json(kept[1])
    assert seen.joined == JoinCounts(0, 0, 0)
    assert all(one.text.startswith("NOT MEASURED") for one in seen.drift)
    assert all(one.estimates.refusal for one in seen.policies)


async def test_a_shopper_is_new_once_and_days_are_whole(db: Database) -> None:
    await live(db, range(2, 4), a_day=3)
    first = stored("late", shopper=Shopper(Identity.USER, "u0-3"), time_micros=TODAY)
    await EventRecord(db).append([first])
    record = OnlineRecord(db)
    both = await record.activity("default", health.DayWindow(TODAY - 3 * DAY_MICROS, TODAY))
    assert (both.shoppers, both.new_shoppers) == (6, 6)
    today = await record.activity("default", health.DayWindow(TODAY, TODAY + DAY_MICROS))
    assert (today.shoppers, today.new_shoppers) == (1, 0)
    assert {day for day, _ in both.types} == {TODAY // DAY_MICROS - 3, TODAY // DAY_MICROS - 2}
    clicks = sum(count for (_, kind), count in both.types.items() if kind == "CLICK")
    assert sum(both.products.values()) == clicks, "nobody clicked twice on a product"
