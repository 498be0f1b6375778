"""Data that a replay needs beside the record, and its report when that data has changed."""

import dataclasses

import numpy as np
import pytest

from ranker.domain.answer_arrays import read_record
from ranker.domain.answer_columns import without_costs
from ranker.domain.events import EventType, History, Identity, Interaction, Shopper
from ranker.domain.model import Model
from ranker.domain.signals import DEFAULTS, Signals
from ranker.record.answers import content_of
from ranker.servicer.ranking import RankingServicer
from ranker.servicer.replay import Replayer
from ranker.serving.ranking.fold_in import HOUR_MICROS
from ranker.serving.replay_answer import ReplayAnswer
from sightline.common.v1 import event_pb2
from sightline.ranker.v1 import answer_service_pb2 as answers
from sightline.ranker.v1 import ranking_service_pb2 as pb
from tests.fakes.ranker import KEY, FakeReader, did, model
from tests.unit.ranker.serving.ranking.test_order import Serving, Taking

ANN = KEY.of("default", Shopper(Identity.USER, "ann"))
D = answers.ReplayDifference
IDS = ["a", *(f"p{n}" for n in range(1, 16))]
VECTORS = {"a": [1.0, 0.0], "b": [0.9, 0.1], "c": [0.0, 1.0]}
VIEW = did(ANN, "a", EventType.VIEW)
LATER = VIEW.time_micros + 24 * HOUR_MICROS
"""When Ann's last product counts half."""


class Events(FakeReader):
    """Store of one event by its number."""

    there: bool = True

    async def numbered(self, catalog_id: str, sequences: object) -> dict[int, Interaction]:
        return {7: VIEW} if self.there else {}


def known(*attributes: tuple[str, str]) -> Events:
    history = History(recent=(VIEW,), attributes=attributes, sequences=(7,))
    return Events({ANN: history})


def made() -> Model:
    """Return a model that knows countries, and no shopper."""
    return dataclasses.replace(
        model(VECTORS),
        shopper_feature_rows={"country=FR": 0, "country=IT": 1},
        shopper_feature_vectors=np.array([[0.0, 1.0], [1.0, 0.0]], np.float32),
        blend={"taste": 1.0, "session": 1.0},
    )


def trained() -> Model:
    """Return a model that was trained with Ann, and has other weights for those who return and for
    newcomers."""
    return dataclasses.replace(
        model(VECTORS, actors={ANN: [0.5, 1.0]}),
        blend={"taste": 2.0, "session": 1.0, "trend": 3.0},
        numbers={"trend": np.array([0.5, -1.0, 0.25], np.float32)},
        popularity=np.array([0.04, 0.25, 1.0], np.float32),
        newcomers={"trend": 0.0},
        returning={"taste": 0.5, "popularity": 1.0},
    )


PARTS = ("taste", "session", "trend", "popularity")


async def recorded(
    reader: Events, served: Model | None = None, **fields: object
) -> answers.AnswerRecord:
    """Return the record of an answer for Ann."""
    caught = Taking()
    known = Serving(served or made())
    servicer = RankingServicer.of(("default",), KEY, reader, known, 9, answers=caught)
    request = pb.RankRequest(
        candidates=fields.pop("candidates", {"product_ids": ["a", "b", "c"]}),
        shopper=event_pb2.Shopper(user_id="ann"),
        weights=[pb.PartWeight(part=part, weight=1) for part in PARTS],
        record=pb.AnswerDraft(answer_id="x"),
        **fields,
    )
    await servicer.Rank(request, None)
    return read_record(content_of(caught.taken[0]))


async def replayed(
    record: answers.AnswerRecord,
    reader: Events,
    signals: Signals = DEFAULTS,
    served: Model | None = None,
) -> answers.ReplayAnswerResponse:
    models = Serving(served or made())
    replayer = Replayer(ReplayAnswer(KEY, reader, models, None, signals))  # type: ignore[arg-type]
    return await replayer("default", answers.ReplayAnswerRequest(), record, ANN)


def kinds(found: answers.ReplayAnswerResponse) -> list[int]:
    return [one.kind for one in found.differences]


async def test_titles_are_kept_of_products_that_the_model_does_not_know() -> None:
    columns = {"product_ids": ["a", "b", "z"], "titles": ["A", "B", "Saga"]}
    record = await recorded(known(), candidates=columns)
    assert list(record.inputs.request.candidates.titles) == ["", "", "Saga"]


async def test_attributes_are_compared_and_not_kept() -> None:
    reader = known(("country", "FR"))
    record = await recorded(reader)
    assert b"FR" not in record.SerializeToString()
    assert len(record.inputs.attributes_digest) == 8
    assert (await replayed(record, reader)).equal
    found = await replayed(record, known(("country", "IT")))
    assert (found.equal, kinds(found)[0]) == (False, D.KIND_ATTRIBUTES_CHANGED)
    gone = await replayed(record, known())
    assert kinds(gone)[0] == D.KIND_ATTRIBUTES_CHANGED


async def test_the_answer_of_a_shopper_who_returns_is_replayed() -> None:
    record = await recorded(known(), trained(), time_micros=LATER)
    shares = {one.name: one.share for one in record.columns.parts}
    assert shares == {"taste": 0.625, "session": 0.0, "trend": 0.0, "popularity": 0.5}
    found = await replayed(record, known(), served=trained())
    assert (found.equal, kinds(found)) == (True, [])


