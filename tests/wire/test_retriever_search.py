"""Searches over real gRPC, on real SQLite and a real Milvus Lite process."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from google.type import money_pb2
from PIL import Image

from retriever.servicer import vectors
from sightline.common.v1 import filter_pb2, product_pb2
from sightline.gateway.v1 import catalog_service_pb2 as gateway_pb
from sightline.retriever.v1 import product_service_pb2 as products_pb
from sightline.retriever.v1 import vector_service_pb2 as vectors_pb
from sightline_rules.duplicates import same_picture
from tests.fakes.index import DIMENSION, VERSION, vector_of
from tests.fakes.photos import encoded, photo
from tests.waiting import SECONDS
from tests.wire.retriever_shop import (
    PRICE,
    Shop,
    by_the_engine,
    compare,
    early,
    either_way,
    exact_rows,
    reason,
    refused,
    shop,
    text,
    vector,
    wine,
)

__all__ = ["early", "exact_rows", "shop"]  # fixtures


@either_way
async def test_a_product_is_searchable_once_its_token_is_reached(
    shop: Shop, exact_rows: int
) -> None:
    written = await shop.upsert(wine("a", 1), wine("b", 2))
    assert [reason(result.status) for result in written.results] == ["OK", "OK"]
    found = await shop.search(vector=vector(photo(seed=2)), min_index_token=written.index_token)
    assert list(found.candidates.product_ids) == ["b", "a"]
    assert found.similarities[0] == pytest.approx(1.0, abs=1e-5)
    assert list(found.image_ids) == [
        written.results[1].image_ids[0],
        written.results[0].image_ids[0],
    ]
    assert found.space.space == "visual"
    assert found.space.version == VERSION
    assert found.candidates.price_micros[0] == 12_500_000
    assert (await shop.seen(found.freshness.index_token)).candidates.product_ids
    assert found.freshness.index_lag.ToMicroseconds() == 0
    assert found.freshness.index_time_micros > 0
    timed = {timing.stage for timing in found.stage_timings}
    assert timed == ({"index"} if exact_rows else {"index", "hydrate"})


async def test_a_product_counts_once_with_its_best_photo(shop: Shop) -> None:
    written = await shop.upsert(wine("many", 1, 2, 3), wine("one", 4))
    found = await shop.search(
        vector=vector(photo(seed=3)), min_index_token=written.index_token, top_k=2
    )
    assert list(found.candidates.product_ids) == ["many", "one"]
    assert found.image_ids[0] == written.results[0].image_ids[2]


async def test_a_product_finds_others_and_not_itself_unless_asked(shop: Shop) -> None:
    token = (await shop.upsert(wine("a", 1, 2), wine("b", 3), wine("c", 4))).index_token
    others = await shop.search(product_id="a", min_index_token=token)
    assert set(others.candidates.product_ids) == {"b", "c"}
    itself = await shop.search(product_id="a", include_query_product=True)
    assert itself.candidates.product_ids[0] == "a"
    blended = vectors_pb.Blend(
        parts=[
            vectors_pb.BlendPart(product_id="a", weight=1.0),
            vectors_pb.BlendPart(vector=vector(photo()), weight=-0.5),
        ]
    )
    away = await shop.search(blend=blended)
    assert "a" not in away.candidates.product_ids
    assert len(away.candidates.product_ids) == len(others.candidates.product_ids)
    with refused("NOT_FOUND", "PRODUCT_NOT_FOUND", "blend.parts[2].product_id"):
        blended.parts.add(product_id="nothing", weight=1.0)
        await shop.search(blend=blended)
    fewer = await shop.search(product_id="a", exclude_product_ids=["b"])
    assert list(fewer.candidates.product_ids) == ["c"]


async def test_the_vectors_of_products_are_listed_for_those_who_learn_from_them(
    shop: Shop,
) -> None:
    token = (await shop.upsert(wine("b", 3), wine("a", 1, 2))).index_token
    await shop.seen(token)
    pages, place = [], ""
    while not pages or place:
        request = vectors_pb.ListVectorsRequest(page_size=1, page_token=place)
        pages.append(await shop.vectors.ListVectors(request, timeout=SECONDS))
        place = pages[-1].next_page_token
    pages = [page for page in pages if page.product_ids]
    assert [list(page.product_ids) for page in pages] == [["a"], ["b"]]
    assert {(page.space.version, page.dimension) for page in pages} == {(VERSION, DIMENSION)}
    first = np.frombuffer(pages[0].vectors, "<f4")
    both = (vector_of(photo(seed=1)) + vector_of(photo(seed=2))) / 2
    np.testing.assert_allclose(first, both, rtol=1e-5)


def shapes(place: int) -> Image.Image:
    """Return a different picture for each place."""
    image = Image.new("RGB", (320, 240), "white")
    image.paste("gray", (0, 180, 60 + 40 * place, 240))
    image.paste("black", (70 + 50 * place, 40, 150 + 50 * place, 200))
    return image


async def test_near_duplicates_collapse_unless_they_are_asked_for(shop: Shop) -> None:
    files = {
        "first": encoded(shapes(0), quality=90),
        "copy": encoded(shapes(0).resize((200, 150)), quality=50),
        "red": encoded(shapes(1), quality=90),
        "blue": encoded(shapes(2), quality=90),
        "other": encoded(shapes(3), quality=90),
    }
    parents = {"red": "shirt", "blue": "shirt"}
    written = await shop.upsert(
        *(
            wine(
                name,
                images=[product_pb2.ProductImage(content=data)],
                parent_id=parents.get(name, ""),
            )
            for name, data in files.items()
        )
    )
    asked = {"vector": vector(files["first"]), "min_index_token": written.index_token}
    everything = await shop.search(collapse=vectors_pb.COLLAPSE_OFF, **asked)
    order = list(everything.candidates.product_ids)
    assert (sorted(order), len(everything.collapsed)) == (sorted(files), 0)
    hashes = dict(zip(order, everything.candidates.image_hashes, strict=True))
    assert same_picture(hashes["first"], hashes["copy"])

    best = min(("red", "blue"), key=order.index)
    worse = max(("red", "blue"), key=order.index)
    groups = {"first": ["copy"], best: [worse], "other": []}
    dropped = await shop.search(**asked)
    assert list(dropped.candidates.product_ids) == [name for name in order if name in groups]
    assert [list(ids.product_ids) for ids in dropped.collapsed] == [
        groups[name] for name in dropped.candidates.product_ids
    ]
    marked = await shop.search(collapse=vectors_pb.COLLAPSE_MARK, **asked)
    assert list(marked.candidates.product_ids) == order
    assert [list(ids.product_ids) for ids in marked.collapsed] == [
        groups.get(name, []) for name in order
    ]
    own = await shop.search(product_id="copy")
    assert set(own.candidates.product_ids) == {best, "other"}
    assert list(own.query_product.product_ids) == ["copy"]
    assert own.query_product.image_hashes[0] == hashes["copy"]
    with refused("INVALID_ARGUMENT", "REQUEST_INVALID", "collapse"):
        await shop.search(product_id="copy", collapse=99)


async def test_enough_products_are_found_behind_one_with_many_photos(shop: Shop) -> None:
    products = [wine("crowd", *range(1, 21))] + [wine(f"p{n}", 100 + n) for n in range(6)]
    token = (await shop.upsert(*products)).index_token
    found = await shop.search(
        vector=vector(photo(seed=1)),
        min_index_token=token,
        top_k=7,
        collapse=vectors_pb.COLLAPSE_OFF,  # these photos differ in little
    )
    assert len(set(found.candidates.product_ids)) == 7


@pytest.mark.usefixtures("early")
@either_way
async def test_price_and_availability_are_exact_before_the_index_knows(
    shop: Shop, exact_rows: int
) -> None:
    sold, dear = (
        product_pb2.AVAILABILITY_OUT_OF_STOCK,
        money_pb2.Money(currency_code="EUR", units=99),
    )
    written = await shop.upsert(
        wine("a", 1), wine("b", 2), wine("sold", 3, availability=sold), wine("dear", 4, price=dear)
    )
    await shop.seen(written.index_token)
    kept = filter_pb2.FilterValue(availability=product_pb2.AVAILABILITY_IN_STOCK)
    bounds = [
        compare("availability", kept),
        compare("price", filter_pb2.FilterValue(money=PRICE), "LESS_OR_EQUAL"),
    ]
    passing = filter_pb2.Filter(all=filter_pb2.FilterList(filters=bounds))
    asked: dict[str, Any] = {"vector": vector(photo(seed=1)), "filter": passing}
    assert set((await shop.search(**asked)).candidates.product_ids) == {"a", "b"}

    await shop.stop_worker()
    offers = [
        gateway_pb.Offer(product_id="a", price=dear),
        gateway_pb.Offer(product_id="dear", price=PRICE),
        gateway_pb.Offer(product_id="sold", availability=product_pb2.AVAILABILITY_IN_STOCK),
    ]
    changed = await shop.products.UpdateOffers(gateway_pb.UpdateOffersRequest(offers=offers))
    assert [reason(status) for status in changed.statuses] == ["OK"] * 3
    # What passes no more is left out at once; what newly passes waits for the engine's index.
    now = {"b", "sold", "dear"} if exact_rows else {"b"}
    assert set((await shop.search(**asked)).candidates.product_ids) == now
    everything = await shop.search(vector=vector(photo(seed=1)))
    found = everything.candidates
    micros = dict(zip(found.product_ids, found.price_micros, strict=True))
    assert micros == {"a": 99_000_000, "b": 12_500_000, "sold": 12_500_000, "dear": 12_500_000}
    assert set(found.availabilities) == {product_pb2.AVAILABILITY_IN_STOCK}
    assert (everything.freshness.index_lag.ToMicroseconds() == 0) == bool(exact_rows)
    if not exact_rows:
        with refused("DEADLINE_EXCEEDED", "STAGE_DEADLINE"):
            await shop.search(seconds=1.3, min_index_token=changed.index_token, **asked)
        shop.start_worker()
    caught_up = await shop.search(min_index_token=changed.index_token, **asked)
    assert set(caught_up.candidates.product_ids) == {"b", "dear", "sold"}


@by_the_engine
async def test_a_deleted_product_is_found_nowhere(shop: Shop) -> None:
    await shop.seen((await shop.upsert(wine("a", 1), wine("b", 2))).index_token)
    await shop.stop_worker()
    request = gateway_pb.DeleteProductsRequest(product_ids=["a", "never"])
    deleted = await shop.products.DeleteProducts(request)
    assert deleted.deleted_count == 1
    stale = await shop.search(vector=vector(photo(seed=1)))
    assert list(stale.candidates.product_ids) == ["b"]
    shop.start_worker()
    await shop.seen(deleted.index_token)
    count = await shop.vectors.Count(vectors_pb.CountRequest())
    assert (count.products, count.images, count.indexed, count.outbox) == (1, 1, 1, 0)


@by_the_engine
async def test_a_replaced_photo_finds_the_product_no_more(shop: Shop) -> None:
    await shop.seen((await shop.upsert(wine("a", 1))).index_token)
    token = (await shop.upsert(wine("a", 2))).index_token
    found = await shop.search(vector=vector(photo(seed=2)), min_index_token=token)
    assert found.similarities[0] == pytest.approx(1.0, abs=1e-5)
    assert (await shop.vectors.Count(vectors_pb.CountRequest())).indexed == 1


async def test_catalogs_hold_their_own(shop: Shop) -> None:
    there = await shop.products.UpsertProducts(
        gateway_pb.UpsertProductsRequest(catalog_id="other", products=[wine("theirs", 1)])
    )
    mine = await shop.upsert(wine("mine", 1))
    found = await shop.seen(mine.index_token)
    assert list(found.candidates.product_ids) == ["mine"]
    theirs = await shop.seen(there.index_token, catalog_id="other")
    assert list(theirs.candidates.product_ids) == ["theirs"]
    with refused("INVALID_ARGUMENT", "INDEX_TOKEN_INVALID"):
        await shop.seen(there.index_token)
    await shop.products.DeleteProducts(gateway_pb.DeleteProductsRequest(product_ids=["mine"]))
    photo_id = there.results[0].image_ids[0]
    fetched = await shop.products.GetImage(
        products_pb.GetImageRequest(catalog_id="other", image_id=photo_id)
    )
    assert fetched.image.content == photo(seed=1)


@pytest.mark.full
async def test_a_search_waits_as_long_as_its_caller_and_without_a_deadline_not_for_ever(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "LONGEST_SECONDS", 0.2)
    shop.embedder.down = True
    token = (await shop.upsert(wine("a", 1))).index_token
    query = vectors_pb.SearchRequest(vector=vector(photo()), min_index_token=token)
    with refused("DEADLINE_EXCEEDED", "STAGE_DEADLINE"):
        await shop.vectors.Search(query)
    patient = shop.search(seconds=90, vector=vector(photo()), min_index_token=token)
    waiting = asyncio.create_task(patient)
    await asyncio.sleep(0.5)
    assert not waiting.done()
    shop.embedder.down = False
    assert list((await waiting).candidates.product_ids) == ["a"]


async def test_another_space_version_is_not_mixed_in(shop: Shop) -> None:
    await shop.seen((await shop.upsert(wine("a", 1))).index_token)
    await shop.stop_worker()
    shop.embedder.version = "v2-fake"
    await shop.upsert(wine("b", 2))
    shop.start_worker()
    await asyncio.sleep(0.5)
    found = await shop.search(vector=vector(photo(seed=2)))
    assert list(found.candidates.product_ids) == ["a"]
    assert found.freshness.pending == 1


async def test_words_find_products_as_soon_as_they_are_written(shop: Shop) -> None:
    await shop.upsert(wine("p1", 1, title="Barolo"), wine("p2", 2, title="Rioja"))
    found = await shop.find("BAROLO organic")
    assert list(found.candidates.product_ids) == ["p1", "p2"]
    assert 1 > found.similarities[0] > found.similarities[1] > 0
    assert not any(found.image_ids)
    assert not found.HasField("space")
    assert "2 asked" in found.plan
    left = await shop.find(
        "organic", exclude_product_ids=["p2"], filter=compare("brand", text("Estate"))
    )
    assert list(left.candidates.product_ids) == ["p1"]
    with refused("INVALID_ARGUMENT", "KEYWORDS_INVALID", "text"):
        await shop.find("")
    with refused("INVALID_ARGUMENT", "FILTER_INVALID", "filter.comparison.field"):
        await shop.find("x", filter=compare("nonsense", text("Estate")))
    with refused("NOT_FOUND", "CATALOG_NOT_FOUND", "catalog_id"):
        await shop.find("x", catalog_id="nowhere")
    assert not (await shop.find("barolo", catalog_id="other")).candidates.product_ids
