"""Products in and out, on a real record with photos in memory."""

from __future__ import annotations

import asyncio
import base64
import json
from itertools import chain

import pytest

from retriever.catalog import products
from retriever.columns.column_cache import Columns
from retriever.domain.errors import PhotosFull, ProductInvalid
from retriever.domain.product import (
    Amount,
    ImageDraft,
    ProductDraft,
    ProductOrder,
    Stored,
)
from retriever.domain.validation import check_product
from retriever.record import Record
from servicekit.errors import ServiceError
from servicekit.outbound.fetch import UriUnreadable
from servicekit.rpc.requests import PageSizeInvalid, PageTokenInvalid, RequestInvalid
from sightline_rules.filters import All, Comparison, Not, Operator
from tests.fakes.photo_store import FakePhotos
from tests.fakes.photos import photo
from tests.unit.retriever.conftest import Clock

GOOD = ProductDraft(product_id="a", title="A wine")


def draft(product_id: str, *photos: bytes, **fields: object) -> ProductDraft:
    made = GOOD._replace(product_id=product_id, images=tuple(ImageDraft(p, "") for p in photos))
    return made._replace(**fields)  # type: ignore[arg-type]


def reasons(outcomes: list[Stored | ServiceError]) -> list[str]:
    return [o.reason if isinstance(o, ServiceError) else "OK" for o in outcomes]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"product_id": ""}, "product_id"),
        ({"product_id": "a\nb"}, "product_id"),
        ({"product_id": "x" * 129}, "product_id"),
        ({"product_id": "e\u0301"}, "product_id"),
        ({"parent_id": "a"}, "parent_id"),
        ({"parent_id": "\x00"}, "parent_id"),
        ({"title": ""}, "title"),
        ({"title": "x" * 513}, "title"),
        ({"title": "nul\x00"}, "title"),
        ({"description": "x" * 16_385}, "description"),
        ({"brand": "x" * 257}, "brand"),
        ({"category_path": ("a > b",)}, "category_path"),
        ({"category_path": ("a",) * 9}, "category_path"),
        ({"tags": ("",)}, "tags[0]"),
        ({"tags": ("x", "x")}, "tags"),
        ({"tags": tuple(map(str, range(65)))}, "tags"),
        ({"tags": ("a\x9f",)}, "tags[0]"),
        ({"uri": "https://shop/\x00"}, "uri"),
        ({"attributes": (("Key", "x"),)}, "attributes[0].key"),
        ({"attributes": (("key", None),)}, "attributes[0]"),
        ({"attributes": (("key", float("nan")),)}, "attributes[0].number"),
        ({"attributes": (("key", 1.0), ("key", 2.0))}, "attributes[1].key"),
        ({"attributes": (("key", ""),)}, "attributes[0].text"),
        ({"images": (ImageDraft(b"", "0"),) * 21}, "images"),
        ({"images": (ImageDraft(b"", "XY"),)}, "images[0].image_id"),
        ({"images": (ImageDraft(b"x", "", "https://a.test"),)}, "images[0]"),
        ({"language_code": "english please"}, "language_code"),
        ({"uri": "javascript:alert(1)"}, "uri"),
        ({"availability": None}, "availability"),
        ({"price": Amount("eur", 1, 0)}, "price.currency_code"),
        ({"price": Amount("EUR", 1, 1)}, "price.nanos"),
        ({"price": Amount("EUR", -1, 0)}, "price.units"),
        ({"price": Amount("EUR", 2**62, 0)}, "price.units"),
        ({"price": Amount("EUR", 5, 0), "cost": Amount("EUR", -1, 0)}, "cost.units"),
    ],
)
def test_a_bad_field_is_refused_by_its_path(fields: dict[str, object], path: str) -> None:
    with pytest.raises(ProductInvalid) as caught:
        check_product(GOOD._replace(**fields), "products[3]")  # type: ignore[arg-type]
    assert f"products[3].{path}" in {v.field for v in caught.value.violations}


def test_what_the_contract_allows_is_taken() -> None:
    checked = check_product(
        GOOD._replace(
            title="红葡萄酒 🍷",
            description="two\nlines\tand a tab",
            category_path=("Wine", "Red"),
            price=Amount("EUR", 12, 345_678_000),
            attributes=(("grape", "a"), ("grape", "b"), ("abv", 12.5), ("bio", True)),
            language_code="zh-Hans",
            uri="https://shop.example/wine?id=1",
        ),
        "p",
    )
    assert checked.price is not None
    assert checked.price.micros == 12_345_678
    assert len(checked.attributes) == 4