async def test_the_record_names_events_and_holds_none() -> None:
    reader = known()
    record = await recorded(reader, session_id="a-visit")
    assert list(record.inputs.recent_events) == [7]
    kept = record.SerializeToString()
    assert b"ann" not in kept
    assert b"a-visit" not in kept
    reader.there = False
    assert kinds(await replayed(record, reader)) == [D.KIND_EVENTS_GONE, D.KIND_NUMBERS]


async def test_other_settings_for_events_are_said() -> None:
    reader = known()
    record = await recorded(reader)
    other = dataclasses.replace(DEFAULTS, liked_rating=4.0)
    found = await replayed(record, reader, other)
    assert (found.equal, kinds(found)) == (True, [D.KIND_SETTINGS_CHANGED])


def asked(about: pb.Anchors | None) -> pb.RankRequest:
    """Return candidates that controls move into the policy's window from outside of it."""
    made = pb.RankRequest(
        branches=[
            pb.BranchSignal(branch="visual", similarities=np.linspace(1, 0.5, len(IDS))),
            pb.BranchSignal(branch="freshness", similarities=np.linspace(0.2, 0.5, len(IDS))),
        ],
        weights=[
            pb.PartWeight(part=part, weight=1) for part in ("visual", "freshness", "item_item")
        ],
        diversity=pb.Diversity(brand_cap=1, cap_places=4, window=4),
        controls=pb.Controls(
            controls=[
                pb.Control(name="pin", candidates=[0, 1], place=3),
                pb.Control(name="bury", candidates=[2], bury=True),
                pb.Control(name="boost", candidates=[9], boost=2),
            ]
        ),
        anchors=about,
        record=pb.AnswerDraft(answer_id="x"),
    )
    made.candidates.product_ids.extend(IDS)
    made.candidates.brands.extend(f"brand {n % 2}" for n in range(len(IDS)))
    return made


@pytest.mark.parametrize("shopper", [None, event_pb2.Shopper(user_id="ann")])
@pytest.mark.parametrize(
    "about", [None, pb.Anchors(product_ids=["b"]), pb.Anchors(source=pb.Anchors.SOURCE_VIEWED)]
)
async def test_controls_anchors_and_the_gateways_own_parts_are_computed_again_to_the_bit(
    about: pb.Anchors | None, shopper: event_pb2.Shopper | None
) -> None:
    request, reader, caught = asked(about), known(), Taking()
    request.shopper.MergeFrom(shopper or event_pb2.Shopper())
    servicer = RankingServicer.of(("default",), KEY, reader, Serving(made()), 9, answers=caught)
    answer = await servicer.Rank(request, None)
    assert [answer.product_ids[place] for place in (2, 3, -1)] == ["a", "p1", "p2"]
    found = await replayed(read_record(content_of(caught.taken[0])), reader)
    assert (found.equal, kinds(found)) == (True, [])


async def test_anchors_that_nothing_was_found_of_are_not_looked_for_again() -> None:
    reader = known()
    record = await recorded(reader, anchors=pb.Anchors(source=pb.Anchors.SOURCE_BOUGHT))
    assert not record.inputs.request.HasField("anchors")


OFFERS = {"price_micros": [10_000_000] * 3, "currencies": ["EUR"] * 3}
COSTS = {"cost_micros": [9_000_000, 5_000_000, 1_000_000], "cost_currencies": ["EUR"] * 3}


@pytest.mark.parametrize(
    ("known", "costs", "order"),
    [(3, COSTS, ["c", "b", "a"]), (3, {}, ["a", "b", "c"]), (0, {}, ["a", "b", "c"])],
)
async def test_an_order_by_margins_knows_no_costs_but_those_it_is_given(
    known: int, costs: dict[str, list[object]], order: list[str]
) -> None:
    """Costs of the record are another's: who asks may not read any. `known`: candidates that the
    catalog still has."""
    goal = pb.Diversity(objective="OBJECTIVE_MARGIN", objective_strength=1)
    ids, reader = {"product_ids": ["a", "b", "c"]}, Events()
    record = await recorded(reader, candidates={**ids, **OFFERS, **COSTS}, diversity=goal)
    products = {name: each[:known] for name, each in {**ids, **OFFERS, **costs}.items()}
    asked = answers.ReplayAnswerRequest(change={"diversity": goal, "products": products})
    replayer = Replayer(ReplayAnswer(KEY, reader, Serving(made()), None, DEFAULTS))  # type: ignore[arg-type]
    found = await replayer("default", asked, record, ANN)
    assert [each.product_id for each in found.changed] == order


async def test_a_copy_of_a_record_has_no_costs_and_nothing_computed_from_them() -> None:
    goal = pb.Diversity(objective="OBJECTIVE_MARGIN", objective_strength=0.5)
    contents = []
    for costs in (COSTS, {**COSTS, "cost_micros": [8_000_000, 4_000_000, 500_000]}):
        margins = [1 - cost / 10e6 for cost in costs["cost_micros"]]
        record = await recorded(
            Events(),
            candidates={"product_ids": ["a", "b", "c"], **OFFERS, **costs},
            diversity=goal,
            branches=[pb.BranchSignal(branch="margin", similarities=margins)],
        )
        record.ClearField("answer_time")
        record.inputs.request.time_micros = 0
        contents.append(without_costs(record.SerializeToString()))
    assert contents[0] == contents[1]
