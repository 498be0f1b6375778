"""Feeds for Google's Merchant Center become products."""

import json
import re
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree.ElementTree import Element, SubElement, tostring

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.common.v1 import product_pb2
from sightline.gateway.v1.catalog_service_pb2 import UpsertProductsRequest
from sightline_client import SyncSightlineClient
from sightline_client.errors import SightlineError
from sightline_client.files import products, xml_records
from sightline_client.files.mapping import ColumnMap
from sightline_client.files.model import FileRefused, Row
from sightline_client.files.opening import AS_IT_IS, Reading, look, open_table
from sightline_client.files.photos import PhotoFolder
from sightline_client.files.shapes import PRODUCTS, shape_of
from tests.fakes.gateway import FakeGateway

EXPORTS = Path(__file__).parents[3] / "examples" / "exports"
PAGE = (EXPORTS.parents[1] / "docs/integrate/feeds.md").read_text("utf-8")
MERCHANT = PRODUCTS["google-merchant"]
HEAD = f'<rss version="2.0" xmlns:g="{xml_records.GOOGLE}"><channel>'
TAIL = "</channel></rss>"
GOOD = "<item><g:id>{0}</g:id><title>T{0}</title></item>"


def read(path: Path, reading: Reading | None = None) -> list[Row]:
    asked = reading or Reading(shape=MERCHANT)
    with closing(open_table(path, columns=(), needed=(), reading=asked)) as table:
        return list(table.rows())


def read_products(path: Path) -> dict[str, product_pb2.Product]:
    made = [products.product(row.cells, PhotoFolder(path.parent)) for row in read(path)]
    return {each.product_id: each for each in made}