async def test_one_bad_product_fails_no_other(record: Record) -> None:
    photos = FakePhotos()
    outcomes, seq = await products.upsert(
        "default",
        [
            draft("a", photo(seed=1)),
            draft("b", b"text"),
            draft("c", title=""),
            draft("a", photo(seed=2)),
            draft("d", b""),
            draft("e", images=(ImageDraft(photo(seed=1), "0" * 64),)),
        ],
        record,
        photos,
    )
    assert reasons(outcomes) == [
        "OK",
        "IMAGE_UNDECODABLE",
        "PRODUCT_INVALID",
        "PRODUCT_INVALID",
        "IMAGE_UNDECODABLE",
        "PRODUCT_INVALID",
    ]
    assert seq == 1
    assert len(photos.stored) == 1


async def test_a_photo_store_that_fails_leaves_no_trace_in_the_record(record: Record) -> None:
    photos = FakePhotos(failure=PhotosFull())
    outcomes, seq = await products.upsert("default", [draft("a", photo())], record, photos)
    assert (reasons(outcomes), seq) == (["PHOTO_STORE_FULL"], 0)
    assert await record.get("default", ["a"]) == {}


async def test_a_photo_is_stored_before_the_record_names_it(record: Record) -> None:
    class Slow(FakePhotos):
        async def put(self, catalog_id: str, photo_id: str, data: bytes) -> None:
            assert await record.get("default", ["a"]) == {}
            await asyncio.sleep(0.01)
            await super().put(catalog_id, photo_id, data)

    outcomes, _ = await products.upsert("default", [draft("a", photo())], record, Slow())
    assert reasons(outcomes) == ["OK"]


@pytest.mark.parametrize("number", [0, 101])
async def test_a_batch_of_the_wrong_size_is_refused(record: Record, number: int) -> None:
    with pytest.raises(RequestInvalid):
        await products.upsert("default", [GOOD] * number, record, FakePhotos())


async def stock(record: Record, clock: Clock, number: int) -> None:
    for n in range(number):
        clock.now += 1
        brand = "odd" if n % 2 else "even"
        await products.upsert("default", [draft(f"p{n:02}", brand=brand)], record, FakePhotos())


async def pages(
    record: Record,
    order: ProductOrder,
    condition: object = None,
    columns: Columns | None = None,
) -> list[list[str]]:
    found, token = [], ""
    while True:
        page = await products.list_places(
            "default",
            record,
            columns or Columns(record, most_products=0),
            condition=condition or All(),  # type: ignore[arg-type]
            order=order,
            page_size=4,
            page_token=token,
        )
        found.append([page.view.table.ids[place] for place in page.places])
        token = page.next_token
        if not token:
            return found


async def test_pages_follow_one_another(record: Record, clock: Clock) -> None:
    await stock(record, clock, 10)
    names = [f"p{n:02}" for n in range(10)]
    assert await pages(record, ProductOrder.PRODUCT_ID) == [names[:4], names[4:8], names[8:]]
    newest = await pages(record, ProductOrder.NEWEST)
    assert [name for page in newest for name in page] == names[::-1]


async def test_pages_of_a_filter_are_full(record: Record, clock: Clock) -> None:
    await stock(record, clock, 10)
    odd = Comparison("brand", Operator.EQUAL, "odd")
    assert [len(page) for page in await pages(record, ProductOrder.PRODUCT_ID, odd)] == [4, 1]


@pytest.mark.parametrize("order", list(ProductOrder))
async def test_a_list_by_columns_in_memory_is_the_list_of_the_record(
    record: Record, clock: Clock, order: ProductOrder
) -> None:
    await stock(record, clock, 10)
    clock.now -= 5  # some were created at the same time
    await stock(record, clock, 14)
    await record.delete("default", ["p05"])
    for condition in (
        Comparison("brand", Operator.EQUAL, "odd"),
        Not(Comparison("brand", Operator.EQUAL, "none")),
        Comparison("brand", Operator.EQUAL, "none"),
        All(),
    ):
        by_record = await pages(record, order, condition)
        by_columns = await pages(record, order, condition, Columns(record))
        assert [*chain(*by_columns)] == [*chain(*by_record)]


