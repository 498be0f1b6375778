"""Controls over real gRPC: the requests to the ranker, and the outcomes for callers."""

from datetime import UTC, datetime, timedelta

from servicekit.errors import Internal
from sightline.common.v1 import answer_pb2, filter_pb2
from sightline.gateway.v1 import control_pb2 as pb
from tests.waiting import until
from tests.wire.gateway_calls import ids, photo, suite

__all__ = ["suite"]  # fixtures

PIN, BOOST, BURY, EXCLUDE = (
    *(pb.Control.KIND_PIN, pb.Control.KIND_BOOST),
    *(pb.Control.KIND_BURY, pb.Control.KIND_EXCLUDE),
)
BRAND = filter_pb2.Filter(existence=filter_pb2.Existence(field="brand"))


def control(name: str, kind: pb.Control.Kind.ValueType, *products: str, **fields) -> pb.Control:
    return pb.Control(name=name, kind=kind, product_ids=products, **fields)


async def test_the_ranker_is_asked_to_move_candidates_and_counts_what_acted(suite):
    now = datetime.now(UTC)
    over = control("over", BURY, "p1", end_time=now - timedelta(seconds=1))
    controls = [
        control("hero", PIN, "p5", "p1", place=2, daily_budget=2, start_time=now),
        control("own", BOOST, "p4", boost=0.5),
        control("last", BURY, "p3"),
        control("away", EXCLUDE, filter=BRAND),
        over,
    ]
    suite.answers.exposures = {"./hero": 1}
    answer = await suite.recommendation.Recommend(photo(controls=controls))

    (asked,) = suite.ranker.script.requests("Rank")
    held = list(asked.candidates.product_ids)
    named = {c.name: [held[row] for row in c.candidates] for c in asked.controls.controls}
    assert named == {"./hero": ["p5", "p1"], "./own": ["p4"], "./last": ["p3"]}
    hero, own, last = asked.controls.controls
    assert (hero.place, own.boost, last.bury) == (2, 0.5, True)
    assert (asked.controls.page_size, asked.controls.pins_first) == (20, False)
    (searched,) = suite.retriever.script.requests("Search")
    assert getattr(searched.filter.all.filters[-1], "not") == BRAND
    (looked_up, _) = suite.retriever.script.requests("BatchGetProducts")
    assert (list(looked_up.product_ids), looked_up.explain_filter) == (["p5"], True)
    name = pb.ControlOutcome.Outcome.Name
    assert {(o.control, o.product_id): name(o.outcome)[8:] for o in answer.control_outcomes} == {
        ("over", ""): "ENDED",
        ("own", ""): "APPLIED",
        ("last", ""): "APPLIED",
        ("away", ""): "APPLIED",
        ("hero", "p5"): "APPLIED",
        ("hero", "p1"): "APPLIED",
    }


async def test_without_the_ranker_controls_hold_and_are_counted_when_it_is_back(suite):
    suite.ranker.script.errors["Rank"] = Internal("a bug", reason="INTERNAL")
    controls = [control("hero", PIN, "p2", place=1, daily_budget=1)]
    first = await suite.recommendation.Recommend(photo(controls=controls))
    assert ids(first) == ["p2", "p3", "p1", "p4"]
    assert [(move.cause, move.places) for move in first.results[0].moves] == [
        (answer_pb2.Move.CAUSE_CONTROL, 3)
    ]
    await until(lambda: suite.answers.kept)
    (record,) = suite.answers.kept.values()
    assert record.columns.product_ids[:1] + record.controls[:] == ["p2", "./hero"]
    second = await suite.recommendation.Recommend(photo(controls=controls))
    assert ids(second) == ["p3", "p1", "p4", "p2"]
    (rested,) = second.control_outcomes
    assert rested.outcome == pb.ControlOutcome.OUTCOME_OUT_OF_BUDGET
