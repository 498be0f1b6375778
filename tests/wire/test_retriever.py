"""The retriever over real gRPC, on real SQLite and a real Milvus Lite process.

Server and worker run in this process, the embedder is a fake one behind real gRPC.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import status_pb2
from google.type import money_pb2
from PIL import Image

from retriever.__main__ import bindings
from retriever.adapters.embedder import EmbedderClient
from retriever.adapters.milvus import filters
from retriever.adapters.milvus import index as milvus
from retriever.adapters.milvus.index import MilvusIndex
from retriever.columns.keeper import EXACT_ROWS
from retriever.domain.category_mismatch import CategoryGuess, Classification
from retriever.domain.collections import shaped
from retriever.domain.errors import ImageRejected
from retriever.domain.index_values import CollectionState
from retriever.record import Record
from retriever.search.recall.watchdog import Watchdog
from retriever.servicer import vectors
from retriever.servicer.filter_messages import unpacked
from retriever.settings import Settings
from retriever.wiring import backup_files, database, job_queue, milvus_index, photo_store, watch
from retriever.workers.context import Worker
from retriever.workers.leader import Leadership
from retriever.workers.loops import lead_in_turn
from servicekit import server
from servicekit.leases import Lease, worker_id
from servicekit.sql import Database
from servicekit.status import from_rpc_error, from_status
from sightline.common.v1 import filter_pb2, product_pb2, vector_pb2
from sightline.retriever.v1 import keyword_service_pb2 as keywords_pb
from sightline.retriever.v1 import product_service_pb2 as products_pb
from sightline.retriever.v1 import vector_service_pb2 as vectors_pb
from sightline.retriever.v1.keyword_service_pb2_grpc import KeywordServiceStub
from sightline.retriever.v1.product_service_pb2_grpc import ProductServiceStub
from sightline.retriever.v1.vector_service_pb2_grpc import VectorServiceStub
from sightline_rules.duplicates import same_picture
from tests.engines import MilvusLite, milvus_lite
from tests.fakes.index import DIMENSION, VERSION, FakeEmbedder, embedder_server, vector_of
from tests.fakes.photos import encoded, photo, picture, turned
from tests.waiting import SECONDS, until

PRICE = money_pb2.Money(currency_code="EUR", units=12, nanos=500_000_000)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusLite]:
    with milvus_lite(tmp_path_factory.mktemp("engine") / "milvus") as running:
        yield running


@dataclass
class Shop:
    """A running retriever and its callers' ends."""

    products: ProductServiceStub
    vectors: VectorServiceStub
    words: KeywordServiceStub
    embedder: FakeEmbedder
    db: Database
    index: MilvusIndex
    record: Record
    settings: Settings
    watchdog: Watchdog
    start_worker: Callable[[], None]
    stop_worker: Callable[[], Any]

    async def upsert(self, *items: product_pb2.Product) -> products_pb.UpsertProductsResponse:
        answer: products_pb.UpsertProductsResponse = await self.products.UpsertProducts(
            products_pb.UpsertProductsRequest(products=items), timeout=SECONDS
        )
        return answer

    async def search(self, seconds: float = SECONDS, **fields: Any) -> vectors_pb.SearchResponse:
        answer: vectors_pb.SearchResponse = await self.vectors.Search(
            vectors_pb.SearchRequest(**fields), timeout=seconds
        )
        return answer

    async def find(self, words: str, **fields: Any) -> vectors_pb.SearchResponse:
        answer: vectors_pb.SearchResponse = await self.words.SearchKeywords(
            keywords_pb.SearchKeywordsRequest(text=words, **fields), timeout=SECONDS
        )
        return answer

    async def seen(self, token: str, **fields: Any) -> vectors_pb.SearchResponse:
        """A search that sees a write, in the space of all photos."""
        return await self.search(vector=vector(photo()), min_index_token=token, **fields)


by_the_engine = pytest.mark.parametrize("exact_rows", [0])
"""For tests of what the engine holds when a search sees a write."""
either_way = pytest.mark.parametrize("exact_rows", [0, EXACT_ROWS])


@pytest.fixture
def exact_rows() -> int:
    """Rows of a generation, at most, that are compared in memory; 0 = the engine answers."""
    return EXACT_ROWS