async def test_a_list_with_a_filter_or_an_order_reads_no_product_from_the_record(
    record: Record, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stock(record, clock, 10)
    monkeypatch.setattr(record, "get", None)
    monkeypatch.setattr(record, "page", None)
    odd = Comparison("brand", Operator.EQUAL, "odd")
    found = await pages(record, ProductOrder.PRODUCT_ID, odd, Columns(record))
    assert found == [["p01", "p03", "p05", "p07"], ["p09"]]
    newest = await pages(record, ProductOrder.NEWEST, columns=Columns(record))
    assert [*chain(*newest)] == [f"p{n:02}" for n in range(10)][::-1]


async def test_a_page_token_is_good_for_its_own_list_only(record: Record, clock: Clock) -> None:
    await stock(record, clock, 10)
    first = await products.list_products(
        "default",
        record,
        condition=All(),
        order=ProductOrder.PRODUCT_ID,
        page_size=4,
        page_token="",
    )
    odd = Comparison("brand", Operator.EQUAL, "odd")
    for catalog, order, condition, token in (
        ("default", ProductOrder.NEWEST, All(), first.next_token),
        ("default", ProductOrder.PRODUCT_ID, odd, first.next_token),
        ("other", ProductOrder.PRODUCT_ID, All(), first.next_token),
        ("default", ProductOrder.PRODUCT_ID, All(), "bm9uc2Vuc2U"),
        ("default", ProductOrder.PRODUCT_ID, All(), "é"),
        ("default", ProductOrder.PRODUCT_ID, All(), "[" * 5_000),
    ):
        with pytest.raises(PageTokenInvalid):
            await products.list_products(
                catalog,
                record,
                condition=condition,
                order=order,
                page_size=4,
                page_token=token,
            )


@pytest.mark.parametrize("size", [-1, 1_001, 10**9])
async def test_a_page_size_out_of_range_is_refused(record: Record, size: int) -> None:
    with pytest.raises(PageSizeInvalid):
        await products.list_products(
            "default",
            record,
            condition=All(),
            order=ProductOrder.NEWEST,
            page_size=size,
            page_token="",
        )


async def test_products_come_in_the_order_asked(record: Record, clock: Clock) -> None:
    await stock(record, clock, 4)
    odd = Comparison("brand", Operator.EQUAL, "odd")
    asked = ["p03", "no", "p00", "p01", "p03"]
    found = await products.batch_get("default", asked, odd, Columns(record))
    names = [found.view.table.ids[place] for place in found.places]
    assert (names, found.missing, found.filtered) == (["p03", "p01", "p03"], ["no"], ["p00"])


@pytest.mark.parametrize(
    "place", [[10**30, "p"], [-1, "p"], [True, "p"], [0, "\ud800"], [0, "\x00"]]
)
async def test_a_forged_place_in_a_list_is_a_wrong_token(
    record: Record, clock: Clock, place: list[object]
) -> None:
    """Forge a position: the rest of a token is not secret, so a caller can append any position."""
    await stock(record, clock, 3)
    asked = {"condition": All(), "order": ProductOrder.NEWEST, "page_size": 1}
    first = await products.list_products("default", record, page_token="", **asked)  # type: ignore[arg-type]
    version, context, *_ = json.loads(base64.urlsafe_b64decode(first.next_token + "=="))
    forged = base64.urlsafe_b64encode(json.dumps([version, context, *place]).encode()).decode()
    with pytest.raises(PageTokenInvalid):
        await products.list_products(
            "default",
            record,
            page_token=forged.rstrip("="),
            **asked,  # type: ignore[arg-type]
        )


async def test_a_photo_by_its_address_is_fetched_at_the_write_and_kept(record: Record) -> None:
    photos = FakePhotos()
    photos.web["https://a.test/1.jpg"] = photo(seed=5)
    given = GOOD._replace(images=(ImageDraft(b"", "", "https://a.test/1.jpg"),))
    (stored,), _ = await products.upsert("default", [given], record, photos)
    assert isinstance(stored, Stored)
    ((_, kept),) = photos.stored
    assert photos.stored["default", kept] == photo(seed=5)
    photos.web.clear()  # it is never asked for again
    image, data = await products.get_image("default", kept, record, photos)
    assert (image.media_type, data) == ("image/jpeg", photo(seed=5))


@pytest.mark.parametrize(
    ("uri", "reason", "field"),
    [
        ("https://other.test/1.jpg", "URI_FORBIDDEN", "products[1].images[1].uri"),
        ("https://gone.test/1.jpg", "URI_UNREADABLE", "products[1].images[1].uri"),
        ("https://text.test/1.jpg", "IMAGE_UNDECODABLE", "products[1].images[1].uri"),
    ],
)
async def test_an_address_that_gives_no_photo_costs_its_product_only(
    record: Record, uri: str, reason: str, field: str
) -> None:
    photos = FakePhotos()
    photos.web["https://gone.test/1.jpg"] = UriUnreadable("the host answered 404")
    photos.web["https://text.test/1.jpg"] = b"not a photo"
    bad = GOOD._replace(
        product_id="bad", images=(ImageDraft(photo(), ""), ImageDraft(b"", "", uri))
    )
    outcomes, _ = await products.upsert("default", [draft("a", photo()), bad], record, photos)
    assert reasons(outcomes) == ["OK", reason]
    assert isinstance(outcomes[1], ServiceError)
    assert [violation.field for violation in outcomes[1].violations] == [field]
