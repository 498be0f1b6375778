"""Answers recomputed from their records, over real gRPC, on each engine."""

import math

import sqlalchemy as sa

from ranker.adapters.model_store import ModelStore
from ranker.record.answers import AnswerLog, StoredAnswer
from ranker.record.tables import EVENTS
from servicekit.jobs.queue import now_micros
from sightline.common.v1 import answer_pb2, event_pb2
from sightline.ranker.v1 import answer_service_pb2 as pb
from sightline.ranker.v1 import model_service_pb2, ranking_service_pb2
from tests.fakes.answered import of_products
from tests.fakes.ranker import columns, product
from tests.wire.ranker_suite import (
    ANN,
    HOUR,
    PRODUCTS,
    WEIGHTS,
    Suite,
    crowd,
    event,
    refusal,
    suite,
)

__all__ = ["suite"]  # fixtures

D = pb.ReplayDifference
NEW = product("n0", "Red", brand="A")
"""Came after the training: the model knows it by its category and brand."""
BRANCH = ranking_service_pb2.BranchSignal(
    branch="visual", similarities=[0.9 - n / 37 for n in range(len(PRODUCTS) + 1)]
)
POLICY = ranking_service_pb2.Diversity(
    diversity=0.3,
    popularity=0.2,
    window=10,
    brand_cap=2,
    cap_places=4,
    exploration_places=[3],
)

CONTROLS = {
    "controls": [
        {"name": "hero", "candidates": [0, 11], "place": 2},
        {"name": "old", "candidates": [1, 2], "bury": True},
        {"name": "season", "candidates": [12], "boost": 0.5},
    ]
}


async def answered(suite: Suite, answer_id: str, **fields) -> list[str]:
    """Ask for an answer that is recorded; the order."""
    draft = ranking_service_pb2.AnswerDraft(
        answer_id=answer_id, answer_time_micros=now_micros(), versions={"scene": "home"}
    )
    request = ranking_service_pb2.RankRequest(
        candidates=columns([*PRODUCTS, NEW]), branches=[BRANCH], record=draft, **fields
    )
    for part, weight in WEIGHTS.items():
        request.weights.add(part=part, weight=weight)
    count = len(PRODUCTS) + 1
    days = [0 if place < 6 else now_micros() - HOUR * 10**6 for place in range(count)]
    request.candidates.create_time_micros.extend(days)
    hashes = [2**60 - 1 if place in (7, 9) else 0 for place in range(count)]
    request.candidates.image_hashes.extend(hashes)
    page = await suite.ranking.Rank(request)
    assert page.recorded
    await suite.stored()
    return list(page.product_ids)


async def replayed(suite: Suite, answer_id: str, **fields) -> pb.ReplayAnswerResponse:
    return await suite.answers.ReplayAnswer(pb.ReplayAnswerRequest(answer_id=answer_id, **fields))


async def assert_equal(suite: Suite, answer_id: str, order: list[str]) -> None:
    found = await replayed(suite, answer_id)
    assert (found.equal, list(found.differences)) == (True, [])
    assert [one.product_id for one in found.recomputed] == order
    assert found.record.total_count == len(order)


def kinds(found: pb.ReplayAnswerResponse) -> list[int]:
    return [one.kind for one in found.differences]


async def test_answers_are_the_same_to_the_bit_while_what_they_rest_on_is_kept(
    suite: Suite,
) -> None:
    await suite.append(*crowd())
    first = await suite.learn()
    await suite.promote(first)
    await suite.append(
        event("r1", ago=HOUR), event("w2", "PURCHASE", ago=60), event("r3", "HIDE", ago=30)
    )
    member = event_pb2.Shopper(user_id="r-1")  # known to the model
    asked = {
        "plain": {"shopper": ANN},
        "whole": {
            "shopper": ANN,
            "session_id": "visit",
            "diversity": POLICY,
            "collapse": True,
            "same_pictures": [0, 4],
            "seed": 7,
        },
        "seen": {"shopper": member, "drop_seen": True},
        "nobody": {"diversity": POLICY},
        "about": {"anchors": {"product_ids": ["w3", "r2"]}, "controls": CONTROLS},
        "viewed": {
            "shopper": ANN,
            "anchors": {"source": "SOURCE_VIEWED"},
            "diversity": POLICY,
            "controls": CONTROLS,
        },
    }
    orders = {name: await answered(suite, name, **fields) for name, fields in asked.items()}
    assert not {"r3", "r4"} & {*orders["whole"]}
    assert len({"w1", "w3"} & {*orders["whole"]}) == 1
    assert len(orders["seen"]) < len(PRODUCTS)
    # A later product, model and events do not change the recorded answer.
    await suite.append(
        *(event("w0", "PURCHASE") for _ in range(9)), event("r3", "UNHIDE"), event("r5", "HIDE")
    )
    await suite.append(event("w1", "PURCHASE", shopper=member))
    for name, order in orders.items():
        await assert_equal(suite, name, order)
    second = await suite.learn(seed=1)
    await suite.promote(second)
    assert await answered(suite, "later", shopper=ANN) != orders["plain"]
    for name, order in orders.items():
        await assert_equal(suite, name, order)
    await suite.models.DemoteModel(model_service_pb2.DemoteModelRequest())
    await replayed(suite, "later")  # by the second, which is now the one at hand
    assert ModelStore(str(suite.folder / "models")).delete("default", first)
    gone = await replayed(suite, "plain")
    assert not gone.equal
    assert kinds(gone)[0] == D.KIND_MODEL_GONE
    assert gone.differences[0].subject == first