def written(folder: Path, text: str | bytes, name: str = "feed.xml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def attributes(product: product_pb2.Product) -> dict[str, object]:
    return {one.key: one.text or one.number for one in product.attributes}


def problems(rows: list[Row]) -> list[str]:
    return [
        f"{row.place}: {violation.field} {violation.description}"
        for row in rows
        if row.error is not None
        for violation in row.error.violations
    ]


def test_an_item_of_rss_becomes_a_product_with_all_that_the_feed_says() -> None:
    found = read_products(EXPORTS / "merchant-feed.xml")
    assert list(found) == ["NW-FLEECE-S", "NW-FLEECE-M", "NW-MUG"]
    small, medium, mug = found.values()
    assert (small.parent_id, medium.parent_id, mug.parent_id) == ("NW-FLEECE", "NW-FLEECE", "")
    assert small.description == "Warm & light. Recycled polyester."
    assert list(small.category_path) == ["Clothing", "Jackets", "Fleece"]
    assert list(mug.category_path) == []  # a bare number of Google's categories names none
    assert (small.brand, small.uri) == ("Northwind", "https://shop.example.com/fleece?size=s")
    assert [image.uri.rpartition("/")[2] for image in small.images] == [
        *("fleece-green.jpg", "fleece-back.jpg", "fleece-zip.jpg")
    ]
    assert [each.availability for each in found.values()] == [
        product_pb2.AVAILABILITY_IN_STOCK,
        product_pb2.AVAILABILITY_OUT_OF_STOCK,
        product_pb2.AVAILABILITY_PREORDER,
    ]
    assert attributes(small) == {
        "gtin": "04012345678901",
        "color": "moss green",
        "size": "S",
        "gender": "unisex",
        "condition": "new",
        "fabric_weight": "280 g/m²",
        "season": "winter",
        "google_product_category": "Apparel & Accessories > Clothing > Outerwear",
    }
    assert mug.title == "Enamel mug – 350 ml"


def test_the_pages_program_and_request_send_what_the_command_reads(gateway: FakeGateway) -> None:
    read = read_products(EXPORTS / "merchant-feed.xml")["NW-FLEECE-M"]
    read.ClearField("images")
    (body,) = re.findall(r"products:upsert.*?-d '(.*?)'", PAGE, re.DOTALL)
    (program,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    with SyncSightlineClient(gateway.target) as client:
        exec(compile(program, "feeds.md", "exec"), {"client": client})  # noqa: S102
    (sent,) = gateway.requests["UpsertProducts"]
    assert json_format.ParseDict(json.loads(body), UpsertProductsRequest()).products == [read]
    assert sent.products == [read]


def test_a_sale_counts_while_it_lasts() -> None:
    small, medium, mug = read_products(EXPORTS / "merchant-feed.xml").values()
    prices = [(each.price.units, each.price.nanos) for each in (small, medium, mug)]
    assert prices == [(59, 900_000_000), (79, 900_000_000), (14, 0)]
    assert {each.price.currency_code for each in (small, medium, mug)} == {"EUR"}
    assert (small.cost.units, small.cost.nanos) == (31, 500_000_000)


def test_a_cost_in_another_currency_is_rejected(tmp_path: Path) -> None:
    amounts = "<g:price>10 EUR</g:price><g:cost_of_goods_sold>3 USD</g:cost_of_goods_sold>"
    item = f"<item><g:id>a</g:id><title>A</title>{amounts}</item>"
    (row,) = read(written(tmp_path, HEAD + item + TAIL))
    with pytest.raises(SightlineError, match="price: '10 EUR' is not in USD"):
        products.product(row.cells, PhotoFolder(tmp_path))


def test_an_entry_of_atom_becomes_a_product() -> None:
    (tent,) = read_products(EXPORTS / "merchant-feed-atom.xml").values()
    assert (tent.product_id, tent.uri) == ("NW-TENT", "https://shop.example.com/tent")
    assert (tent.title, tent.description) == ("Two-person tent", "Stands in four minutes.")
    assert tent.availability == product_pb2.AVAILABILITY_BACKORDER


def test_a_text_feed_has_the_same_attributes_with_blanks_in_their_names() -> None:
    names, _ = look(EXPORTS / "merchant-feed.tsv", ())
    assert shape_of(names, PRODUCTS) is MERCHANT
    small, large = read_products(EXPORTS / "merchant-feed.tsv").values()
    assert (small.parent_id, large.parent_id) == ("NW-SOCK", "NW-SOCK")
    assert len(small.images) == 3
    assert attributes(small) == {"size": "39-42", "fabric": "Merino wool"}
    assert large.availability == product_pb2.AVAILABILITY_OUT_OF_STOCK


def test_a_map_reads_attributes_that_the_shape_leaves_out(tmp_path: Path) -> None:
    item = "<item><g:id>a</g:id><title>A</title><g:lifestyle>x|y</g:lifestyle></item>"
    path = written(tmp_path, HEAD + item + TAIL)
    known = ("id", "title", "tags")
    by = Reading(map=ColumnMap({"lifestyle": "tags"}))
    with closing(open_table(path, columns=known, needed=(), reading=by)) as table:
        (row,) = table.rows()
    assert row.cells == {"id": "a", "title": "A", "tags": ["x", "y"]}
    with closing(open_table(path, columns=known, needed=(), reading=AS_IT_IS)) as table:
        (row,) = table.rows()
    assert row.error is not None
    assert row.error.violations[0].field == "lifestyle"


# Bad items


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("<item><g:id>x</g:id><title>a & b</title></item>", "item x is not well-formed in line 3"),
        ("<item><g:id>x</g:id><title>a&nbsp;b</title></item>", "undefined entity"),
        ("<item><g:id>x</title></item>", "mismatched tag"),
        ("<item><g:id>x</g:id>", "is not closed before line 4: correct it there"),
        ("<item><q:id>x</q:id></item>", "unbound prefix"),
        ("<item><title>\x01</title></item>", "not well-formed"),
        (b"<item><title>caf\xe9</title></item>", "name it with --encoding"),
    ],
)
def test_a_bad_item_is_named_with_its_line_and_the_others_are_read(
    tmp_path: Path, bad: str | bytes, words: str
) -> None:
    middle = bad if isinstance(bad, bytes) else bad.encode()
    parts = [HEAD.encode(), GOOD.format(1).encode(), middle, GOOD.format(2).encode(), TAIL.encode()]
    rows = read(written(tmp_path, b"\n".join(parts)))
    assert [row.cells.get("id") for row in rows] == ["1", None, "2"]
    (problem,) = problems(rows)
    assert problem.startswith("line 3: item")
    assert words in problem


