"""Saved pages with products of schema.org become products."""

import json
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.common.v1 import product_pb2
from sightline_client.errors import SightlineError
from sightline_client.files import pages as saved
from sightline_client.files import products, schema_org
from sightline_client.files.conversion import ExportDates, Shaped
from sightline_client.files.model import FileRefused, Row
from sightline_client.files.pages import ProductPages
from sightline_client.files.photos import PhotoFolder
from sightline_client.files.shapes import PRODUCTS
from tests.work import cost

EXPORTS = Path(__file__).parents[3] / "examples" / "exports" / "pages"


def read(root: Path, page: str = "", sitemap: Path | None = None) -> list[Row]:
    pages = ProductPages(root, root / page if page else None, sitemap)
    with closing(Shaped(pages, PRODUCTS["schema-org"], {})) as table:
        return list(table.rows())


def read_products(root: Path, page: str = "") -> dict[str, product_pb2.Product]:
    found = [products.product(row.cells, PhotoFolder(root)) for row in read(root, page)]
    return {each.product_id: each for each in found}


def page(folder: Path, *scripts: object, name: str = "a.html", body: str = "") -> Path:
    texts = [each if isinstance(each, str) else json.dumps(each) for each in scripts]
    marked = "".join(f'<script type="application/ld+json">{text}</script>' for text in texts)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<html><head>{marked}</head><body>{body}</body></html>")
    return path


def one(folder: Path, **properties: Any) -> product_pb2.Product:
    page(folder, {"@type": "Product", "sku": "a", "name": "A", **properties})
    (found,) = read_products(folder, "a.html").values()
    return found


def attributes(product: product_pb2.Product) -> dict[str, object]:
    return {each.key: each.text or each.number for each in product.attributes}


def problems(rows: list[Row]) -> list[str]:
    return [
        f"{row.place} {violation.description}"
        for row in rows
        if row.error is not None
        for violation in row.error.violations
    ]


def test_a_product_in_json_ld_has_all_that_the_page_says() -> None:
    (kettle,) = read_products(EXPORTS, "kettle.html").values()
    assert (kettle.product_id, kettle.title, kettle.brand) == (
        *("NW-KETTLE", "Camp kettle"),
        "Northwind",
    )
    assert kettle.description == "Boils & pours."
    assert list(kettle.category_path) == ["Camping", "Cooking"]
    assert (kettle.price.units, kettle.price.nanos, kettle.price.currency_code) == (
        *(34, 500_000_000),
        "EUR",
    )
    assert kettle.availability == product_pb2.AVAILABILITY_IN_STOCK
    assert (kettle.rating, kettle.rating_count, kettle.stock) == (4.3, 41, 7)
    assert list(kettle.tags) == ["camping", "cooking"]
    assert (kettle.uri, kettle.language_code) == ("https://shop.example.com/kettle", "en")
    assert [image.uri for image in kettle.images] == [
        "https://shop.example.com/photos/kettle.jpg",
        "https://cdn.example.com/kettle-2.jpg",
    ]
    assert attributes(kettle) == {
        "gtin": "4012345678918",
        "material": "steel",
        "condition": "new",
        "volume_l": 1.2,
    }


def test_variants_of_a_group_have_what_all_share() -> None:
    white, blue = read_products(EXPORTS, "shirt.html").values()
    assert (white.product_id, blue.product_id) == ("NW-SHIRT-W-S", "NW-SHIRT-B-M")
    assert (white.parent_id, blue.parent_id) == ("NW-SHIRT", "NW-SHIRT")
    assert (white.title, blue.title) == ("Linen shirt", "Linen shirt, blue")
    assert {white.brand, blue.brand} == {"Northwind"}
    assert list(white.category_path) == ["Clothing", "Shirts"]
    assert [each.images[0].uri.rpartition("/")[2] for each in (white, blue)] == [
        *("shirt.jpg", "shirt-blue.jpg")
    ]
    assert attributes(blue) == {"color": "Blue", "size": "M"}
    assert white.uri == "https://shop.example.com/linen-shirt?v=1"
    assert blue.availability == product_pb2.AVAILABILITY_OUT_OF_STOCK