@pytest.fixture
async def shop(tmp_path: Path, engine: MilvusLite, exact_rows: int) -> AsyncIterator[Shop]:
    if engine.process is None:
        engine.start()
    embedder = FakeEmbedder()
    embedding, embedder_port = embedder_server(embedder)
    await embedding.start()
    settings = Settings(
        port=0,
        catalogs=("default", "other"),
        database_url=f"sqlite:///{tmp_path / 'record.db'}",
        photos_url=str(tmp_path / "photos"),
        backups=str(tmp_path / "backups"),
        milvus_uri=engine.uri,
        milvus_prefix=f"t{time.time_ns()}",
        embedder_target=f"127.0.0.1:{embedder_port}",
        image_max_bytes=100_000,
        image_max_pixels=1_000_000,
        worker_poll_seconds=0.02,
        worker_lease_seconds=2,
        exact_rows=exact_rows,
    )
    db, photos, index = database(settings), photo_store(settings), milvus_index(settings)
    record, backups = Record(db), backup_files(settings)
    client = EmbedderClient(settings.embedder_target)
    working: list[tuple[asyncio.Task[None], asyncio.Event]] = []

    def start_worker() -> None:
        lease = Lease(db, "index-writer", worker_id("test"), settings.worker_lease_seconds)
        leadership = Leadership(lease, settings.worker_lease_seconds)
        stop = asyncio.Event()
        worker = Worker(
            settings.catalogs,
            settings,
            record,
            photos,
            index,
            client,
            leadership,
            job_queue(db),
            worker_id("test"),
            backups,
            unpacked,
        )
        working.append((asyncio.create_task(lead_in_turn(worker, stop)), stop))

    async def stop_worker() -> None:
        while working:
            task, stop = working.pop()
            stop.set()
            await task

    start_worker()
    for catalog in settings.catalogs:
        await until(lambda name=catalog: record.generation(name, "visual"))
    watchdog = watch(settings, record)
    offered = bindings(
        settings, record, photos, index, job_queue(db), backups=backups, watchdog=watchdog
    )
    running = await server.start(offered, settings, "retriever")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{running.port}") as channel:
        yield Shop(
            ProductServiceStub(channel),
            VectorServiceStub(channel),
            KeywordServiceStub(channel),
            embedder,
            db,
            index,
            record,
            settings,
            watchdog,
            start_worker,
            stop_worker,
        )
    await watchdog.close()
    await stop_worker()
    await running.stop()
    await embedding.stop(None)
    await client.close()
    await index.close()
    photos.close()
    backups.close()
    db.close()


@pytest.fixture
def early(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that waits gives up a second before its deadline, so that its answer comes through
    also where other tests have the processor. It is 30 ms where a shop runs."""
    monkeypatch.setattr(vectors, "RESERVE_SECONDS", 1.0)


def wine(product_id: str, *seeds: int, **fields: Any) -> product_pb2.Product:
    """A product with a photo for each seed; it may override anything."""
    given: dict[str, Any] = {
        "title": f"Wine {product_id}",
        "brand": "Estate",
        "category_path": ["Wine", "Red"],
        "price": PRICE,
        "tags": ["organic"],
        "images": [product_pb2.ProductImage(content=photo(seed=seed)) for seed in seeds],
    }
    return product_pb2.Product(product_id=product_id, **(given | fields))


def vector(content: bytes, **fields: Any) -> vector_pb2.Vector:
    """The vector of a photo as the fake embedder makes it."""
    given: dict[str, Any] = {
        "space": "visual",
        "space_version": VERSION,
        "dimension": DIMENSION,
        "data": vector_of(content).astype("<f4").tobytes(),
    }
    return vector_pb2.Vector(**(given | fields))


def compare(
    field: str, value: filter_pb2.FilterValue, operator: str = "EQUAL"
) -> filter_pb2.Filter:
    number = filter_pb2.Comparison.Operator.Value(f"OPERATOR_{operator}")
    return filter_pb2.Filter(
        comparison=filter_pb2.Comparison(field=field, operator=number, value=value)
    )


def text(value: str) -> filter_pb2.FilterValue:
    return filter_pb2.FilterValue(text=value)


@contextlib.contextmanager
def refused(code: str, reason: str, field: str = "") -> Iterator[None]:
    """The call inside is refused, with this reason and this field named."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield
    error = from_rpc_error(caught.value)
    assert (error.code, error.reason) == (code, reason), error.message
    if field:
        assert [v.field for v in error.violations] == [field]


def reason(status: status_pb2.Status) -> str:
    return from_status(status).reason if status.code else "OK"


# What goes in can be found


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
    """A picture of its own for each place."""
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
        products_pb.Offer(product_id="a", price=dear),
        products_pb.Offer(product_id="dear", price=PRICE),
        products_pb.Offer(product_id="sold", availability=product_pb2.AVAILABILITY_IN_STOCK),
    ]
    changed = await shop.products.UpdateOffers(products_pb.UpdateOffersRequest(offers=offers))
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
    request = products_pb.DeleteProductsRequest(product_ids=["a", "never"])
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
        products_pb.UpsertProductsRequest(catalog_id="other", products=[wine("theirs", 1)])
    )
    mine = await shop.upsert(wine("mine", 1))
    found = await shop.seen(mine.index_token)
    assert list(found.candidates.product_ids) == ["mine"]
    theirs = await shop.seen(there.index_token, catalog_id="other")
    assert list(theirs.candidates.product_ids) == ["theirs"]
    with refused("INVALID_ARGUMENT", "INDEX_TOKEN_INVALID"):
        await shop.seen(there.index_token)
    await shop.products.DeleteProducts(products_pb.DeleteProductsRequest(product_ids=["mine"]))
    photo_id = there.results[0].image_ids[0]
    fetched = await shop.products.GetImage(
        products_pb.GetImageRequest(catalog_id="other", image_id=photo_id)
    )
    assert fetched.image.content == photo(seed=1)