def test_what_looks_like_an_item_in_comments_and_characters_is_none(tmp_path: Path) -> None:
    item = "<item><g:id>a</g:id><title><![CDATA[</item><item>]]></title><!-- </item> --></item>"
    text = f"<!-- <rss> -->{HEAD}<!-- <item> --><?x <item> ?>{item}{TAIL}"
    rows = read(written(tmp_path, text), PLAIN)
    assert [(row.cells["id"], row.error) for row in rows] == [("a", None)]
    assert rows[0].cells["title"] == "</item><item>"


def test_a_feed_that_was_cut_is_said_after_its_whole_items(tmp_path: Path) -> None:
    rows = read(written(tmp_path, f"{HEAD}{GOOD.format(1)}"))
    assert [row.cells.get("id") for row in rows] == ["1", None]
    assert "the file ends before </rss>: it is cut; fetch it again" in problems(rows)[0]
    rows = read(written(tmp_path, f"{HEAD}{GOOD.format(1)}<item><g:id>2"))
    assert len(problems(rows)) == 2


def test_an_empty_item_has_no_id(tmp_path: Path) -> None:
    rows = read(written(tmp_path, f"{HEAD}<item/><item />{GOOD.format(1)}{TAIL}"))
    assert [row.cells.get("id") for row in rows] == [None, None, "1"]


def test_the_namespace_of_google_need_not_be_declared(tmp_path: Path) -> None:
    rows = read(written(tmp_path, f"<rss><channel>{GOOD.format(1)}</channel></rss>"))
    assert rows[0].cells["id"] == "1"


@pytest.mark.parametrize(
    ("encoding", "declared"), [("utf-16", ""), ("cp1252", ' encoding="windows-1252"')]
)
def test_a_feed_is_read_in_the_encoding_that_it_declares(
    tmp_path: Path, encoding: str, declared: str
) -> None:
    text = f'<?xml version="1.0"{declared}?>{HEAD}{GOOD.format("é")}{TAIL}'
    assert read(written(tmp_path, text.encode(encoding)))[0].cells["id"] == "é"


# Hostile files


@pytest.mark.parametrize(
    "entities",
    [
        '<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">',
        '<!ENTITY c SYSTEM "file:///etc/passwd">',
        '<!ENTITY % d SYSTEM "http://127.0.0.1:1/x.dtd"> %d;',
    ],
)
@pytest.mark.parametrize("place", ["before", "between"])
def test_a_document_type_is_refused(tmp_path: Path, entities: str, place: str) -> None:
    doctype = f"<!DOCTYPE rss [{entities}]>"
    item = "<item><g:id>&c;</g:id></item>"
    text = f"{doctype}{HEAD}{item}" if place == "before" else f"{HEAD}{item}{doctype}"
    with pytest.raises(FileRefused, match="declares a document type") as caught:
        read(written(tmp_path, text + TAIL))
    assert "remove the declaration" in caught.value.fix


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it has no element"),
        ("id,title\n1,A\n", "it has no element"),
        ("<html><body/></html>", "its first element is <html>"),
        ("<sitemapindex/>", "its first element is <sitemapindex>"),
        ('<urlset xmlns="x"></urlset>', "is a sitemap"),
        ('<?xml version="1.0" encoding="hex"?><rss/>', "can't be read as 'hex'"),
    ],
)
def test_what_is_no_feed_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(FileRefused, match=words):
        read(written(tmp_path, text))


def test_an_item_that_is_too_long_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xml_records, "LONGEST", 10_000)
    monkeypatch.setattr(xml_records, "_CHUNK", 1_000)
    long = f"<item><title>{'x' * 30_000}</title></item>"
    rows = read(written(tmp_path, f"{HEAD}\n{GOOD.format(1)}\n{long}\n{GOOD.format(2)}{TAIL}"))
    assert [row.cells.get("id") for row in rows] == ["1", None, "2"]
    assert problems(rows) == ["line 3: item has over 10,000 characters: shorten it"]


