"""Products written over real gRPC, also while the embedder is down or the index loses rows."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import grpc
import pytest
from PIL import Image
from prometheus_client import REGISTRY

from retriever.domain.category_mismatch import CategoryGuess, Classification
from sightline.common.v1 import product_pb2
from sightline.gateway.v1 import catalog_service_pb2 as gateway_pb
from sightline.retriever.v1 import photo_service_pb2 as photos_pb
from sightline.retriever.v1 import product_service_pb2 as products_pb
from sightline.retriever.v1 import vector_service_pb2 as vectors_pb
from sightline_rules.photos import image_id
from tests.fakes.index import VERSION
from tests.fakes.photos import encoded, photo, picture, turned
from tests.waiting import until
from tests.wire.retriever_shop import (
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


async def test_chinese_titles_turned_and_tiny_photos_are_taken(shop: Shop) -> None:
    images = [
        product_pb2.ProductImage(content=turned(picture(64, 48), 6)),
        product_pb2.ProductImage(content=encoded(picture(1, 1), "PNG")),
        product_pb2.ProductImage(content=encoded(picture(), "WEBP")),
    ]
    written = await shop.upsert(
        wine("葡萄酒-1", title="红葡萄酒 🍷", brand="酒庄", tags=["有机"], images=images)
    )
    assert [reason(result.status) for result in written.results] == ["OK"]
    found = await shop.seen(written.index_token, filter=compare("brand", text("酒庄")))
    assert list(found.candidates.product_ids) == ["葡萄酒-1"]
    got = await shop.products.BatchGetProducts(
        products_pb.BatchGetProductsRequest(product_ids=["葡萄酒-1"])
    )
    product = got.products[0]
    assert product.title == "红葡萄酒 🍷"
    shapes = [(image.media_type, image.width, image.height) for image in product.images]
    assert shapes == [("image/jpeg", 48, 64), ("image/png", 1, 1), ("image/webp", 64, 48)]


async def test_a_photo_is_stored_without_what_it_says_on_its_maker(shop: Shop) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = 6, "ann's camera"
    exif.get_ifd(0x8825)[27] = b"52.5200 N"
    sent = encoded(picture(64, 48), quality=95, exif=exif.tobytes(), comment=b"ann's camera")
    plain = turned(picture(64, 48), 6)
    both = [
        product_pb2.ProductImage(content=sent, image_id=image_id(sent)),
        product_pb2.ProductImage(content=plain),
    ]
    written = await shop.upsert(wine("a", images=both))
    assert [reason(result.status) for result in written.results] == ["OK"]
    (stored,) = written.results[0].image_ids
    assert stored != image_id(sent), "one photo: both have the same picture and orientation"
    folder = Path(shop.settings.photos_url).parent
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert stored in {path.name for path in files}
    content = b"".join(path.read_bytes() for path in files)
    for secret in (b"ann's camera", b"52.5200 N", sent):
        assert secret not in content
    again = product_pb2.ProductImage(content=sent, image_id=stored)
    assert (await shop.upsert(wine("b", images=[again]))).results[0].image_ids == [stored]
    wrong = product_pb2.ProductImage(content=sent, image_id="0" * 64)
    refusal = await shop.upsert(wine("c", images=[wrong]))
    assert reason(refusal.results[0].status) == "PRODUCT_INVALID"


async def test_writing_the_same_twice_changes_nothing(shop: Shop) -> None:
    first = await shop.upsert(wine("a", 1))
    again = await shop.upsert(wine("a", 1))
    assert again.results[0].etag == first.results[0].etag
    request = products_pb.BatchGetProductsRequest(product_ids=["a"])
    product = (await shop.products.BatchGetProducts(request)).products[0]
    assert product.update_time == product.create_time


async def test_a_photo_may_be_named_instead_of_sent(shop: Shop) -> None:
    first = await shop.upsert(wine("a", 1))
    named = product_pb2.ProductImage(image_id=first.results[0].image_ids[0])
    unknown = product_pb2.ProductImage(image_id="0" * 64)
    second = await shop.upsert(wine("b", images=[named]), wine("c", images=[unknown]))
    assert [reason(result.status) for result in second.results] == ["OK", "IMAGE_NOT_FOUND"]
    found = await shop.search(
        vector=vector(photo(seed=1)),
        min_index_token=second.index_token,
        collapse=vectors_pb.COLLAPSE_OFF,
    )
    assert set(found.candidates.product_ids) == {"a", "b"}


def in_flight() -> float | None:
    """Return the number of calls in progress in the retriever."""
    return REGISTRY.get_sample_value("sightline_calls_in_flight", {"service": "retriever"})


def stored_photos(shop: Shop) -> set[str]:
    """Return the content of the folder of photos."""
    return {path.name for path in Path(shop.settings.photos_url).rglob("*") if path.is_file()}


@pytest.mark.full
async def test_photos_of_writes_that_fail_are_found_by_a_later_write(shop: Shop) -> None:
    broken = product_pb2.ProductImage(content=b"text")
    good, other = product_pb2.ProductImage(content=photo(seed=1)), photo(seed=2)
    fresh = product_pb2.ProductImage(content=other)
    written = await shop.upsert(
        wine("a", 1), wine("b", images=[fresh, broken]), wine("c", 3, 1, etag="stale")
    )
    assert [reason(result.status) for result in written.results] == [
        "OK",
        "IMAGE_UNDECODABLE",
        "ETAG_MISMATCH",
    ]
    going = threading.Event()  # the record writes nothing until then
    held = asyncio.create_task(shop.db.write(lambda _: going.wait(10)))
    late = gateway_pb.UpsertProductsRequest(products=[wine("late", 4, 1)])
    with pytest.raises(grpc.aio.AioRpcError, match="DEADLINE_EXCEEDED"):
        await shop.products.UpsertProducts(late, timeout=1)
    assert stored_photos(shop) >= {image_id(good.content), image_id(photo(seed=4))}
    # The caller may give up before the service does; until then its write may still be made.
    await until(lambda: in_flight() == 0)
    going.set()
    await held

    assert await shop.record.get("default", ["late"]) == {}
    again = await shop.upsert(wine("late", 4, 1))
    assert [reason(result.status) for result in again.results] == ["OK"]
    # The others are collected after their days.
    assert stored_photos(shop) == {image_id(photo(seed=seed)) for seed in (1, 2, 3, 4)}


# Lost dependencies


@pytest.mark.usefixtures("early")
async def test_writes_are_taken_while_the_embedder_is_down_and_indexed_after(shop: Shop) -> None:
    shop.embedder.down = True
    written = await shop.upsert(wine("a", 1))
    shop.embedder.down = False
    found = await shop.seen(written.index_token)
    assert list(found.candidates.product_ids) == ["a"]
    shop.embedder.down = True
    waiting = await shop.upsert(wine("b", 2))
    with refused("DEADLINE_EXCEEDED", "STAGE_DEADLINE"):
        await shop.search(seconds=1.5, product_id="a", min_index_token=waiting.index_token)
    found = await shop.search(vector=vector(photo()))
    assert list(found.candidates.product_ids) == ["a"]
    assert found.freshness.pending == 1
    assert found.freshness.index_lag.ToMicroseconds() > 0


async def test_a_photo_that_contradicts_its_category_is_reported_with_the_product(
    shop: Shop,
) -> None:
    apple, juice = ("Fruit", "Apple"), ("Juice",)
    shop.embedder.head = frozenset({apple, juice})
    classified = Classification((CategoryGuess(juice, 0.96), CategoryGuess(apple, 0.01)), 0.02)
    both = photo(seed=1), photo(seed=2)
    shop.embedder.classifications = dict.fromkeys(both, classified)
    await shop.stop_worker()
    shop.start_worker()  # which looks at once what the embedder offers now
    written = await shop.upsert(
        wine("wrong", 1, category_path=apple), wine("right", 2, category_path=juice)
    )
    await shop.seen(written.index_token)

    request = products_pb.ListProductsRequest(doubted_only=True)
    (found,) = (await shop.products.ListProducts(request)).products
    assert found.product_id == "wrong"
    assert found.category_doubt.image_id == found.images[0].image_id
    assert found.category_doubt.probability == pytest.approx(0.01)
    assert tuple(found.category_doubt.instead.category_path) == juice
    assert found.category_doubt.space_version == VERSION
    every = await shop.products.BatchGetProducts(
        products_pb.BatchGetProductsRequest(product_ids=["wrong", "right"])
    )
    assert [each.HasField("category_doubt") for each in every.products] == [True, False]


async def test_products_without_a_photo_are_listed_page_by_page(shop: Shop) -> None:
    await shop.upsert(
        wine("seen", 1), *(product_pb2.Product(product_id=each, title=each) for each in "abc")
    )
    request = products_pb.ListProductsRequest(without_photo_only=True, page_size=2)
    first = await shop.products.ListProducts(request)
    request.page_token = first.next_page_token
    second = await shop.products.ListProducts(request)
    assert [[each.product_id for each in page.products] for page in (first, second)] == [
        ["a", "b"],
        ["c"],
    ]
    request.without_photo_only = False  # a token is of its list alone
    with refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"):
        await shop.products.ListProducts(request)


@by_the_engine
async def test_rows_lost_behind_our_back_come_back_with_the_worker(shop: Shop) -> None:
    await shop.seen((await shop.upsert(*(wine(f"p{n}", n) for n in range(5)))).index_token)
    generation = await shop.record.generation("default", "visual")
    assert generation is not None
    await shop.stop_worker()
    held = await shop.index.scan(generation.collection, "0", "g")
    assert held is not None
    await shop.index.delete(generation.collection, sorted(held)[:3])

    async def counted() -> bool:  # -1 while the engine does not answer in time
        return bool((await shop.vectors.Count(vectors_pb.CountRequest())).indexed == 2)

    await until(counted)
    shop.start_worker()

    async def whole() -> bool:
        return (await shop.index.scan(generation.collection, "0", "g")) == held

    await until(whole)


@pytest.mark.full
async def test_a_collection_that_vanished_is_made_and_filled_anew(shop: Shop) -> None:
    await shop.seen((await shop.upsert(*(wine(f"p{n}", n) for n in range(3)))).index_token)
    generation = await shop.record.generation("default", "visual")
    assert generation is not None
    await shop.index.drop(generation.collection)

    async def whole() -> bool:
        count = await shop.vectors.Count(vectors_pb.CountRequest())
        return bool(count.indexed == 3)

    await until(whole)


# Lists and the store


async def test_pages_show_each_product_once_while_others_are_written(shop: Shop) -> None:
    await shop.upsert(*(wine(f"p{n:02}") for n in range(25)))
    seen: list[str] = []
    token = ""
    while True:
        page = await shop.products.ListProducts(
            products_pb.ListProductsRequest(page_size=10, page_token=token)
        )
        seen += [product.product_id for product in page.products]
        await shop.upsert(wine("p00", title=f"changed {len(seen)}"), wine(f"new-{len(seen)}"))
        token = page.next_page_token
        if not token:
            break
    assert seen == sorted(set(seen))
    assert {f"p{n:02}" for n in range(25)} <= set(seen)


async def test_every_pooled_connection_writes_ahead_and_syncs(shop: Shop) -> None:
    await shop.upsert(wine("a", 1))
    connections = [shop.db.engine.connect() for _ in range(3)]
    try:
        for connection in connections:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
    finally:
        for connection in connections:
            connection.close()


def stored(shop: Shop) -> set[str]:
    """Return the files of photos."""
    return {path.name for path in Path(shop.settings.photos_url).rglob("*") if path.is_file()}


@either_way
async def test_a_photo_that_is_taken_down_is_found_and_read_no_more_at_once(shop: Shop) -> None:
    bad = image_id(photo(seed=1))
    written = await shop.upsert(wine("a", 1, 2), wine("b", 4, 1), wine("c", 3))
    near = {"vector": vector(photo(seed=1)), "top_k": 3}
    found = await shop.search(min_index_token=written.index_token, **near)
    assert list(found.image_ids).count(bad) == 2
    taken = await shop.photos.TakeDownPhoto(
        photos_pb.TakeDownPhotoRequest(image_id=bad, reason="a face")
    )
    assert list(taken.product_ids) == ["a", "b"]
    found = await shop.search(**near)
    assert set(found.candidates.product_ids) == {"a", "b", "c"}
    assert bad not in found.image_ids
    with refused("NOT_FOUND", "IMAGE_NOT_FOUND"):
        await shop.products.GetImage(products_pb.GetImageRequest(image_id=bad))
    assert bad not in stored(shop)
    again = await shop.upsert(wine("b", 1), wine("b2", 2))
    assert [reason(each.status) for each in again.results] == ["IMAGE_TAKEN_DOWN", "OK"]
    (listed,) = (await shop.photos.ListTakedowns(photos_pb.ListTakedownsRequest())).takedowns
    assert (listed.image_id, listed.reason) == (bad, "a face")
    lifted = await shop.photos.LiftTakedown(photos_pb.LiftTakedownRequest(image_id=bad))
    assert lifted.lifted
    back = await shop.upsert(wine("b", 1))
    found = await shop.search(min_index_token=back.index_token, **near)
    assert found.image_ids[0] == bad
