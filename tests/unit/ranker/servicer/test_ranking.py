"""Answers to callers that search the index of a large catalog themselves."""

import dataclasses

import numpy as np
import pytest

from ranker.domain.arrays import Neighbours
from ranker.domain.events import EventType, History, Identity, Shopper
from ranker.domain.model import Model
from ranker.servicer.ranking import RankingServicer
from ranker.serving.ranking.fold_in import SESSION_PRIOR
from servicekit.rpc.requests import RequestInvalid
from sightline.common.v1 import candidate_pb2, event_pb2
from sightline.common.v1.answer_pb2 import Degradation
from sightline.ranker.v1 import ranking_service_pb2 as pb
from tests.fakes.ranker import KEY, FakeReader, did, model

ANN = KEY.of("default", Shopper(Identity.USER, "ann"))
ASKED = {"shopper": event_pb2.Shopper(user_id="ann"), "accepts_vectors": True}


def made(version: str = "lfm-now") -> Model:
    """Return a model of four products in which shoppers who like a also like c, and d much more."""
    plain = model(
        {"a": [1.0, 0.0], "b": [0.9, 0.0], "c": [0.0, 1.0], "d": [0.0, 0.5]},
        biases={"b": 0.5},
        version=version,
        score_scale=2.0,
    )
    goes_with = Neighbours(
        starts=np.array([0, 2, 2, 2, 2]),
        items=np.array([2, 3], np.int32),
        weights=np.array([1.0, 4.0], np.float32),
    )
    blend = {"session": 1.0, "item_item": 1.0}
    return dataclasses.replace(plain, neighbours={"item_item": goes_with}, blend=blend)


class Serving:
    """A model that serves, and one that did."""

    def serving(self, catalog_id: str) -> Model:
        return made()

    def pinned(self, catalog_id: str, version: str) -> Model | None:
        return made(version) if version == "lfm-canary" else None

    def refused(self, catalog_id: str) -> bool:
        return False

    def former(self, catalog_id: str) -> Model:
        return made("lfm-before")


def servicer(in_memory_items: int, history: History) -> RankingServicer:
    reader = FakeReader({ANN: history}, {"b": 1.0})
    return RankingServicer.of(("default",), KEY, reader, Serving(), in_memory_items)


async def candidates(asked: RankingServicer, **fields) -> pb.NominateResponse:
    return await asked.Nominate(pb.NominateRequest(**fields), None)


async def generated(in_memory_items: int, history: History, **fields):
    return await candidates(servicer(in_memory_items, history), **{**ASKED, **fields})


VIEWED = History(recent=(did(ANN, "a", EventType.VIEW),), hidden=frozenset({"c"}))


async def test_vectors_come_with_what_a_search_by_them_can_t_see() -> None:
    found = await generated(3, VIEWED, exclude_product_ids=["b"])
    assert list(found.product_ids) == ["d"]
    assert [one.space_version for one in found.vectors] == ["lfm-now", "lfm-before"]
    assert list(found.exclude_product_ids) == ["b", "c"]
    # The session alone, over the scale of 2: one product's vector, shrunk, and the whole bias.
    vector = np.frombuffer(found.vectors[0].data, "<f4")
    np.testing.assert_allclose(vector, [0.5 / (1 + SESSION_PRIOR), 0.0, 0.5], rtol=1e-6)
    products = np.array([[1.0, 0.0, 0.0], [0.9, 0.0, 0.5], [0.0, 1.0, 0.0], [0.0, 0.5, 0.0]])
    everything = await generated(3, VIEWED, accepts_vectors=False)
    scores = dict(zip(everything.product_ids, everything.scores, strict=True))
    for item, score in zip("ab", products @ vector, strict=False):
        assert scores[item] == pytest.approx(score)
    assert scores["d"] == pytest.approx(found.scores[0])


@pytest.mark.parametrize(
    ("in_memory_items", "history", "fields"),
    [
        pytest.param(4, VIEWED, {}, id="a catalog that fits into memory"),
        pytest.param(3, VIEWED, {"accepts_vectors": False}, id="a caller without an index"),
        pytest.param(3, History(), {}, id="a shopper of whom nothing is known"),
    ],
)
async def test_products_come_otherwise(
    in_memory_items: int, history: History, fields: dict[str, bool]
) -> None:
    found = await generated(in_memory_items, history, **fields)
    assert not found.vectors
    assert found.product_ids


async def test_a_pinned_models_vector_comes_before_those_that_the_index_may_hold() -> None:
    found = await generated(3, VIEWED, model_version="lfm-canary")
    assert found.model_version == "lfm-canary"
    versions = [one.space_version for one in found.vectors]
    assert versions == ["lfm-canary", "lfm-now", "lfm-before"]
    assert not found.degradations
    again = await generated(3, VIEWED, model_version="lfm-now")
    assert [one.space_version for one in again.vectors] == ["lfm-now", "lfm-before"]


async def test_while_a_pinned_model_cant_be_had_the_promoted_one_answers_and_that_is_said() -> None:
    asked, shopper = servicer(4, VIEWED), ASKED["shopper"]
    named = await candidates(asked, shopper=shopper, model_version="gone")
    columns = candidate_pb2.CandidateColumns(product_ids=["a", "b"])
    weights = [pb.PartWeight(part="session", weight=1)]
    fields = {"candidates": columns, "weights": weights, "shopper": shopper}
    plain = await asked.Rank(pb.RankRequest(**fields), None)
    ranked = await asked.Rank(pb.RankRequest(**fields, model_version="gone"), None)
    assert ranked.raw_scores == plain.raw_scores
    for answer in (named, ranked):
        assert answer.model_version == "lfm-now"
        (lost,) = answer.degradations
        assert lost.cause == Degradation.CAUSE_MODEL_NOT_READY
        assert lost.substitute == "the promoted model"
    assert ranked.degradations[0].stage == "rank"


async def test_what_is_no_version_is_refused() -> None:
    for version in ("a/../b", "a" * 65, "lfm 1"):
        with pytest.raises(RequestInvalid) as refused:
            await candidates(servicer(4, VIEWED), model_version=version)
        assert refused.value.violations[0].field == "model_version"