def test_microdata_says_the_same_as_json_ld() -> None:
    (lamp,) = read_products(EXPORTS, "lamp.html").values()
    assert (lamp.product_id, lamp.title, lamp.brand) == ("NW-LAMP", "Storm lamp", "Northwind")
    assert lamp.description == "Burns for 12 hours."
    assert list(lamp.category_path) == ["Camping", "Light"]
    assert attributes(lamp) == {"color": "brass"}


def test_of_several_offers_the_cheapest_that_can_be_bought_counts(tmp_path: Path) -> None:
    (lamp,) = read_products(EXPORTS, "lamp.html").values()
    assert (lamp.price.units, lamp.availability) == (29, product_pb2.AVAILABILITY_IN_STOCK)
    gone = {"price": 5, "priceCurrency": "EUR", "availability": "https://schema.org/OutOfStock"}
    dear = {"price": "1.299,00", "priceCurrency": "EUR", "availability": "InStock"}
    cheap = {"price": "€ 12,50", "availability": "https://schema.org/LimitedAvailability"}
    found = one(tmp_path, offers=[gone, dear, cheap])
    assert (found.price.units, found.price.nanos) == (12, 500_000_000)
    assert one(tmp_path, offers=[gone]).availability == product_pb2.AVAILABILITY_OUT_OF_STOCK
    assert one(tmp_path, offers={"lowPrice": 3, "priceCurrency": "EUR"}).price.units == 3
    specified = {"priceSpecification": {"price": 4, "priceCurrency": "EUR"}}
    assert one(tmp_path, offers=specified).price.units == 4


def test_a_variant_that_refers_to_its_group_has_what_the_group_says(tmp_path: Path) -> None:
    group = {"@id": "#g", "@type": "ProductGroup", "productGroupID": "G", "brand": "B"}
    small = {"@type": "Product", "sku": "s", "name": "S", "isVariantOf": {"@id": "#g"}}
    large = {"@id": "#l", "@type": ["Product"], "sku": "l", "name": "L"}
    page(tmp_path, {"@graph": [{**group, "hasVariant": [{"@id": "#l"}]}, small, large]})
    found = read_products(tmp_path)
    assert {name: (each.parent_id, each.brand) for name, each in found.items()} == {
        "s": ("G", "B"),
        "l": ("G", "B"),
    }


def test_objects_about_one_product_are_one_product(tmp_path: Path) -> None:
    first = {"@type": "Product", "sku": "a", "name": "A"}
    second = {"@type": "http://schema.org/Product", "sku": "a", "name": "B", "brand": "C"}
    page(tmp_path, first, {"@type": "WebPage", "mainEntity": second})
    (found,) = read_products(tmp_path).values()
    assert (found.title, found.brand) == ("A", "C")


def test_lists_of_products_count_where_the_page_has_no_product_of_its_own(tmp_path: Path) -> None:
    listed = {"@type": "Product", "sku": "b", "name": "B"}
    items = {"@type": "ItemList", "itemListElement": [{"@type": "ListItem", "item": listed}]}
    page(tmp_path, items, name="list.html")
    page(tmp_path, {"@type": "Product", "sku": "a", "name": "A"}, items, name="own.html")
    assert list(read_products(tmp_path, "list.html")) == ["b"]
    assert list(read_products(tmp_path, "own.html")) == ["a"]


def test_a_relative_photo_of_a_page_without_address_lies_beside_the_page(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "a b.jpg").write_bytes(b"jpeg")
    item = {"@type": "Product", "sku": "a", "name": "A", "image": "a%20b.jpg"}
    page(tmp_path, item, name="shop/a.html")
    (found,) = read_products(tmp_path).values()
    assert found.images[0].content == b"jpeg"
    page(tmp_path, item | {"image": "../../outside.jpg"}, name="shop/a.html")
    with pytest.raises(SightlineError, match=r"outside\.jpg"):
        read_products(tmp_path)