def priced(request: ranking_service_pb2.RankRequest) -> None:
    """Give the candidates prices and costs: those found last have the largest margin; the first has
    no cost, the second is sold in another currency."""
    count = len(request.candidates.product_ids)
    columns_ = {
        "price_micros": [100_000_000] * count,
        "currencies": ["EUR", "USD", *["EUR"] * (count - 2)],
        "cost_micros": [-1, *[90_000_000 - n * 1_000_000 for n in range(1, count)]],
        "cost_currencies": ["", "USD", *["EUR"] * (count - 2)],
    }
    for name, values in columns_.items():
        request.candidates.ClearField(name)
        getattr(request.candidates, name).extend(values)


async def test_an_order_by_expected_margins_is_replayed_to_the_bit(suite: Suite) -> None:
    await suite.append(*crowd())
    await suite.promote(await suite.learn())
    policy = {"objective": "OBJECTIVE_MARGIN", "objective_strength": 1.0, "window": 10}
    plain = await answered(suite, "plain", diversity={"window": 10})
    draft = ranking_service_pb2.AnswerDraft(answer_id="m", answer_time_micros=now_micros())
    request = ranking_service_pb2.RankRequest(
        candidates=columns([*PRODUCTS, NEW]),
        branches=[BRANCH],
        record=draft,
        diversity=policy,
        explain=True,
    )
    for part, weight in WEIGHTS.items():
        request.weights.add(part=part, weight=weight)
    priced(request)
    answer = await suite.ranking.Rank(request)
    await suite.stored()
    order = list(answer.product_ids)
    assert set(order[:10]) == set(plain[:10])
    assert order[:10] != plain[:10]
    assert order[10:] == plain[10:]
    values = [value for value in answer.expected_values if not math.isnan(value)]
    assert len(values) == 8
    notes = {each.cause: each.product_count for each in answer.score_notes}
    cause = answer_pb2.ScoreNote
    assert notes == {
        cause.CAUSE_CHANCE_BY_FORMULA: 0,
        cause.CAUSE_NUMBER_MISSING: 1,
        cause.CAUSE_OTHER_CURRENCY: 1,
    }
    for score, moved, rank in zip(answer.score_ranks, answer.moves, range(1, 99), strict=False):
        assert all(each.cause == answer_pb2.Move.CAUSE_OBJECTIVE for each in moved.moves)
        assert score - sum(each.places for each in moved.moves) == rank
    await assert_equal(suite, "m", order)
    # By other rules, and current prices.
    change = pb.ReplayChange(weights=request.weights, products=request.candidates)
    found = await replayed(suite, "m", change=change)
    assert [one.product_id for one in found.changed] == plain
    assert not found.HasField("changed_outcome"), "nothing was learned from impressions"
    change.diversity.CopyFrom(request.diversity)
    del change.products.cost_micros[:]
    del change.products.cost_currencies[:]
    change.products.cost_micros.extend([1_000_000] * len(order))
    change.products.cost_currencies.extend(["EUR"] * len(order))
    again = await replayed(suite, "m", change=change)
    assert [one.product_id for one in again.changed] != order


async def test_an_order_by_the_shoppers_own_shares_is_replayed_to_the_bit(suite: Suite) -> None:
    await suite.append(*crowd())
    await suite.promote(await suite.learn())
    await suite.append(event("r0"), *(event(f"w{n}") for n in range(4)))
    policy = ranking_service_pb2.Diversity(calibrated=0.9, window=10)
    plain = await answered(suite, "plain", shopper=ANN)
    page = await suite.rank(shopper=ANN, diversity=policy)
    causes = {move.cause for each in page.moves for move in each.moves}
    assert causes == {answer_pb2.Move.CAUSE_CALIBRATION}
    order = await answered(suite, "own", shopper=ANN, diversity=policy)
    whites = sum(item.startswith("w") for item in order[:5])
    assert order != plain
    assert whites >= 3
    nobody = await answered(suite, "nobody")
    assert await answered(suite, "anonymous", diversity=policy) == nobody
    # Later interests do not change the recorded answer.
    await suite.append(*(event(f"r{n}", "PURCHASE") for n in range(1, 6)))
    await assert_equal(suite, "own", order)
    await assert_equal(suite, "anonymous", nobody)


