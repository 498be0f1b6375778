"""A row becomes a product, an event or an offer, or an error that names the column."""

import os
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sightline.common.v1 import event_pb2, product_pb2
from sightline_client.errors import SightlineError
from sightline_client.files import events, offers, products
from sightline_client.files.photos import PhotoFolder

ROW = {"id": "1", "title": "Barolo"}


@pytest.fixture
def photos(tmp_path: Path) -> PhotoFolder:
    root = tmp_path / "photos"
    (root / "sub").mkdir(parents=True)
    (root / "a.jpg").write_bytes(b"A")
    (root / "sub" / "b.jpg").write_bytes(b"B")
    (root / "inside.jpg").symlink_to("sub/b.jpg")
    (root / "outside.jpg").symlink_to(tmp_path / "secret.jpg")
    (root / "circle.jpg").symlink_to("circle.jpg")
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    zeros(root / "huge.jpg", 10 * 1024 * 1024 + 1)
    for name in ("x", "y", "z", "w"):
        zeros(root / f"big-{name}.jpg", 9 * 1024 * 1024)
    return PhotoFolder(root)


def zeros(path: Path, size: int) -> None:
    """Write a sparse file of this many bytes."""
    path.touch()
    os.truncate(path, size)


def refused(row: dict[str, Any], photos: PhotoFolder) -> tuple[str, str]:
    """Return field and reason of the error."""
    with pytest.raises(SightlineError) as caught:
        products.product(row, photos)
    return caught.value.violations[0].field, caught.value.reason


def test_every_column_reaches_the_product(photos: PhotoFolder) -> None:
    made = products.product(
        {
            "id": " 1 ",
            "title": "Barolo",
            "category": "Wine > Red",
            "brand": "Aurora",
            "price": "12.50",
            "currency": "eur",
            "available": "Out of stock",
            "images": "a.jpg | sub/b.jpg|inside.jpg|https://shop.example/x.jpg",
            "tags": "Beef|Lamb",
            "attributes": '{"country": "Italy", "abv": 13.5, "organic": true, "grape": ["a", "b"]}',
            "parent_id": "p",
            "language": "en",
            "description": "dry",
            "uri": "https://shop.example/1",
        },
        photos,
    )
    assert (made.product_id, made.parent_id, made.title, made.brand) == (
        "1",
        "p",
        "Barolo",
        "Aurora",
    )
    assert list(made.category_path) == ["Wine", "Red"]
    assert (made.price.units, made.price.nanos, made.price.currency_code) == (
        12,
        500_000_000,
        "EUR",
    )
    assert made.availability == product_pb2.AVAILABILITY_OUT_OF_STOCK
    assert [image.content for image in made.images] == [b"A", b"B", b"B", b""]
    assert made.images[3].uri == "https://shop.example/x.jpg"
    assert list(made.tags) == ["Beef", "Lamb"]
    assert [(a.key, a.WhichOneof("value")) for a in made.attributes] == [
        *(("country", "text"), ("abv", "number"), ("organic", "flag")),
        *(("grape", "text"), ("grape", "text")),
    ]
    assert (made.language_code, made.description, made.uri) == (
        "en",
        "dry",
        "https://shop.example/1",
    )


def test_typed_cells_mean_what_text_means(photos: PhotoFolder) -> None:
    typed = {"id": 1, "title": "t", "category": ["Wine", "Red"], "price": Decimal("12.50")}
    typed |= {"currency": "EUR", "available": True, "tags": ["a", "b"], "attributes": {"abv": 13}}
    plain = {"id": "1", "title": "t", "category": "Wine > Red", "price": "12.5", "currency": "EUR"}
    plain |= {"available": "yes", "tags": "a|b", "attributes": '{"abv": 13.0}'}
    assert products.product(typed, photos) == products.product(plain, photos)
    pairs = typed | {"attributes": [("abv", 13)], "price": 12.5}  # a map and a double of Parquet
    assert products.product(pairs, photos) == products.product(plain, photos)