def test_a_folder_is_read_in_order_and_pages_without_products_are_counted() -> None:
    pages = ProductPages(EXPORTS)
    rows = list(pages.rows())
    assert [(row.number, row.place) for row in rows] == [
        *((1, "kettle.html"), (2, "lamp.html"), (3, "shirt.html"), (4, "shirt.html"))
    ]
    assert (pages.total, pages.done, pages.without) == (4, 4, 1)
    assert pages.fingerprint == ProductPages(EXPORTS).fingerprint


def test_a_sitemap_names_the_pages_and_their_addresses(tmp_path: Path) -> None:
    item = {"@type": "Product", "name": "A", "image": "x.jpg"}
    page(tmp_path, item, name="shop.example.com/de/tasse/index.html")
    page(tmp_path, item | {"sku": "c"}, name="other.html")
    page(tmp_path, item | {"sku": "q"}, name="p?id=7.html")
    addresses = [
        *("https://shop.example.com/de/tasse/", "https://shop.example.com/gone"),
        *("https://shop.example.com/p?id=7", "https://shop.example.com/../../etc/passwd"),
    ]
    listed = "".join(f"<url><loc>{address}</loc></url>" for address in addresses)
    sitemap = tmp_path / "sitemap.xml"
    sitemap.write_text(f'<urlset xmlns="http://www.sitemaps.org/x">{listed}</urlset>')
    rows = read(tmp_path, sitemap=sitemap)
    assert [row.cells.get("id") for row in rows] == [addresses[0], None, "q", None]
    assert rows[0].cells["images"] == ["https://shop.example.com/de/tasse/x.jpg"]
    assert problems(rows)[0] == (
        "https://shop.example.com/gone is not among the saved pages: save it, or take it from the"
        " sitemap"
    )
    with pytest.raises(FileRefused, match="is not a sitemap"):
        ProductPages(tmp_path, sitemap=EXPORTS.parent / "merchant-feed.xml")


# Bad and hostile pages


def test_a_broken_script_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    page(tmp_path, '{"@type": "Product", "sku": "x",}', {"@type": "Product", "sku": "a"})
    page(tmp_path, '{"@type": "Organization",}', {"@type": "Product", "sku": "b"}, name="b.html")
    rows = read(tmp_path)
    assert [row.cells.get("id") for row in rows] == [None, "a", "b"]
    assert problems(rows)[0].startswith("a.html its JSON-LD script 1 is not valid JSON: ")


@pytest.mark.parametrize("text", ["", "<p>no product</p>", "\x00\x01", "<" * 1000])
def test_a_page_without_a_product_is_rejected_where_it_is_the_only_one(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "a.html").write_text(text)
    assert problems(read(tmp_path, "a.html")) == [
        "a.html describes no product of schema.org, by JSON-LD or microdata"
    ]
    assert read(tmp_path) == []


def test_deep_json_and_deep_pages_are_rejected(tmp_path: Path) -> None:
    deep = '{"@type": "Product", "name": ' + "[" * 900 + "]" * 900 + "}"
    deeper = '{"@type": "Product", "name": ' + "[" * 100_000 + "]" * 100_000 + "}"
    page(tmp_path, deep, deeper, body="<div itemscope itemprop=a>" * 5000)
    assert len(problems(read(tmp_path))) == 2


def test_a_page_that_is_too_large_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved, "LARGEST", 100)
    page(tmp_path, {"@type": "Product", "sku": "a", "name": "A"}, body="x" * 100)
    assert "has over 100 bytes" in problems(read(tmp_path))[0]


def test_links_that_lead_outside_are_not_followed(tmp_path: Path) -> None:
    page(tmp_path, {"@type": "Product", "sku": "a"}, name="outside.html")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.html").symlink_to(tmp_path / "outside.html")
    (tmp_path / "in" / "folder").symlink_to(tmp_path)
    assert read(tmp_path / "in") == []


