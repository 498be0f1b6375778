"""Unusual histories and catalogs: each has a clear outcome, the serving model stays unchanged."""

import asyncio

import pytest
import sqlalchemy as sa

from ranker.domain.errors import DataInsufficient, TrainingDiverged
from ranker.record.tables import EVENTS
from sightline.common.v1 import event_pb2
from sightline.ranker.v1 import event_service_pb2
from tests.fakes.ranker import product
from tests.wire.ranker_suite import ANN, HOUR, PRODUCTS, Suite, crowd, event, refusal, suite

__all__ = ["suite"]

BOB = event_pb2.Shopper(user_id="bob")
ROBOT = event_pb2.Shopper(user_id="robot")
POPULARITY = {"popularity": 1.0}


async def reported(
    suite: Suite, who: event_pb2.Shopper = BOB
) -> tuple[str, list[str], list[float]]:
    """Return the model, products and scores of the shopper's answer."""
    answer = await suite.rank(shopper=who)
    return answer.model_version, list(answer.product_ids), list(answer.raw_scores)


async def trained(suite: Suite) -> str:
    """Return a model's version, or the reason why there is none."""
    try:
        return await suite.learn()
    except (DataInsufficient, TrainingDiverged) as error:
        return error.reason


# ---- histories


async def test_an_empty_history_is_answered_from_popularity_and_says_that_no_model_serves(
    suite: Suite,
) -> None:
    before = await suite.rank(shopper=ANN)
    assert (len(before.product_ids), set(before.raw_scores)) == (12, {0.0})
    assert before.model_version == ""
    assert not (await suite.generate(shopper=ANN)).product_ids
    await suite.append(event("w3", shopper=BOB))
    after = await suite.rank(shopper=ANN, weights=POPULARITY)
    assert after.product_ids[0] == "w3"


async def test_one_event_counts_at_once(suite: Suite) -> None:
    await suite.append(*crowd())
    await suite.promote(await suite.learn())
    await suite.append(event("w1"))
    answer = await suite.rank(shopper=ANN)
    assert "session" in {part.name for part in answer.parts}
    assert answer.product_ids[0].startswith("w")


async def test_whoever_only_hides_is_a_newcomer_without_what_they_hid(suite: Suite) -> None:
    await suite.append(*crowd())
    await suite.promote(await suite.learn())
    hides = [event(f"r{n}", "HIDE", ago=n) for n in range(6)]
    await suite.append(*hides)
    answer = await suite.rank(shopper=ANN)
    assert set(answer.product_ids) == {f"w{n}" for n in range(6)}
    assert answer.hidden_count == 6
    candidates = (await suite.generate(shopper=ANN)).product_ids
    assert not set(candidates) & {f"r{n}" for n in range(6)}


async def test_what_comes_in_out_of_order_counts_by_its_own_time(suite: Suite) -> None:
    await suite.append(event("r1", "HIDE", event_id="late", ago=60))
    await suite.append(event("r1", "UNHIDE", event_id="earlier", ago=120))
    assert (await suite.rank(shopper=ANN)).hidden_count == 1
    await suite.append(event("r1", "UNHIDE", event_id="latest", ago=30))
    assert (await suite.rank(shopper=ANN)).hidden_count == 0
    request = event_service_pb2.GetEventsRequest(shopper=ANN)
    found = (await suite.events.GetEvents(request)).events
    assert [one.event_id for one in found] == ["latest", "late", "earlier"]


async def test_a_clock_that_is_a_little_ahead_is_forgiven_and_one_that_is_far_is_shown(
    suite: Suite,
) -> None:
    answer = await suite.append(
        event(ago=-240), event(ago=-360), event("r1", ago=50 * 365 * 24 * HOUR)
    )
    assert [bool(one.code) for one in answer.statuses] == [False, True, False]
    assert "EVENT_TIME_INVALID" in str(answer.statuses[1])
    shares = (await suite.rank(shopper=BOB, weights=POPULARITY)).raw_scores
    assert max(shares) == pytest.approx(1.0)


# ---- what there is to learn from


