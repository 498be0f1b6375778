"""In a large catalog, personal candidates come from the index."""

import pytest

from gateway.model.causes import Peer
from gateway.model.errors import NothingAvailable, PeerUnavailable
from gateway.model.query import RequestQuery
from gateway.recommend.begin import begin
from gateway.recommend.recommend import recommend
from gateway.retrieval.branches import find
from servicekit.errors import FailedPrecondition, Unavailable
from sightline.common.v1.vector_pb2 import Vector
from sightline_core.degradations import DegradationCause
from sightline_core.ranking import NominationBasis
from sightline_core.versions import SpaceVersion
from tests.fakes.gateway_peers import Shop
from tests.fakes.gateway_values import ANN


def space(version):
    return SpaceVersion(
        space="collaborative", version=version, generation=f"collaborative-{version}-1"
    )


def vector(version):
    return Vector(space="collaborative", space_version=version, dimension=1, data=version.encode())


@pytest.fixture
def shop():
    """Return a shop whose ranker serves m2 after m1, and whose index has the products of m1."""
    made = Shop()
    made.ranker.vectors = (vector("m2"), vector("m1"))
    made.ranker.generated["ann"] = (NominationBasis.SESSION, ("p7",))
    made.retriever.nearest = {b"m1": {"p4": 9.0, "p2": -1.0}, b"m2": {"p5": 3.0}}
    made.retriever.active = [space("m1")]
    return made


async def found(shop, deps=None):
    run = begin(RequestQuery(shopper=ANN), deps or shop.deps)
    return run, [list(item.columns.product_ids) for item in await find(run)]


def searches(shop):
    return [what for name, what in shop.retriever.calls if name == "search"]


async def test_the_model_that_the_index_holds_is_learned_once(shop):
    deps = shop.deps
    run, lists = await found(shop, deps)
    assert lists == [["p4", "p2"]]
    assert list(run.trace.spaces) == [space("m1")]
    assert run.trace.failures == []
    assert searches(shop) == [b"m2", b"m1"]

    assert (await found(shop, deps))[1] == [["p4", "p2"]]
    assert searches(shop) == [b"m2", b"m1", b"m1"]

    shop.retriever.active = [space("m2")]
    assert (await found(shop, deps))[1] == [["p5"]]
    assert shop.ranker.asked == ["generate"] * 3


async def test_what_the_ranker_leaves_out_is_left_out_of_the_search(shop):
    shop.ranker.hidden = frozenset({"p4"})
    assert (await found(shop))[1] == [["p2"]]


async def test_what_goes_with_the_last_products_is_joined_to_what_is_near_the_shopper(shop):
    shop.ranker.neighbours = ("p9", "p2")
    run, lists = await found(shop)
    assert lists == [["p4", "p2"], ["p9", "p2"]]
    answer = await recommend(RequestQuery(shopper=ANN), shop.deps)
    assert {"p4", "p2", "p9"} <= {result.answered.product_id for result in answer.results}
    assert run.trace.failures == []


async def test_when_what_goes_with_the_last_products_can_t_be_read_the_search_stands(shop):
    shop.ranker.neighbours = ("p9",)
    shop.retriever.fails["columns"] = Unavailable("busy", reason="RECORD_UNAVAILABLE")
    run, lists = await found(shop)
    assert lists == [["p4", "p2"]]
    assert [failure.stage for failure in run.trace.failures] == ["collaborative"]


@pytest.mark.parametrize("held", ["m0", ""])
async def test_without_the_model_s_products_in_the_index_the_ranker_names_them(shop, held):
    shop.retriever.active = [space(held)]
    run, lists = await found(shop)
    assert lists == [["p7"]]
    assert run.trace.failures == []
    assert shop.ranker.asked == ["generate", "generate"]


async def test_without_any_publication_the_ranker_names_products(shop):
    unknown = FailedPrecondition("no such space", reason="SPACE_UNAVAILABLE")
    shop.retriever.fails["search"] = unknown
    assert (await found(shop))[1] == [["p7"]]


async def test_without_the_index_the_ranker_names_products(shop):
    shop.retriever.fails["search"] = Unavailable("no engine", reason="INDEX_UNAVAILABLE")
    run, products = await found(shop)
    assert products == [["p7"]]
    assert [(failure.stage, failure.cause) for failure in run.trace.failures] == [
        ("collaborative", DegradationCause.INDEX_UNAVAILABLE)
    ]


async def test_a_failed_search_is_a_failed_branch(shop):
    shop.retriever.fails["search"] = PeerUnavailable(Peer.RETRIEVER)
    run = begin(RequestQuery(shopper=ANN), shop.deps)
    with pytest.raises(NothingAvailable):
        await find(run)
    assert [(failure.stage, failure.cause) for failure in run.trace.failures] == [
        ("collaborative", DegradationCause.RETRIEVER_UNAVAILABLE)
    ]


async def test_an_inner_product_says_nothing_of_a_good_match(shop):
    answer = await recommend(RequestQuery(shopper=ANN, min_quality=0.9), shop.deps)
    assert answer.results
    assert not answer.no_good_match
    assert [item.space for item in answer.versions.spaces] == ["collaborative"]