def test_deep_nesting_is_read_or_rejected_and_stops_nothing(tmp_path: Path) -> None:
    deep = f"<item><g:id>d</g:id><title>{'<a>' * 50_000}{'</a>' * 50_000}</title></item>"
    rows = read(written(tmp_path, f"{HEAD}{deep}{GOOD.format(1)}{TAIL}"))
    assert rows[-1].cells["id"] == "1"


@pytest.mark.full
@pytest.mark.slow
def test_memory_holds_one_item_of_a_large_feed(tmp_path: Path) -> None:
    path = tmp_path / "large.xml"
    item = "<item><g:id>{0}</g:id><title>T</title><description>" + "x" * 20_000
    with path.open("w") as file:
        file.write(HEAD)
        for number in range(2000):
            file.write(item.format(number) + "</description></item>")
        file.write("<!--" + "y" * 20_000_000 + "-->" + TAIL)
    table = open_table(path, columns=(), needed=(), reading=Reading(shape=MERCHANT))
    tracemalloc.start()
    try:
        assert sum(row.error is None for row in table.rows()) == 2000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        table.close()
    assert path.stat().st_size > 60_000_000
    assert peak < 4_000_000


@pytest.mark.parametrize("end", ["<item ", "<item\n<![CDATA[85", "<item a='>", "<item\t<b"])
def test_a_feed_that_is_cut_within_a_tag_ends(tmp_path: Path, end: str) -> None:
    item = "<item><g:id>1</g:id><title>T</title></item>"
    path = written(tmp_path, f"{HEAD}{item}{end}".encode())
    with closing(open_table(path, columns=(), needed=(), reading=PLAIN)) as table:
        rows = [row for row, _ in zip(table.rows(), range(9), strict=False)]
    assert [row.error is None for row in rows] == [True, False, False]
    assert "it is cut" in str(rows[-1].error)


# Properties

TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn", "Co"]), min_size=1).map(
    str.strip
)
NAMED = TEXT.filter(lambda text: bool(text) and text == " ".join(text.split()))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NAMED, NAMED), min_size=1, max_size=6), st.integers(1, 90))
def test_texts_are_read_as_they_were_written_wherever_the_file_is_divided(
    pairs: list[tuple[str, str]], chunk: int
) -> None:
    root = Element("rss", {"xmlns:g": xml_records.GOOGLE})
    channel = SubElement(root, "channel")
    for name, title in pairs:
        item = SubElement(channel, "item")
        SubElement(item, "g:id").text = name
        SubElement(item, "title").text = title
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(xml_records, "_CHUNK", chunk)
        patch.setattr(xml_records, "_OVERLAP", 80)
        path = written(Path(folder), tostring(root))
        with closing(open_table(path, columns=(), needed=(), reading=PLAIN)) as table:
            found = [(row.cells["id"], row.cells["title"]) for row in table.rows()]
    assert found == pairs


PIECES = st.sampled_from(
    [
        *(
            "<item>",
            "</item>",
            "<item",
            "/>",
            ">",
            "<!--",
            "-->",
            "<![CDATA[",
            "]]>",
            "&amp;",
            "&x;",
        ),
        *("<g:id>a</g:id>", "<title>", "</title>", HEAD, TAIL, "\x00", "\n", "é", "<?", "?>", '"'),
    ]
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES | st.text(max_size=5), max_size=40), st.integers(1, 60))
def test_any_content_is_rows_or_refused(pieces: list[str], chunk: int) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(xml_records, "_CHUNK", chunk)
        text = HEAD + "".join(pieces)
        path = written(Path(folder), text.encode("utf-8", "surrogatepass"))
        rows = list(_rows_or_refused(path))
        patch.undo()
        again = list(_rows_or_refused(path))
    assert [(row.place, row.cells, str(row.error)) for row in rows] == [
        (row.place, row.cells, str(row.error)) for row in again
    ]


PLAIN = Reading(shape=None)


def _rows_or_refused(path: Path) -> Iterator[Row]:
    try:
        with closing(open_table(path, columns=(), needed=(), reading=PLAIN)) as table:
            yield from table.rows()
    except FileRefused as error:
        yield Row(0, {"refused": str(error)})