# Odd but good input


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


# Bad input is refused, its neighbours go through


async def test_bad_photos_are_refused_and_the_rest_goes_through(shop: Shop) -> None:
    whole = encoded(picture(300, 300), quality=95)
    bad = {
        "text": b"not a photo at all",
        "cut": whole[: len(whole) // 2],
        "empty": b"",
        "heavy": photo() + b"\0" * 100_000,
        "huge": encoded(picture(1, 1).resize((1_100, 1_000)), "PNG"),
    }
    items = [
        wine(name, images=[product_pb2.ProductImage(content=data)]) for name, data in bad.items()
    ]
    written = await shop.upsert(*items, wine("good", 1))
    assert {result.product_id: reason(result.status) for result in written.results} == {
        "text": "IMAGE_UNDECODABLE",
        "cut": "IMAGE_UNDECODABLE",
        "empty": "IMAGE_UNDECODABLE",
        "heavy": "IMAGE_TOO_LARGE",
        "huge": "IMAGE_TOO_LARGE",
        "good": "OK",
    }
    violation = from_status(written.results[0].status).violations[0]
    assert violation.field == "products[0].images[0].content"
    found = await shop.seen(written.index_token)
    assert list(found.candidates.product_ids) == ["good"]


async def test_bad_fields_are_named_by_their_path(shop: Shop) -> None:
    negative = money_pb2.Money(currency_code="EUR", units=-1)
    written = await shop.upsert(
        wine("a" * 129, 1),
        wine("b", 1, title="", tags=["x", "x"], price=negative),
        wine("c", 1),
        wine("c", 2),
        wine("d", 1, etag="stale"),
    )
    assert [reason(result.status) for result in written.results] == [
        "PRODUCT_INVALID",
        "PRODUCT_INVALID",
        "OK",
        "PRODUCT_INVALID",
        "ETAG_MISMATCH",
    ]
    fields = [v.field for v in from_status(written.results[1].status).violations]
    assert fields == ["products[1].title", "products[1].tags", "products[1].price.units"]


@pytest.mark.parametrize("page_size", [-1, 1_001, 10**9])
async def test_a_page_size_out_of_range_is_refused(shop: Shop, page_size: int) -> None:
    with refused("INVALID_ARGUMENT", "PAGE_SIZE_INVALID", "page_size"):
        await shop.products.ListProducts(products_pb.ListProductsRequest(page_size=page_size))


async def test_unknown_names_are_refused_with_their_reason(shop: Shop) -> None:
    await shop.seen((await shop.upsert(wine("a", 1))).index_token)
    with refused("NOT_FOUND", "CATALOG_NOT_FOUND"):
        await shop.search(catalog_id="nobody", product_id="a")
    with refused("NOT_FOUND", "PRODUCT_NOT_FOUND"):
        await shop.search(product_id="nobody")
    with refused("FAILED_PRECONDITION", "SPACE_UNAVAILABLE"):
        await shop.search(product_id="a", space="text")
    with refused("NOT_FOUND", "GENERATION_NOT_FOUND"):
        await shop.search(product_id="a", generation="nobody")
    with refused("FAILED_PRECONDITION", "INDEX_VERSION_MISMATCH"):
        await shop.search(vector=vector(photo(), space_version="v0"))
    with refused("INVALID_ARGUMENT", "REQUEST_INVALID", "query"):
        await shop.search()
    with refused("INVALID_ARGUMENT", "REQUEST_INVALID", "top_k"):
        await shop.search(product_id="a", top_k=10**9)
    with refused("INVALID_ARGUMENT", "INDEX_TOKEN_INVALID", "min_index_token"):
        await shop.search(product_id="a", min_index_token="!!")
    with refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID", "page_token"):
        await shop.products.ListProducts(products_pb.ListProductsRequest(page_token="!!"))
    with refused("NOT_FOUND", "IMAGE_NOT_FOUND"):
        await shop.products.GetImage(products_pb.GetImageRequest(image_id="../../etc/passwd"))


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"data": np.full(DIMENSION, np.nan, "<f4").tobytes()}, "vector.data"),
        ({"data": np.full(DIMENSION, np.inf, "<f4").tobytes()}, "vector.data"),
        ({"data": bytes(4 * DIMENSION)}, "vector.data"),
        ({"data": b"123"}, "vector.data"),
        ({"dimension": 3}, "vector.dimension"),
    ],
)
async def test_a_vector_that_can_not_be_compared_is_refused(
    shop: Shop, bad: dict[str, Any], field: str
) -> None:
    await shop.seen((await shop.upsert(wine("a", 1))).index_token)
    with refused("INVALID_ARGUMENT", "VECTOR_INVALID", field):
        await shop.search(vector=vector(photo(), **bad))


