"""Aliases over real gRPC: the gateway replaces them, and no peer, token or quota knows them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sightline.common.v1 import event_pb2
from sightline.common.v1 import job_service_pb2 as jobs_pb
from sightline.gateway.v1 import catalog_service_pb2 as catalog_pb
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline.gateway.v1 import user_event_service_pb2 as events_pb
from sightline.retriever.v1.catalog_registry_service_pb2 import CopyCatalogRequest
from tests.fakes.gateway_wire import Suite, running
from tests.unit.gateway.callers.conftest import entry
from tests.wire.gateway_calls import ANN, photo, refused

CATALOGS = ("default", "other", "green")


@pytest.fixture
async def suite() -> AsyncIterator[Suite]:
    async with running(catalogs=CATALOGS) as found:
        found.aliases["shop"] = "other"
        yield found


def seen(suite: Suite, *names: str) -> set[str]:
    """Return the catalogs that the peers were asked for."""
    peers = (suite.embedder, suite.retriever, suite.ranker, suite.vision)
    return {
        each.request.catalog_id
        for peer in peers
        for each in peer.script.seen
        if hasattr(each.request, "catalog_id") and (not names or each.method in names)
    }


async def switch(suite: Suite, target: str) -> None:
    suite.aliases["shop"] = target
    await suite.catalogs.refresh()


async def test_peers_are_asked_for_the_catalog_that_an_alias_stands_for(suite: Suite) -> None:
    await suite.recommendation.Recommend(photo(catalog_id="shop", shopper=ANN))
    asked = photo(catalog_id="shop")
    await suite.recommendation.ExplainRecommendation(
        pb.ExplainRecommendationRequest(request=asked, product_id="p1")
    )
    await suite.catalog.GetProduct(catalog_pb.GetProductRequest(catalog_id="shop", product_id="p1"))
    event = event_pb2.Event(event_id="e1", type=event_pb2.EVENT_TYPE_VIEW, product_id="p1")
    event.shopper.CopyFrom(ANN)
    await suite.events.WriteEvents(events_pb.WriteEventsRequest(catalog_id="shop", events=[event]))
    await suite.jobs.ListJobs(jobs_pb.ListJobsRequest(catalog_id="shop"))
    assert seen(suite) == {"other"}


async def test_a_switch_counts_for_the_next_request_and_tokens_of_before_are_refused(
    suite: Suite,
) -> None:
    first = photo(catalog_id="shop", page_size=2)
    one = await suite.recommendation.Recommend(first)
    await switch(suite, "green")
    error = await refused(
        suite.recommendation.Recommend(
            photo(catalog_id="shop", page_size=2, page_token=one.next_page_token)
        )
    )
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID")
    # The catalog itself goes on.
    two = photo(catalog_id="other", page_size=2, page_token=one.next_page_token)
    assert (await suite.recommendation.Recommend(two)).results
    suite.retriever.script.seen.clear()
    suite.embedder.script.seen.clear()
    suite.ranker.script.seen.clear()
    assert (await suite.recommendation.Recommend(first)).results
    assert seen(suite) == {"green"}


async def test_each_request_sees_one_catalog_while_aliases_switch(suite: Suite) -> None:
    async def flip() -> None:
        for number in range(40):
            await switch(suite, ("green", "other")[number % 2])

    flipping = asyncio.create_task(flip())
    number = 0
    while not flipping.done():
        number += 1
        asked = photo(catalog_id="shop", request_id=f"r{number}", shopper=ANN)
        assert (await suite.recommendation.Recommend(asked)).results
    await flipping
    by_request: dict[str, set[str]] = {}
    for peer in (suite.embedder, suite.retriever, suite.ranker, suite.vision):
        for each in peer.script.seen:
            name = each.metadata.get("x-request-id", "")
            if name.startswith("r"):
                by_request.setdefault(name, set()).add(each.request.catalog_id)
    assert len(by_request) > 5
    assert {*map(len, by_request.values())} == {1}
    assert {"green", "other"} == set().union(*by_request.values())


async def test_a_token_needs_the_permission_for_the_catalog_and_the_alias_gives_none(
    tmp_path: Path,
) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text(
        entry("of-the-alias", "alias", '["read"]', '["shop"]')
        + entry("of-the-catalog", "catalog", '["read"]', '["other"]')
        + entry("of-all", "all", '["read"]', '["*"]')
    )
    async with running(catalogs=CATALOGS, keys_file=keys) as suite:
        suite.aliases["shop"] = "other"

        async def outcome(token: str, name: str) -> str:
            call = suite.recommendation.Recommend(
                photo(catalog_id=name), metadata=(("authorization", f"Bearer {token}"),)
            )
            try:
                await call
            except Exception:
                return (await refused(call)).reason
            return "OK"

        assert await outcome("all", "shop") == "OK"  # it is looked up
        assert await outcome("catalog", "shop") == "OK"
        assert await outcome("alias", "shop") == "CATALOG_FORBIDDEN"
        await switch(suite, "green")
        assert await outcome("catalog", "shop") == "CATALOG_FORBIDDEN"
        assert await outcome("catalog", "other") == "OK"
        assert await outcome("all", "nowhere") == "CATALOG_NOT_FOUND"


async def test_an_alias_that_is_not_known_yet_is_checked_once_it_is(tmp_path: Path) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text(entry("of-the-alias", "alias", '["read"]', '["shop"]'))
    async with running(catalogs=CATALOGS, keys_file=keys) as suite:
        suite.aliases["shop"] = "other"
        for _ in range(2):
            call = suite.recommendation.Recommend(
                photo(catalog_id="shop"), metadata=(("authorization", "Bearer alias"),)
            )
            assert (await refused(call)).reason == "CATALOG_FORBIDDEN"
        assert not seen(suite)


async def test_calls_by_an_alias_count_for_the_quota_of_its_catalog() -> None:
    quota = {"quota_calls": 0.001, "quota_burst_seconds": 3600}  # 3.6 calls
    async with running(catalogs=CATALOGS, **quota) as suite:
        suite.aliases.update({"shop": "other", "shop2": "other"})
        for name in ("shop", "shop2", "other"):
            await suite.recommendation.Recommend(photo(catalog_id=name))
        error = await refused(suite.recommendation.Recommend(photo(catalog_id="shop")))
        assert error.reason == "QUOTA_EXHAUSTED"
        await suite.recommendation.Recommend(photo(catalog_id="default"))


async def test_a_copy_needs_a_token_that_permits_both_catalogs(tmp_path: Path) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text(entry("ops", "ops", '["operate"]', '["other", "new"]'))
    async with running(catalogs=CATALOGS, keys_file=keys) as suite:
        for source, target, reason in (
            ("other", "green", "CATALOG_FORBIDDEN"),
            ("green", "new", "CATALOG_FORBIDDEN"),
            ("other", "new", "UNIMPLEMENTED"),  # by this retriever: it was passed on
        ):
            request = CopyCatalogRequest(catalog_id=source, target_catalog_id=target)
            call = suite.admin.CopyCatalog(request, metadata=(("authorization", "Bearer ops"),))
            assert (await refused(call)).reason == reason