def test_references_between_microdata_items_may_be_circular(tmp_path: Path) -> None:
    body = (
        '<div itemscope itemtype="https://schema.org/Product" itemref="b">'
        '<b itemprop="sku">a</b></div>'
        '<div id="b" itemprop="isVariantOf" itemscope itemref="b c">'
        '<i id="c" itemprop="x">1</i></div>'
    )
    page(tmp_path, body=body)
    assert [row.cells["id"] for row in read(tmp_path)] == ["a"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["@type", "@id", "name", "price", "value", "url", "sku", "offers"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
NAMES = st.sampled_from(
    [
        *(
            "@id",
            "sku",
            "name",
            "brand",
            "offers",
            "image",
            "category",
            "hasVariant",
            "isVariantOf",
        ),
        *("aggregateRating", "additionalProperty", "keywords", "audience", "url", "color"),
    ]
)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=6), st.sampled_from(["Product", "ProductGroup"]))
def test_any_object_is_a_product_or_an_invalid_row(properties: dict[str, Any], kind: str) -> None:
    with TemporaryDirectory() as folder:
        page(Path(folder), {"@type": kind, **properties})
        for row in read(Path(folder)):
            with suppress(SightlineError):
                products.product(row.cells, PhotoFolder(Path(folder)))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.text("abc-1", min_size=1, max_size=9).filter(lambda text: text.strip("-")),
    st.lists(st.sampled_from(["Wine", "Red", "Dry & fine"]), min_size=1, max_size=3),
    st.integers(0, 10**9),
)
def test_what_is_written_as_json_ld_is_read_back(sku: str, levels: list[str], cents: int) -> None:
    price = f"{cents // 100}.{cents % 100:02}"
    offer = {"@type": "Offer", "price": price, "priceCurrency": "EUR"}
    item = {"@type": "Product", "sku": sku, "name": "N", "category": " > ".join(levels)}
    with TemporaryDirectory() as folder:
        page(Path(folder), item | {"offers": offer})
        ((name, found),) = read_products(Path(folder)).items()
    assert (name, list(found.category_path)) == (sku, levels)
    assert found.price.units * 100 + found.price.nanos // 10_000_000 == cents


def test_objects_that_refer_to_each_other_are_followed_a_bounded_number_of_times() -> None:
    ids = [{"@id": f"#{number}"} for number in range(400)]
    offers = [{"@type": "Offer", "@id": f"#{n}", "price": n + 1, "offers": ids} for n in range(400)]
    product = {"@type": "Product", "sku": "1", "name": "A", "offers": ids}
    # Followed to the end they would be 400 × 400 × 400 × 400 objects.
    assert cost(lambda: schema_org.products_of([{"@graph": [product, *offers]}])) < 100


def test_references_within_a_page_are_followed() -> None:
    graph = [
        {
            **{"@type": "Product", "sku": "1", "name": "A", "brand": {"@id": "#b"}},
            "offers": [{"@id": "#o"}, {"@id": "#none"}],
        },
        {"@type": "Offer", "@id": "#o", "priceSpecification": {"@id": "#p"}},
        {"@type": "PriceSpecification", "@id": "#p", "price": "9.90", "priceCurrency": "EUR"},
        {"@type": "Brand", "@id": "#b", "name": "Acme"},
    ]
    (found,) = schema_org.products_of([{"@graph": graph}])
    (made,) = schema_org.SHAPE.read(iter([Row(1, found)]), ExportDates())
    assert (made.cells["price"], made.cells["currency"], made.cells["brand"]) == (
        *("9.90", "EUR"),
        "Acme",
    )


@pytest.mark.parametrize(
    ("kinds", "price"),
    [
        (("ListPrice", ""), 2),
        (("", "https://schema.org/StrikethroughPrice"), 1),
        (("MSRP", "https://schema.org/SalePrice", ""), 2),
        (("ListPrice",), 1),
        (("RegularPrice", "SRP"), 1),
    ],
)
def test_a_price_that_nobody_pays_is_not_the_price(kinds: tuple[str, ...], price: int) -> None:
    some = [
        {"price": number, "priceCurrency": "EUR", **({"priceType": kind} if kind else {})}
        for number, kind in enumerate(kinds, start=1)
    ]
    product = {"@type": "Product", "sku": "1", "offers": {"priceSpecification": some}}
    (found,) = schema_org.products_of([product])
    (made,) = schema_org.SHAPE.read(iter([Row(1, found)]), ExportDates())
    assert made.cells["price"] == price