async def test_filters_that_can_not_be_evaluated_are_refused_with_their_path(shop: Shop) -> None:
    unknown = filter_pb2.Filter(
        all=filter_pb2.FilterList(
            filters=[compare("brand", text("x")), compare("colour", text("red"))]
        )
    )
    with refused("INVALID_ARGUMENT", "FILTER_INVALID", "filter.all.filters[1].comparison.field"):
        await shop.products.ListProducts(products_pb.ListProductsRequest(filter=unknown))
    with refused("INVALID_ARGUMENT", "FILTER_INVALID", "filter.comparison.operator"):
        await shop.search(product_id="a", filter=compare("brand", text("x"), "LESS"))
    with refused("INVALID_ARGUMENT", "FILTER_INVALID", "filter.comparison.value"):
        await shop.search(product_id="a", filter=compare("price", text("12")))


HOSTILE = (
    "it's",
    'say "hi"',
    "back\\slash",
    '\\"',
    "ends with \\",
    '" or 1 == 1 or brand == "',
    "') or seq != 0 --",
    "%",
    "_",
    "{brand}",
    "null",
    "日本酒",
    "line\u2028separator",
)


async def test_hostile_filter_values_match_literally(shop: Shop) -> None:
    products = [
        wine(f"p{n}", n + 1, brand=value, tags=[value], category_path=["Wine", value])
        for n, value in enumerate(HOSTILE)
    ]
    written = await shop.upsert(*products, wine("plain", 99))
    assert {reason(result.status) for result in written.results} == {"OK"}
    await shop.seen(written.index_token)
    for product in products:
        value = product.brand
        for condition in (
            compare("brand", text(value)),
            compare("tags", text(value)),
            compare("category", text(f"Wine > {value}")),
        ):
            found = await shop.search(vector=vector(photo()), filter=condition)
            assert list(found.candidates.product_ids) == [product.product_id], value


def attribute(key: str, **value: Any) -> product_pb2.Attribute:
    return product_pb2.Attribute(key=key, **value)


def any_of(*parts: filter_pb2.Filter) -> filter_pb2.Filter:
    return filter_pb2.Filter(any=filter_pb2.FilterList(filters=parts))