async def test_deleted_events_are_said_to_be_gone(suite: Suite) -> None:
    await suite.append(*crowd())
    await suite.promote(await suite.learn())
    await suite.append(event("r1"), event("w2"))
    await answered(suite, "a", shopper=ANN)
    gone = sa.delete(EVENTS).where(EVENTS.c.product_id == "w2", EVENTS.c.type == "VIEW")
    await suite.database.write(lambda connection: connection.execute(gone))
    found = await replayed(suite, "a")
    assert not found.equal
    assert kinds(found) in (
        [D.KIND_EVENTS_GONE, D.KIND_ORDER],
        [D.KIND_EVENTS_GONE, D.KIND_NUMBERS],
    )
    assert found.differences[0].text.startswith("1 of 2 events")


async def test_what_other_rules_would_have_answered_is_computed_beside_it(suite: Suite) -> None:
    await suite.append(*crowd())
    order = await answered(suite, "a")
    assert len({item[0] for item in order[:4]}) == 1  # by looks alone: reds
    products = ranking_service_pb2.RankRequest().candidates
    products.product_ids.extend(one.product_id for one in PRODUCTS)
    products.brands.extend(one.brand for one in PRODUCTS)
    weights = [ranking_service_pb2.PartWeight(part=part, weight=w) for part, w in WEIGHTS.items()]
    change = pb.ReplayChange(
        weights=weights, diversity={"brand_cap": 2, "cap_places": 4}, products=products
    )
    found = await replayed(suite, "a", change=change, limit=4)
    assert (found.equal, len(found.recomputed)) == (True, 4)
    assert [one.product_id[0] for one in found.changed] == ["r", "r", "w", "w"]
    change.ClearField("diversity")
    again = await replayed(suite, "a", change=change, limit=4)
    assert [one.product_id for one in again.changed] == order[:4]


async def test_records_of_other_releases_are_refused_by_the_field_that_they_lack(
    suite: Suite,
) -> None:
    for version in (0, 99):
        record = pb.AnswerRecord(answer_id=f"o{version}", inputs_version=version)
        record.columns.product_ids.append("r0")
        content = record.SerializeToString()
        old = StoredAnswer("default", f"o{version}", "", "k", content, 2 * now_micros())
        await AnswerLog(suite.database).write([old], now_micros())
        error = await refusal(replayed(suite, f"o{version}"))
        assert error.reason == "ANSWER_RECORD_OUTDATED"
        assert error.metadata["record_field"] == "inputs"
        assert error.metadata["record_version"] == str(version)
    assert (await refusal(replayed(suite, "never"))).reason == "ANSWER_RECORD_MISSING"
    assert (await refusal(replayed(suite, "o0", limit=2001))).violations[0].field == "limit"


async def test_an_answer_that_the_ranker_did_not_rank_says_so_and_takes_nobodys_inputs(
    suite: Suite,
) -> None:
    record = pb.AnswerRecord(answer_id="f", scene="home")
    record.columns.CopyFrom(of_products([pb.AnsweredProduct(product_id="r0", raw_score=0.5)]))
    record.inputs.recent_events.append(1)
    record.answer_time.FromMicroseconds(now_micros())
    await suite.answers.RecordAnswers(pb.RecordAnswersRequest(answers=[record]))
    found = await replayed(suite, "f")
    assert (found.equal, kinds(found)) == (False, [D.KIND_NOT_RANKED])
    assert [one.product_id for one in found.record.products] == ["r0"]


async def test_the_newest_answers_of_a_scene_are_listed(suite: Suite) -> None:
    for name in "abc":
        await answered(suite, name)
    found = await suite.answers.ListAnswers(pb.ListAnswersRequest(scene="home", limit=2))
    assert list(found.answer_ids) == ["c", "b"]
    later = pb.ListAnswersRequest(scene="home")
    later.from_time.FromMicroseconds(now_micros() + 10**9)
    assert not (await suite.answers.ListAnswers(later)).answer_ids
    assert not (await suite.answers.ListAnswers(pb.ListAnswersRequest(scene="x"))).answer_ids
    error = await refusal(suite.answers.ListAnswers(pb.ListAnswersRequest(limit=201)))
    assert error.violations[0].field == "limit"
