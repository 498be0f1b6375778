"""Roll-outs in the gateway: the version that it embeds with, without mixing versions."""

from gateway.model.query import RequestQuery
from gateway.recommend.begin import begin
from gateway.retrieval.branches import find
from gateway.state.request_context import SpaceVersions
from sightline_core.degradations import DegradationCause
from sightline_core.versions import SpaceVersion
from tests.fakes.gateway_peers import Shop, shop_with_photo
from tests.fakes.gateway_values import near, photo

OLD = SpaceVersion(space="visual", version="v1", generation="g1")
NEW = SpaceVersion(space="visual", version="v2", generation="g2")


def rolled_out(*active: SpaceVersion) -> Shop:
    """Return a shop whose embedder serves two versions, the old one by default."""
    shop = shop_with_photo()
    shop.embedder.served = ("v1", "v2")
    shop.retriever.active = list(active)
    return shop


def causes(run):
    return [failure.cause for failure in run.trace.failures]


def test_versions_are_those_of_a_catalog_and_a_space():
    versions = SpaceVersions()
    versions.learn("a", "visual", "v2")
    assert versions.of("a", "visual") == "v2"
    assert versions.of("b", "visual") == versions.of("a", "text") == ""
    versions.forget("a", "visual")
    versions.forget("a", "visual")
    assert versions.of("a", "visual") == ""


async def test_an_activation_costs_one_embedding_once_and_no_request():
    shop = rolled_out(NEW)
    deps = shop.deps
    for _ in range(2):
        run = begin(RequestQuery(signals=(photo(),)), deps)
        (listing,) = await find(run)
        assert list(listing.columns.product_ids) == ["p1", "p2", "p3", "p4"]
        assert causes(run) == []
        assert list(run.trace.spaces) == [NEW]
    assert shop.embedder.versions == ["", "v2", "v2"]


async def test_a_rollback_costs_no_request_either():
    shop = rolled_out(NEW)
    deps = shop.deps
    await find(begin(RequestQuery(signals=(photo(),)), deps))
    shop.retriever.active = [OLD]
    run = begin(RequestQuery(signals=(photo(),)), deps)
    await find(run)
    assert (causes(run), list(run.trace.spaces)) == ([], [OLD])
    assert shop.embedder.versions == ["", "v2", "v2", "v1"]


async def test_only_the_photos_that_met_another_version_are_embedded_again():
    shop = rolled_out(OLD, NEW)
    shop.retriever.nearest[b"second"] = {"p9": 0.1}
    run = begin(RequestQuery(signals=(photo(), photo(1, b"second"))), shop.deps)
    await find(run)
    # One of the two searches met the old generation, so both were made again.
    assert list(run.trace.spaces) == [NEW]
    assert [len(call) for call in shop.embedder.calls] == [2, 1, 2]
    assert causes(run) == []


async def test_an_answer_never_mixes_generations():
    shop = rolled_out(OLD, NEW)
    shop.retriever.nearest["p1"] = {"p2": 0.9}
    shop.retriever.nearest["p5"] = {"p6": 0.9}
    run = begin(RequestQuery(signals=(near("p1"), near("p5", 1))), shop.deps)
    listings = await find(run)
    assert len(listings) == 2
    assert list(run.trace.spaces) == [NEW]


async def test_where_generations_change_with_every_search_one_is_kept_and_the_failure_reported():
    shop = rolled_out(*(OLD, NEW) * 6)
    shop.retriever.nearest["p1"] = {"p2": 0.9}
    shop.retriever.nearest["p5"] = {"p6": 0.9}
    run = begin(RequestQuery(signals=(near("p1"), near("p5", 1))), shop.deps)
    assert len(await find(run)) == 1
    assert len(run.trace.spaces) == 1
    assert causes(run) == [DegradationCause.INDEX_UNAVAILABLE]


async def test_a_version_that_is_served_no_more_is_forgotten():
    shop = rolled_out(NEW)
    deps = shop.deps
    await find(begin(RequestQuery(signals=(photo(),)), deps))
    shop.embedder.served, shop.retriever.active = ("v1",), [OLD]
    run = begin(RequestQuery(signals=(photo(),)), deps)
    await find(run)
    assert (causes(run), list(run.trace.spaces)) == ([], [OLD])
    assert shop.embedder.versions[2:] == ["v2", ""]


async def test_an_embedder_that_lacks_the_active_version_is_a_failure_and_no_endless_loop():
    shop = rolled_out(NEW)
    shop.embedder.served = ("v1",)
    run = begin(RequestQuery(signals=(photo(),)), shop.deps)
    await find(run)
    assert causes(run) == [DegradationCause.EMBEDDER_UNAVAILABLE]
    assert shop.embedder.versions == ["", "v2"]


async def test_a_second_mismatch_in_one_request_is_a_failure():
    shop = rolled_out(NEW, OLD)
    run = begin(RequestQuery(signals=(photo(),)), shop.deps)
    await find(run)
    assert causes(run) == [DegradationCause.INDEX_UNAVAILABLE]