def negated(part: filter_pb2.Filter) -> filter_pb2.Filter:
    message = filter_pb2.Filter()
    getattr(message, "not").CopyFrom(part)
    return message


def exists(field: str) -> filter_pb2.Filter:
    return filter_pb2.Filter(existence=filter_pb2.Existence(field=field))


MERLOT = compare("attributes.grape", text("Merlot"))
OLD = compare("attributes.vintage", filter_pb2.FilterValue(number=2015), "LESS_OR_EQUAL")
ASKED = {
    "old": OLD,
    "old or merlot": any_of(OLD, MERLOT),
    "no merlot": negated(MERLOT),
    "another grape": compare("attributes.grape", text("Merlot"), "NOT_EQUAL"),
    "no vintage": negated(exists("attributes.vintage")),
    "organic": compare("attributes.organic", filter_pb2.FilterValue(flag=True)),
    "a reserve": compare("title", text("réserve"), "CONTAINS"),
    "neither": negated(any_of(OLD, MERLOT)),
    "no price": negated(exists("price")),
}
FOUND = {
    "old": {"old", "blend"},
    "old or merlot": {"old", "blend", "merlot"},
    "no merlot": {"old", "plain"},
    "another grape": {"old"},
    "no vintage": {"merlot", "plain"},
    "organic": {"blend"},
    "a reserve": {"old"},
    "neither": {"plain"},
    "no price": {"plain"},
}


async def some_wines(shop: Shop) -> None:
    grape = [attribute("grape", text=name) for name in ("Merlot", "Syrah")]
    written = await shop.upsert(
        wine(
            "old",
            1,
            title="Grande RÉSERVE",
            attributes=[grape[1], attribute("vintage", number=1999.5)],
        ),
        wine(
            "blend",
            2,
            attributes=[*grape, attribute("vintage", number=2015), attribute("organic", flag=True)],
        ),
        wine("merlot", 3, attributes=[grape[0], attribute("organic", flag=False)]),
        wine("plain", 4, price=None),
    )
    assert {reason(result.status) for result in written.results} == {"OK"}
    await shop.seen(written.index_token)


async def found(shop: Shop) -> dict[str, set[str]]:
    answers = {
        name: await shop.search(vector=vector(photo()), filter=condition)
        for name, condition in ASKED.items()
    }
    return {name: set(answer.candidates.product_ids) for name, answer in answers.items()}


async def test_filters_join_negate_and_ask_for_attributes(shop: Shop) -> None:
    await some_wines(shop)
    assert await found(shop) == FOUND
    for name, condition in ASKED.items():
        request = products_pb.ListProductsRequest(filter=condition)
        listed = await shop.products.ListProducts(request)
        assert {product.product_id for product in listed.products} == FOUND[name]
    bad = any_of(OLD, negated(compare("attributes.a", text("x"), "GREATER")))
    with refused(
        "INVALID_ARGUMENT", "FILTER_INVALID", "filter.any.filters[1].not.comparison.operator"
    ):
        await shop.search(product_id="a", filter=bad)


