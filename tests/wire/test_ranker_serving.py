"""Answers of a promoted model over real gRPC: the last event counts at once, for all shoppers."""

from dataclasses import replace

import grpc
import numpy as np
import pytest

from ranker.adapters.model_store import ModelStore
from ranker.domain import pseudonyms
from ranker.domain.arrays import Neighbours
from ranker.domain.content import Content
from ranker.domain.events import EventType, Identity, Shopper
from ranker.domain.features import shopper_feature_names
from ranker.domain.model import Calibration, Model
from ranker.record.models import ModelRegistry
from sightline.common.v1 import event_pb2
from sightline.ranker.v1 import profile_service_pb2
from sightline.ranker.v1 import ranking_service_pb2 as pb
from tests.fakes.ranker import columns, product, record
from tests.fakes.ranker import model as tiny
from tests.peer_stubs import peer_stub
from tests.wire.ranker_suite import ANN, USER, Suite, event, refusal, suite

__all__ = ["suite"]

IDS = tuple(f"{kind}{n}" for kind in "rw" for n in range(3))
WEIGHTS = {
    "taste": 1.0,
    "session": 1.0,
    "item_item": 1.0,
    "bought_together": 1.0,
    "popularity": 1.0,
}
WHITE = shopper_feature_names([("colour", "white")])
BEN, EVE = event_pb2.Shopper(visitor_id="ben"), event_pb2.Shopper(user_id="eve")
KNOTS = Calibration(EventType.CLICK, np.array([-1.0, 0.0, 4.0]), np.array([0.0, 0.1, 0.5]), 10_000)


def goes_with(*pairs: tuple[str, str]) -> Neighbours:
    """Return neighbours in which an affinity for the first raises the second."""
    rows, items = zip(*sorted((IDS.index(a), IDS.index(b)) for a, b in pairs), strict=True)
    return Neighbours(
        starts=np.searchsorted(rows, np.arange(len(IDS) + 1)),
        items=np.array(items, np.int32),
        weights=np.full(len(items), 3.0, np.float32),
    )


def learned(known: str) -> Model:
    """Return a model in which reds and whites are far apart; `known` likes reds, shoppers with the
    attribute whites."""
    made = tiny(
        {item: [1.0, 0.0] if item[0] == "r" else [0.0, 1.0] for item in IDS},
        actors={known: [1.0, 0.0]},
    )
    return replace(
        made,
        blend={"taste": 1.0, "session": 2.0, "item_item": 1.0, "bought_together": 1.0},
        neighbours={
            "item_item": goes_with(("w1", "w2"), ("r1", "r2")),
            "bought_together": goes_with(("w1", "r0")),
        },
        shopper_feature_names=WHITE,
        shopper_feature_rows={WHITE[0]: 0},
        shopper_feature_vectors=np.array([[0.0, 1.0]], np.float32),
    )


@pytest.fixture
async def serving(suite: Suite) -> Suite:
    """Return a ranker whose model knows Ann, and the attributes that Eve gave."""
    key = pseudonyms.load(suite.folder / "key", create=False)
    made = learned(key.of("default", Shopper(Identity.USER, USER)))
    await promoted(suite, made)
    async with grpc.aio.insecure_channel(suite.target) as channel:
        profiles = peer_stub("ranker", channel)
        colour = profile_service_pb2.ShopperAttribute(key="colour", text="white")
        request = profile_service_pb2.SetShopperAttributesRequest(
            shopper=EVE, attributes=[colour], consent=True
        )
        await profiles.SetShopperAttributes(request)
    return suite


COLOURS = Content(
    ("tag=dry", "tag=red"),
    np.array([[0, 1]]),
    vectors=np.array([[0.5, 0.0], [2.0, 0.0], [0.25, 0.0]], np.float32),
    usual=np.array([1.0, -1.0], np.float32),
    sources=np.array([0]),
    source_vectors=np.array([[3.0, -0.5]], np.float32),
    rows=np.zeros(0, np.int64),
    row_vectors=np.zeros((0, 2), np.float32),
)
"""Red and dry products are for those who like r0."""


async def test_a_product_that_came_after_the_training_is_ranked_by_its_features_at_once(
    serving: Suite,
) -> None:
    key = pseudonyms.load(serving.folder / "key", create=False)
    made = learned(key.of("default", Shopper(Identity.USER, USER)))
    blend = {**made.blend, "content": 1.0}
    vectors = np.array([[1.0, -0.5]], np.float32)
    await promoted(
        serving,
        replace(made, version="lfm-2", blend=blend, content=COLOURS, actor_contents=vectors),
    )
    late = [product("late-red", tags=("dry", "red")), product("late-odd", tags=("still",))]
    shown, weights = [product("r0"), *late], {"content": 1.0}
    answer = await serving.rank(shown, weights, shopper=ANN, explain=True)
    assert parts_of(answer, "late-red") == {"content": pytest.approx(0.5 + 2.0 + 0.25 - 1.0 - 0.5)}
    assert parts_of(answer, "late-odd") == {"content": -0.5}
    assert parts_of(answer, "r0") == {"content": 0}
    assert answer.product_ids[0] == "late-red"
    await serving.append(event("r0", "CLICK", shopper=BEN))
    answer = await serving.rank(shown, weights, shopper=BEN)
    assert parts_of(answer, "late-red") == {"content": pytest.approx(3 * 1.75 - 0.5)}


