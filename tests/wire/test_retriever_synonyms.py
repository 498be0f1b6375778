"""Synonyms over real gRPC: set, read, rejected, and used by searches, listings and suggestions."""

from __future__ import annotations

from functools import partial

import pytest

from sightline.common.v1 import product_pb2
from sightline.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from sightline.retriever.v1 import keyword_service_pb2 as keywords_pb
from sightline.retriever.v1 import product_service_pb2 as products_pb
from sightline.retriever.v1 import synonym_service_pb2 as pb
from tests.peer_stubs import peer_stub
from tests.waiting import SECONDS, until
from tests.wire.retriever_shop import Shop, either_way, exact_rows, refused, shop

__all__ = ["either_way", "exact_rows", "shop"]  # fixtures

SHOES = pb.SynonymRule(terms=["sneaker", "trainer", "running shoe"])
SHELF = {"p0": "Blue sneaker", "p1": "Trainer", "p2": "Shoe for running", "p3": "Belt"}


@pytest.fixture
def synonyms(shop: Shop) -> AdminServiceStub:
    return peer_stub("retriever", shop.channel)


async def _stock(shop: Shop) -> None:
    items = [product_pb2.Product(product_id=name, title=title) for name, title in SHELF.items()]
    await shop.upsert(*items)


@either_way
async def test_a_search_finds_and_names_synonyms(shop: Shop, synonyms: AdminServiceStub) -> None:
    await _stock(shop)
    assert list((await shop.find("trainers")).candidates.product_ids) == []
    await synonyms.SetSynonyms(pb.SetSynonymsRequest(rules=[SHOES]))
    found = await shop.find("trainers", language_code="en")
    assert set(found.candidates.product_ids) == {"p0", "p1", "p2"}
    assert {each.product_id: (each.typed, each.term) for each in found.synonyms} == {
        "p0": ("trainers", "sneaker"),
        "p1": ("trainers", "trainer"),
        "p2": ("trainers", "running shoe"),
    }
    assert "3 synonyms" in found.plan
    exact = await shop.find("trainer")
    assert next(iter(exact.candidates.product_ids)) == "p1"
    counted = await shop.words.CountKeywords(keywords_pb.CountKeywordsRequest(texts=["trainer"]))
    assert list(counted.product_counts) == [3]


async def test_listings_and_suggestions_use_synonyms(
    shop: Shop, synonyms: AdminServiceStub
) -> None:
    await _stock(shop)
    await synonyms.SetSynonyms(pb.SetSynonymsRequest(rules=[SHOES]))
    listed = await shop.products.BrowseProducts(
        products_pb.BrowseProductsRequest(text="trainer", order="NEWEST", page_size=10)
    )
    assert listed.product_count == 3
    best = await shop.products.BrowseProducts(
        products_pb.BrowseProductsRequest(text="trainer", order="RELEVANCE", page_size=10)
    )
    assert best.products[0].product_id == "p1", "the word itself counts more than its synonyms"
    assert len(best.products) == 3

    async def suggested() -> list[str]:
        request = keywords_pb.SuggestTextsRequest(prefix="trainer", language_code="en")
        found = await shop.words.SuggestTexts(request, timeout=SECONDS)
        return [each.product_id for each in found.products]

    async def all_of_them() -> bool:
        return await suggested() == ["p1", "p0", "p2"]

    await until(partial(all_of_them))


async def test_wrong_rules_change_nothing_and_are_named(synonyms: AdminServiceStub) -> None:
    stored = await synonyms.SetSynonyms(pb.SetSynonymsRequest(rules=[SHOES]))
    assert stored.HasField("update_time")
    with refused("INVALID_ARGUMENT", "SYNONYMS_INVALID", "rules[1].terms[0]"):
        await synonyms.SetSynonyms(
            pb.SetSynonymsRequest(rules=[SHOES, pb.SynonymRule(terms=["", "sofa"])])
        )
    with refused("ABORTED", "ETAG_MISMATCH"):
        await synonyms.SetSynonyms(pb.SetSynonymsRequest(etag="another"))
    assert await synonyms.GetSynonyms(pb.GetSynonymsRequest()) == stored
    emptied = await synonyms.SetSynonyms(pb.SetSynonymsRequest(etag=stored.etag))
    assert list(emptied.rules) == []