@pytest.mark.parametrize(
    ("cells", "field", "reason"),
    [
        ({"id": ""}, "id", "ROW_INVALID"),
        ({"id": None}, "id", "ROW_INVALID"),
        ({"id": 1.5}, "id", "ROW_INVALID"),
        ({"id": True}, "id", "ROW_INVALID"),
        ({"title": " "}, "title", "ROW_INVALID"),
        ({"title": b"bytes"}, "title", "ROW_INVALID"),
        ({"title": datetime(2026, 1, 1, tzinfo=UTC)}, "title", "ROW_INVALID"),
        ({"title": "x" * 1_000_000}, "title", "ROW_INVALID"),
        ({"title": "caf\udce9"}, "title", "ROW_INVALID"),
        ({"category": "Wine > > Red"}, "category", "ROW_INVALID"),
        ({"category": {"a": 1}}, "category", "ROW_INVALID"),
        ({"price": "-1", "currency": "EUR"}, "price", "ROW_INVALID"),
        ({"price": "NaN", "currency": "EUR"}, "price", "ROW_INVALID"),
        ({"price": float("nan"), "currency": "EUR"}, "price", "ROW_INVALID"),
        ({"price": float("inf"), "currency": "EUR"}, "price", "ROW_INVALID"),
        ({"price": "1,250", "currency": "EUR"}, "price", "ROW_INVALID"),
        ({"price": "1e999999999", "currency": "EUR"}, "price", "ROW_INVALID"),
        ({"price": "1e-9", "currency": "EUR"}, "price", "ROW_INVALID"),
        ({"price": "9" * 60, "currency": "EUR"}, "price", "ROW_INVALID"),
        ({"price": "9" * 6000, "currency": "EUR"}, "price", "ROW_INVALID"),
        ({"price": [1], "currency": "EUR"}, "price", "ROW_INVALID"),
        ({"price": True, "currency": "EUR"}, "price", "ROW_INVALID"),
        ({"price": "3", "currency": "EURO"}, "currency", "ROW_INVALID"),
        ({"price": "3", "currency": "XYZ"}, "currency", "ROW_INVALID"),
        ({"price": "3"}, "currency", "ROW_INVALID"),
        ({"available": "perhaps"}, "available", "ROW_INVALID"),
        ({"attributes": "{"}, "attributes", "ROW_INVALID"),
        ({"attributes": "[1]"}, "attributes", "ROW_INVALID"),
        ({"attributes": '{"a": NaN}'}, "attributes", "ROW_INVALID"),
        ({"attributes": '{"a": 1e999}'}, "attributes", "ROW_INVALID"),
        ({"attributes": '{"a": {}}'}, "attributes", "ROW_INVALID"),
        ({"attributes": "[" * 100_000}, "attributes", "ROW_INVALID"),
        ({"images": "none.jpg"}, "images", "PHOTO_MISSING"),
        ({"images": "../secret.jpg"}, "images", "PHOTO_OUTSIDE"),
        ({"images": "/etc/passwd"}, "images", "PHOTO_OUTSIDE"),
        ({"images": "outside.jpg"}, "images", "PHOTO_OUTSIDE"),
        ({"images": "circle.jpg"}, "images", "PHOTO_UNREADABLE"),
        ({"images": "sub"}, "images", "PHOTO_UNREADABLE"),
        ({"images": "a\0b"}, "images", "PHOTO_UNREADABLE"),
        ({"images": "x" * 5000}, "images", "PHOTO_UNREADABLE"),
        ({"images": "huge.jpg"}, "images", "IMAGE_TOO_LARGE"),
        ({"images": "big-x.jpg|big-y.jpg|big-z.jpg|big-w.jpg"}, "images", "PRODUCT_TOO_LARGE"),
        ({"images": "a.jpg||a.jpg"}, "images", "ROW_INVALID"),
    ],
)
def test_a_bad_cell_names_its_column(
    cells: dict[str, Any], field: str, reason: str, photos: PhotoFolder
) -> None:
    assert refused(ROW | cells, photos) == (field, reason)


def test_what_is_only_looked_at_is_refused_as_what_is_read(photos: PhotoFolder) -> None:
    made = products.product(ROW | {"images": "a.jpg"}, photos, read=False)
    assert made.images[0].content == b""
    with pytest.raises(SightlineError, match="PHOTO_MISSING"):
        products.product(ROW | {"images": "none.jpg"}, photos, read=False)


EVENT = {"event_id": "e", "type": "VIEW", "visitor_id": "v"}