CASES = {
    "nothing at all": ([], PRODUCTS),
    "one event": ([event("r1")], PRODUCTS),
    "only hides": ([event(f"r{n}", "HIDE") for n in range(6)], PRODUCTS),
    "one product in all": (
        [event("r0", shopper=event_pb2.Shopper(user_id=f"u{n}"), ago=n) for n in range(9)],
        [product("r0", "Red")],
    ),
    "a catalog without overlap": (crowd(), [product("other", "Blue")]),
    "an empty catalog": (crowd(), []),
    "constant features": (crowd(), [product(one.product_id, "Wine") for one in PRODUCTS]),
}
NOTHING_TO_LEARN = {
    "nothing at all",
    "only hides",
    "a catalog without overlap",
    "an empty catalog",
}


@pytest.mark.first(2)
@pytest.mark.parametrize("case", CASES)
async def test_odd_data_end_in_a_sound_model_or_a_reason_and_leave_what_serves(
    suite: Suite, case: str
) -> None:
    events, products = CASES[case]
    suite.retriever.products = list(products)
    if events:
        await suite.append(*events)
    outcome = await trained(suite)
    if case in NOTHING_TO_LEARN:
        assert outcome == "TRAINING_DATA_INSUFFICIENT"
        assert (await reported(suite))[0] == ""
        return
    await suite.promote(outcome)
    version, ids, scores = await reported(suite)
    assert version == outcome
    assert len(ids) == len(PRODUCTS)
    assert all(abs(score) < 1e6 for score in scores)


async def test_a_training_without_anything_to_learn_from_leaves_the_serving_model(
    suite: Suite,
) -> None:
    await suite.append(*crowd())
    await suite.promote(await suite.learn())
    before = await reported(suite)
    suite.retriever.products = []
    assert await trained(suite) == "TRAINING_DATA_INSUFFICIENT"
    assert await reported(suite) == before


# ---- very many events of one


@pytest.mark.full
async def test_a_hundred_thousand_events_of_one_shopper_are_read_in_bounds_and_trained_on(
    suite: Suite,
) -> None:
    await suite.append(*crowd(), event("w5", event_id="robot", shopper=ROBOT))
    await suite.database.write(multiply)
    page = await suite.events.GetEvents(
        event_service_pb2.GetEventsRequest(shopper=ROBOT, page_size=1000)
    )
    assert len(page.events) == 1000
    rows: list[int] = []
    sa.event.listen(suite.database.engine, "after_cursor_execute", lambda *given: rows.append(1))
    answer = await suite.rank(shopper=ROBOT, drop_seen=True)
    assert len(answer.product_ids) == 11
    assert len(rows) < 20
    version = await suite.learn()
    await suite.promote(version)
    assert (await reported(suite))[0] == version


def multiply(connection: sa.Connection) -> None:
    """Write a hundred thousand copies of the robot's event, a second apart."""
    t = EVENTS.c
    robot = t.event_id == "robot"
    columns = [name for name in t.keys() if name != "sequence"]  # noqa: SIM118
    numbers = sa.select(sa.literal(1, sa.BigInteger).label("n")).cte("numbers", recursive=True)
    n = numbers.c.n
    numbers = numbers.union_all(sa.select(n + 1).where(n < 100_000))
    changed = {
        "event_id": t.event_id + "-" + sa.cast(numbers.c.n, sa.Text),
        "time_micros": t.time_micros - numbers.c.n * 1_000_000,
    }
    copies = sa.select(*(changed.get(name, t[name]) for name in columns)).where(robot)
    copies = copies.select_from(EVENTS.join(numbers, sa.true()))
    connection.execute(sa.insert(EVENTS).from_select(columns, copies))


# ---- a training that is killed


async def test_a_training_that_is_killed_half_way_leaves_the_serving_model(
    suite: Suite,
) -> None:
    await suite.append(*crowd())
    await suite.promote(await suite.learn())
    before = await reported(suite)
    suite.retriever.gate = asyncio.Event()
    killed = asyncio.create_task(suite.learn(seed=9))
    suite.retriever.asked.clear()
    await suite.retriever.asked.wait()
    killed.cancel()
    await asyncio.gather(killed, return_exceptions=True)
    suite.retriever.gate = None
    assert await reported(suite) == before
    assert before[0] != await suite.learn(seed=9)
    assert (await refusal(suite.promote("never-trained"))).reason == "MODEL_NOT_FOUND"