@by_the_engine
async def test_an_index_without_attributes_is_searched_until_one_with_them_is_built(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await some_wines(shop)
    await shop.stop_worker()
    made = await shop.record.generation("default", "visual")
    assert made is not None
    former = shaped(made.collection, 1)
    known = [name for name in filters.COLUMNS if name not in filters.ATTRIBUTE]
    with monkeypatch.context() as patch:
        patch.setattr(milvus, "COLUMNS", known)
        patch.setattr(
            milvus, "columns", lambda facts: {k: filters.columns(facts)[k] for k in known}
        )
        await shop.index.create(former, made.dimension)
        rows = await shop.record.rows(made, ["old", "blend", "merlot", "plain"])
        await shop.index.upsert(former, rows)
    await shop.index.drop(made.collection)
    await shop.record.mark(made, collection=former)
    assert await found(shop) == FOUND
    photos = len(shop.embedder.calls)
    monkeypatch.setattr("retriever.workers.indexing.FORMER_SECONDS", 0.5)
    shop.start_worker()

    async def former_gone() -> bool:
        return await shop.index.state(former) is CollectionState.ABSENT

    async def reshaped() -> bool:
        now = await shop.record.generation("default", "visual")
        return now is not None and now.collection == made.collection

    await until(reshaped)
    assert await found(shop) == FOUND
    assert await shop.index.count(made.collection) == len(rows)
    assert len(shop.embedder.calls) == photos
    await until(former_gone)
    assert await found(shop) == FOUND


# Items with a status of their own


async def test_vectors_are_taken_one_by_one(shop: Shop) -> None:
    written = await shop.upsert(wine("a", 1))
    await shop.seen(written.index_token)
    image_id = written.results[0].image_ids[0]
    mine = vector(b"my own")

    def item(product_id: str, given: vector_pb2.Vector, image: str = image_id) -> Any:
        return vectors_pb.ImageVector(product_id=product_id, image_id=image, vector=given)

    nan = np.full(DIMENSION, np.nan, "<f4").tobytes()
    answer = await shop.vectors.UpsertVectors(
        vectors_pb.UpsertVectorsRequest(
            vectors=[
                item("a", mine),
                item("nobody", mine),
                item("a", mine, "0" * 64),
                item("a", vector(b"", data=nan)),
                item("a", vector(b"", data=bytes(4 * DIMENSION))),
                item("a", vector(b"", dimension=2)),
                item("a", vector(b"", space_version="v0")),
                item("a", vector(b"", space="text")),
            ]
        )
    )
    assert [reason(status) for status in answer.statuses] == [
        "OK",
        "PRODUCT_NOT_FOUND",
        "IMAGE_NOT_FOUND",
        "VECTOR_INVALID",
        "VECTOR_INVALID",
        "VECTOR_INVALID",
        "INDEX_VERSION_MISMATCH",
        "SPACE_UNAVAILABLE",
    ]
    found = await shop.search(vector=mine, min_index_token=answer.index_token)
    assert found.similarities[0] == pytest.approx(1.0, abs=1e-5)


@by_the_engine
async def test_a_photo_that_the_embedder_refuses_holds_up_no_other(shop: Shop) -> None:
    shop.embedder.poison[photo(seed=1)] = ImageRejected("IMAGE_UNDECODABLE", "no")
    written = await shop.upsert(wine("bad", 1), wine("good", 2))
    found = await shop.seen(written.index_token)
    assert list(found.candidates.product_ids) == ["good"]
    count = await shop.vectors.Count(vectors_pb.CountRequest())
    assert (count.products, count.indexed, count.pending, count.failed) == (2, 1, 0, 1)


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


async def test_a_photo_that_contradicts_its_category_is_told_with_the_product(shop: Shop) -> None:
    apple, juice = ("Fruit", "Apple"), ("Juice",)
    shop.embedder.head = frozenset({apple, juice})
    told = Classification((CategoryGuess(juice, 0.96), CategoryGuess(apple, 0.01)), 0.02)
    shop.embedder.told = {photo(seed=1): told, photo(seed=2): told}
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


@by_the_engine
async def test_rows_lost_behind_our_back_come_back_with_the_worker(shop: Shop) -> None:
    await shop.seen((await shop.upsert(*(wine(f"p{n}", n) for n in range(5)))).index_token)
    generation = await shop.record.generation("default", "visual")
    assert generation is not None
    await shop.stop_worker()
    held = await shop.index.scan(generation.collection, "0", "g")
    assert held is not None
    await shop.index.delete(generation.collection, sorted(held)[:3])
    assert (await shop.vectors.Count(vectors_pb.CountRequest())).indexed == 2
    shop.start_worker()

    async def whole() -> bool:
        return (await shop.index.scan(generation.collection, "0", "g")) == held

    await until(whole)


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


async def test_columns_and_filtered_products_are_told_apart(shop: Shop) -> None:
    await shop.upsert(wine("red"), wine("white", category_path=["Wine", "White"]))
    answer = await shop.products.BatchGetProducts(
        products_pb.BatchGetProductsRequest(
            product_ids=["white", "nobody", "red"],
            filter=compare("category", text("Wine > Red")),
            view=products_pb.PRODUCT_VIEW_COLUMNS,
        )
    )
    assert list(answer.columns.product_ids) == ["red"]
    assert list(answer.missing_product_ids) == ["nobody"]
    assert list(answer.filtered_product_ids) == ["white"]
    assert list(answer.columns.category_paths) == ["Wine > Red"]


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