async def promoted(suite: Suite, made: Model) -> None:
    digest = ModelStore(str(suite.folder / "models")).write("default", made, {})
    await ModelRegistry(suite.database).add(replace(record(made.version), manifest_sha256=digest))
    await suite.promote(made.version)


async def ranked(suite: Suite, who: event_pb2.Shopper, **fields) -> pb.RankResponse:
    return await suite.rank([product(item) for item in IDS], WEIGHTS, shopper=who, **fields)


def names(answer: pb.RankResponse) -> set[str]:
    return {part.name for part in answer.parts}


def parts_of(answer: pb.RankResponse, item: str) -> dict[str, float]:
    place = list(answer.product_ids).index(item)
    return {part.name: part.values[place] for part in answer.parts}


@pytest.mark.parametrize(
    ("who", "before", "first"),
    [
        pytest.param(ANN, {"taste"}, "r", id="a regular"),
        pytest.param(BEN, set(), "", id="a newcomer"),
        pytest.param(EVE, {"taste"}, "w", id="of whom only attributes are known"),
    ],
)
async def test_a_click_changes_the_very_next_answer(
    serving: Suite, who: event_pb2.Shopper, before: set[str], first: str
) -> None:
    answer = await ranked(serving, who)
    assert names(answer) == (before or {"popularity"})
    assert all(item[0] == first for item in answer.product_ids[:3]) or not first

    for clicked, beside in (("w1", "w2"), ("r1", "r2")):
        await serving.append(event(clicked, "CLICK", shopper=who))
        answer = await ranked(serving, who)
        assert names(answer) == (before or {"popularity"}) | {"session", "item_item"}
        # What goes with the newest click stands before all else of its colour.
        same = [item for item in answer.product_ids if item[0] == clicked[0]]
        assert same[0] == beside
        assert parts_of(answer, beside)["item_item"] > 0
        named = await serving.generate(shopper=who, top_k=6)
        assert list(named.product_ids) == list(answer.product_ids)
    newest, earlier = parts_of(answer, "r2"), parts_of(answer, "w2")
    assert newest["item_item"] > earlier["item_item"] > 0


async def test_what_is_bought_with_a_product_counts_once_it_was_bought(serving: Suite) -> None:
    await serving.append(event("w1", shopper=BEN, ago=60))
    viewed = await ranked(serving, BEN)
    assert "bought_together" not in names(viewed)
    await serving.append(event("w1", "PURCHASE", shopper=BEN))
    bought = await ranked(serving, BEN)
    assert parts_of(bought, "r0")["bought_together"] > 0
    assert next(item for item in bought.product_ids if item[0] == "r") == "r0"


async def test_a_hidden_click_stops_counting_in_the_very_next_answer(serving: Suite) -> None:
    await serving.append(event("w1", "CLICK", shopper=BEN, ago=1))
    assert "session" in names(await ranked(serving, BEN))
    await serving.append(event("w1", "HIDE", shopper=BEN))
    answer = await ranked(serving, BEN)
    assert "w1" not in answer.product_ids
    assert "session" not in names(answer)


async def test_a_calibrated_model_says_how_likely_a_click_is(serving: Suite) -> None:
    plain = await ranked(serving, ANN)
    assert (list(plain.scores), plain.score_event) == ([], event_pb2.EVENT_TYPE_UNSPECIFIED)

    key = pseudonyms.load(serving.folder / "key", create=False)
    made = learned(key.of("default", Shopper(Identity.USER, USER)))
    await promoted(serving, replace(made, version="lfm-calibrated", calibration=KNOTS))
    answer = await ranked(serving, ANN)
    assert answer.score_event == event_pb2.EVENT_TYPE_CLICK
    assert list(answer.product_ids) == list(plain.product_ids)
    expected = np.interp(answer.raw_scores, KNOTS.raw_scores, KNOTS.chances)
    np.testing.assert_allclose(answer.scores, expected)
    assert (np.diff(answer.scores) <= 0).all()


async def test_reasons_are_given_of_as_many_products_as_are_asked_for(serving: Suite) -> None:
    await serving.append(event("w1", "CLICK"))
    everything = await ranked(serving, ANN)
    assert len(everything.reasons) == len(IDS)
    two = await ranked(serving, ANN, reason_top_k=2)
    assert list(two.reasons) == list(everything.reasons[:2])
    assert list(two.product_ids) == list(everything.product_ids)
    assert list((await ranked(serving, ANN, reason_top_k=0)).reasons) == []
    error = await refusal(ranked(serving, ANN, reason_top_k=2001))
    assert error.violations[0].field == "reason_top_k"


async def test_the_same_columns_come_whichever_way_they_are_read(serving: Suite) -> None:
    """Read columns of doubles, which are merged as bytes, in each way: all must return the written
    values."""
    await serving.append(event("w1", "CLICK"))
    request = pb.RankRequest(
        candidates=columns([product(item) for item in IDS]),
        weights=[pb.PartWeight(part=part, weight=weight) for part, weight in WEIGHTS.items()],
        shopper=ANN,
    )
    answer = await serving.ranking.Rank(request)
    assert len(answer.raw_scores) == len(IDS)
    assert pb.RankResponse.FromString(answer.SerializeToString()) == answer
    for place, score in enumerate(answer.raw_scores):
        contributions = [part.values[place] for part in answer.parts]
        assert abs(score - sum(contributions)) <= 1e-6 * sum(map(abs, contributions))