def test_every_column_reaches_the_event() -> None:
    made = events.event(
        {
            "event_id": "e",
            "type": "add-to-cart",
            "product_id": "p",
            "user_id": "u",
            "visitor_id": "",
            "session_id": "s",
            "time": "2026-03-01T12:00:00.5+02:00",
            "value": "0",
            "quantity": "2",
            "unit_price": "12.50",
            "currency": "EUR",
            "order_id": "o",
            "position": 3,
            "scene": "home",
            "attribution_token": "t",
            "query": "dry",
        }
    )
    assert made.type == event_pb2.EVENT_TYPE_ADD_TO_CART
    assert made.shopper.WhichOneof("identity") == "user_id"
    assert made.HasField("value")
    assert (made.event_time.seconds, made.event_time.nanos) == (1772359200, 500_000_000)
    assert (made.quantity, made.position, made.unit_price.units) == (2, 3, 12)
    texts = (made.event_id, made.product_id, made.session_id, made.order_id, made.scene)
    assert texts == ("e", "p", "s", "o", "home")
    assert (made.attribution_token, made.query) == ("t", "dry")


def test_zero_is_an_id_and_no_gap() -> None:
    made = events.event(EVENT | {"product_id": 0, "order_id": 0, "quantity": 0})
    assert (made.product_id, made.order_id, made.quantity) == ("0", "0", 0)
    with pytest.raises(SightlineError, match="order_id: is bytes"):
        events.event(EVENT | {"order_id": b""})


@pytest.mark.parametrize(
    "time",
    [
        "2026-03-01 12:00:00 UTC",
        "20260301T120000Z",
        "Sun, 01 Mar 2026 12:00:00 +0000",
        "1772366400000",
        1772366400000000,
        "1772366400000000000",
        "2026-03-01T12:00:00Z",
        "1772366400",
        1772366400,
        1772366400.0,
        datetime(2026, 3, 1, 14, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_a_time_may_be_written_in_several_ways(time: object) -> None:
    assert events.event(EVENT | {"time": time}).event_time.seconds == 1772366400


@pytest.mark.parametrize(
    ("cells", "field"),
    [
        ({"type": ""}, "type"),
        ({"type": "LOOK"}, "type"),
        ({"type": 1}, "type"),
        ({"visitor_id": ""}, "user_id"),
        ({"user_id": "u"}, "user_id"),
        ({"user_id": ["u"]}, "user_id"),
        ({"time": "2026-03-01T12:00:00"}, "time"),
        ({"time": datetime(2026, 3, 1)}, "time"),  # noqa: DTZ001
        ({"time": date(2026, 3, 1)}, "time"),
        ({"time": "yesterday"}, "time"),
        ({"time": "01/03/2026 12:00"}, "time"),
        ({"time": "1" * 30}, "time"),
        ({"time": "NaN"}, "time"),
        ({"time": "sNaN"}, "time"),
        ({"value": "NaN"}, "value"),
        ({"value": float("inf")}, "value"),
        ({"value": "many"}, "value"),
        ({"quantity": "-1"}, "quantity"),
        ({"quantity": "1.5"}, "quantity"),
        ({"quantity": "9999999999"}, "quantity"),
        ({"quantity": "1e999999999"}, "quantity"),
        ({"position": {"a": 1}}, "position"),
        ({"unit_price": "-1", "currency": "EUR"}, "unit_price"),
        ({"unit_price": "1"}, "currency"),
        ({"currency": "EURO"}, "currency"),
        ({"product_id": 1.5}, "product_id"),
    ],
)
def test_a_bad_cell_of_an_event_names_its_column(cells: dict[str, Any], field: str) -> None:
    with pytest.raises(SightlineError) as caught:
        events.event(EVENT | cells)
    assert caught.value.violations[0].field == field


def test_an_offer_sets_what_it_names_and_nothing_else() -> None:
    made = offers.offer({"id": "1", "price": "3", "currency": "EUR", "available": ""})
    assert (made.price.units, made.availability) == (3, product_pb2.AVAILABILITY_UNSPECIFIED)
    assert not offers.offer({"id": "1", "available": "no"}).HasField("price")
    with pytest.raises(SightlineError, match="nothing to set"):
        offers.offer({"id": "1"})


def test_an_event_without_an_id_has_the_same_one_at_each_import_and_another_than_other_rows() -> (
    None
):
    rows = [EVENT | {"event_id": ""} | more for more in ({}, {}, {"product_id": "p"})]
    first, again, other = (events.event(row).event_id for row in rows)
    assert first == again
    assert first != other
    assert first.startswith("content-")
