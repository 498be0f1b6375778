"""The screen "Import"."""

import asyncio
import html
import io
import re
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from google.rpc import code_pb2

from sightline.common.v1 import product_pb2
from sightline_console.screens import product_files
from sightline_console.screens.visit import Console
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status
from tests.unit.console.conftest import Browser, browser
from tests.unit.console.uploads import OURS, hidden, imported, looked_at, upload
from tests.waiting import until

THEIRS = b"Artikelnummer;Bezeichnung;Verkaufspreis;Farbe\nw1;Rot & Rosa;12,50;rot\nw2;Sekt;9;\n"


async def test_a_file_with_our_columns_is_shown_and_imported(
    web: Browser, gateway: FakeGateway
) -> None:
    page = await looked_at(web, OURS)
    assert page.status_code == 200, page.text
    for text in ("Barolo", "12.50 EUR", "no photo"):
        assert text in page.text
    assert not gateway.requests["UpsertProducts"], "nothing is written before the user says so"
    page = await imported(web, page)
    assert "2 rows read, 2 products stored, 0 rows rejected." in page.text
    assert "2 products are found by text and behavior alone" in page.text
    assert gateway.products["w2"].title == "Nebbiolo"


async def test_foreign_columns_are_proposed_and_chosen(web: Browser, gateway: FakeGateway) -> None:
    sent = await upload(web, THEIRS, "liste.csv")
    page = await web.follow(sent)
    assert page.status_code == 200, page.text
    assert 'name="c:Bezeichnung"' in page.text or 'name="c:bezeichnung"' in page.text
    names = re.findall(r'<select id="c\d+" name="([^"]+)">', page.text)
    assert len(names) == 4
    chosen = dict(zip(names, ("id", "title", "price", "attributes.colour"), strict=True))
    address = f"{sent.headers['location']}&{httpx.QueryParams({**chosen, 'currency': 'eur'})}"
    page = await web.open(address)
    assert page.status_code == 200, page.text
    for text in ("Rot &amp; Rosa", "12.50 EUR", "colour: rot"):
        assert text in page.text, text
    await imported(web, page)
    stored = gateway.products["w1"]
    assert (stored.title, stored.price.units, stored.price.currency_code) == (
        "Rot & Rosa",
        12,
        "EUR",
    )
    assert [(each.key, each.text) for each in stored.attributes] == [("colour", "rot")]
    # A column that is needed and left out is told.
    left_out = {**chosen, names[1]: "-"}
    page = await web.open(f"{sent.headers['location']}&{httpx.QueryParams(left_out)}")
    assert "No column is title" in page.text
    twice = {**chosen, names[3]: "title"}
    page = await web.open(f"{sent.headers['location']}&{httpx.QueryParams(twice)}")
    assert page.status_code == 400
    assert "two columns are title" in page.text


VALUES = (
    "SKU,Name,Status,Couleur\n"
    'w1,Barolo,auf dem Weg,"<b>rot"\nw2,Sekt,verfügbar,weiß: hell\nw3,אדום 🍷,auf dem Weg,7\n'
).encode()
COLUMNS = {
    "c:sku": "id",
    "c:name": "title",
    "c:status": "available",
    "c:couleur": "attributes.colour",
}


async def test_values_are_named_and_replaced_in_the_preview_and_the_import(
    web: Browser, gateway: FakeGateway
) -> None:
    at = (await upload(web, VALUES)).headers["location"]
    page = await web.open(f"{at}&{httpx.QueryParams(COLUMNS)}")
    assert "Row 1 would be rejected" in page.text
    names = [html.unescape(each) for each in re.findall(r'name="v:([^"]+)"', page.text)]
    assert names == [
        "status:auf dem Weg",
        "status:verfügbar",
        "couleur:<b>rot",
        "couleur:weiß: hell",
    ]
    assert page.text.count("not known: choose one") == 1
    assert "<b>rot" not in page.text
    meant = {
        "v:status:auf dem Weg": "preorder",
        "v:couleur:<b>rot": "red & pink",
        "v:couleur:weiß: hell": "",
    }
    page = await web.open(f"{at}&{httpx.QueryParams({**COLUMNS, **meant})}")
    assert "would be rejected" not in page.text
    assert "colour: red &amp; pink" in page.text
    page = await imported(web, page)
    assert "3 products stored" in page.text
    stored = [gateway.products[each] for each in ("w1", "w2", "w3")]
    assert [each.availability for each in stored] == [
        product_pb2.AVAILABILITY_PREORDER,
        product_pb2.AVAILABILITY_IN_STOCK,
        product_pb2.AVAILABILITY_PREORDER,
    ]
    assert stored[0].attributes[0].text == "red & pink"
    assert stored[1].attributes[0].text == "weiß: hell"


async def test_meanings_of_values_stay_for_the_corrected_rows(
    web: Browser, gateway: FakeGateway
) -> None:
    at = (await upload(web, VALUES + b"w4,,auf dem Weg,\n")).headers["location"]
    chosen = {**COLUMNS, "v:status:auf dem Weg": "preorder"}
    page = await imported(web, await web.open(f"{at}&{httpx.QueryParams(chosen)}"))
    assert "1 rows rejected" in page.text
    rows = "SKU,Name,Status,Couleur\nw4,Cava,auf dem Weg,\n"
    sent = await web.send("/import", {**hidden(page.text, "edited"), "rows": rows})
    await imported(web, await web.follow(sent))
    assert gateway.products["w4"].availability == product_pb2.AVAILABILITY_PREORDER


async def test_a_meaning_that_can_not_be_said_is_told(web: Browser) -> None:
    at = (await upload(web, VALUES)).headers["location"]
    page = await web.open(f"{at}&{httpx.QueryParams({**COLUMNS, 'v:couleur:<b>rot': 'a=b'})}")
    assert page.status_code == 400
    assert "write the value without it" in page.text
    page = await web.open(f"{at}&{httpx.QueryParams({**COLUMNS, 'v:Gone:x': 'y'})}")
    assert page.status_code == 400


async def test_columns_of_many_values_or_numbers_offer_none(web: Browser) -> None:
    rows = "".join(f"w{n},Wine,Producer {n},{n}\n" for n in range(20))
    at = (await upload(web, f"id,title,brand,points\n{rows}".encode())).headers["location"]
    chosen = {"c:id": "id", "c:title": "title", "c:brand": "brand", "c:points": "attributes.p"}
    page = await web.open(f"{at}&{httpx.QueryParams(chosen)}")
    assert page.status_code == 200
    assert 'name="v:' not in page.text


async def test_rejected_rows_are_told_downloaded_corrected_and_sent_again(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.refused["w2"] = status(
        code_pb2.INVALID_ARGUMENT, "bad", reason="PRODUCT_INVALID",
        violations=(("product.title", "is forbidden"),),
    )  # fmt: skip
    content = OURS + b"w3,Cheap,abc,EUR\nw1,Twice,1,EUR\n"
    page = await imported(web, await looked_at(web, content))
    assert "4 rows read, 1 products stored, 3 rows rejected." in page.text
    assert "is forbidden" in page.text
    found = re.search(r'href="([^"]+/rejected)"', page.text)
    assert found is not None
    file = await web.open(found[1])
    assert file.headers["content-disposition"] == 'attachment; filename="products.rejected.csv"'
    assert b"w3,Cheap,abc" in file.content
    assert b"Barolo" not in file.content
    rows = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", page.text, re.DOTALL)
    assert rows is not None
    gateway.refused.clear()
    corrected = html.unescape(rows[1]).replace("abc", "5").replace("w1,Twice", "w4,Once")
    sent = await web.send("/import", {**hidden(page.text, "edited"), "rows": corrected})
    page = await imported(web, await web.follow(sent))
    assert "3 products stored, 0 rows rejected." in page.text
    assert {"w1", "w2", "w3", "w4"} <= set(gateway.products)
    assert gateway.products["w4"].title == "Once"


async def test_a_choice_of_columns_stays_for_the_corrected_rows(
    web: Browser, gateway: FakeGateway
) -> None:
    sent = await upload(web, b"a,b\nw1,\nw2,Two\n", "x.csv")
    chosen = httpx.QueryParams({"c:a": "id", "c:b": "title"})
    page = await imported(web, await web.open(f"{sent.headers['location']}&{chosen}"))
    assert "1 rows rejected" in page.text
    sent = await web.send("/import", {**hidden(page.text, "edited"), "rows": "a,b\nw1,One\n"})
    asked = parse_qs(urlsplit(sent.headers["location"]).query)
    assert (asked["c:a"], asked["c:b"]) == (["id"], ["title"])
    await imported(web, await web.follow(sent))
    assert gateway.products["w1"].title == "One"


def bomb() -> bytes:
    """Return a workbook that is no workbook."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("xl/workbook.xml", b" " * 10**7)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"\x00\xff\xfe"),
        ("a.csv", b"nothing\n"),
        ("a.jsonl", b"{"),
        ("a.jsonl", b"[" * 100_000),
        ("a.xlsx", b"PK\x03\x04 no workbook"),
        ("a.xlsx", bomb()),
        ("a.parquet", b"PAR1"),
        ("a.xml", b'<!DOCTYPE a [<!ENTITY b "cc">]><a>&b;</a>'),
        ("a.html", b"<p>"),
        ("a.exe", b"MZ"),
        ("../../etc/passwd", b"root"),
        ("a.csv", b""),
    ],
)
async def test_a_file_that_can_not_be_read_is_told_and_stops_nothing(
    web: Browser, name: str, content: bytes
) -> None:
    answer = await upload(web, content, name)
    page = await web.follow(answer) if answer.status_code == 303 else answer
    assert page.status_code in (200, 400), page.text
    assert "Import all rows" not in page.text or "would be rejected" in page.text
    assert "Traceback" not in page.text
    assert (await looked_at(web, OURS)).status_code == 200


async def test_a_file_that_is_too_large_is_refused(web: Browser) -> None:
    for size in (product_files.MOST_BYTES + 1, product_files.MOST_BYTES + 2**21):
        answer = await upload(web, bytes(size))
        assert answer.status_code == 413, answer.text


async def test_a_file_of_a_caller_who_is_not_admitted_is_not_read(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.fail("GetImage", status(code_pb2.UNAUTHENTICATED, "who?", reason="TOKEN_MISSING"))
    assert (await upload(web, OURS)).headers["location"].startswith("/sign-in")


async def test_who_may_write_products_alone_imports_them(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.after["GetImage"] = (
        0, status(code_pb2.PERMISSION_DENIED, "no role read", reason="ROLE_MISSING"),
    )  # fmt: skip
    page = await imported(web, await looked_at(web, OURS))
    assert "2 rows read, 2 products stored, 0 rows rejected." in page.text


async def test_a_key_of_other_catalogs_sends_no_file(web: Browser, gateway: FakeGateway) -> None:
    why = status(code_pb2.PERMISSION_DENIED, "not yours", reason="CATALOG_FORBIDDEN")
    gateway.after["GetImage"] = (0, why)
    assert (await upload(web, OURS)).status_code == 403


async def test_rejected_rows_take_no_more_of_the_disk_than_is_kept(
    web: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []

    class Folder(TemporaryDirectory[str]):
        def cleanup(self) -> None:
            held.append(sum(each.stat().st_size for each in Path(self.name).iterdir()))
            super().cleanup()

    monkeypatch.setattr(product_files, "TemporaryDirectory", Folder)
    monkeypatch.setattr(product_files, "LARGEST_REJECTED", 2**16)
    rows = b"id,title,price,currency\n" + b"a,,,\n" * 5_000
    page = await imported(web, await looked_at(web, rows))
    assert "5,000 rows rejected" in page.text
    assert "too many to be kept" in page.text
    assert max(held) < len(rows) + 3 * 2**16


async def test_a_file_and_an_import_are_those_of_their_browser_alone(
    console: Console, web: Browser
) -> None:
    sent = await upload(web, OURS)
    page = await imported(web, await web.follow(sent))
    async with browser(console) as other:
        assert (await other.get(sent.headers["location"])).status_code == 400
        assert (await other.get(str(page.request.url))).status_code == 404
        assert (await other.get(f"{page.request.url}/rejected")).status_code == 404


async def test_an_import_that_the_suite_ends_is_told(web: Browser, gateway: FakeGateway) -> None:
    why = status(code_pb2.PERMISSION_DENIED, "no catalog role", reason="ROLE_MISSING")
    gateway.fail("UpsertProducts", why)
    page = await imported(web, await looked_at(web, OURS))
    assert "no catalog role" in page.text
    assert "0 products stored" in page.text


async def test_names_and_values_are_no_markup(web: Browser) -> None:
    page = await looked_at(web, b'id,title,"<i>"\n"<b>x",<script>,1\n', "<u>.csv")
    assert page.status_code == 200, page.text
    for text in ("<i>", "<b>x", "<script>,", "<u>"):
        assert text not in page.text


async def test_only_a_few_imports_go_on_at_once(web: Browser, gateway: FakeGateway) -> None:
    gateway.delay = 1.0
    page = await looked_at(web, OURS)
    main = page.text.partition('value="import"')[2]
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', main)
    fields: dict[str, Any] = {name: html.unescape(value) for name, value in found}
    fields["csrf"] = await web.csrf("/sign-in")
    first = await web.send("/import", {"act": "import", **fields})
    second = await web.send("/import", {"act": "import", **fields})
    assert (first.status_code, second.status_code) == (303, 503)
    gateway.delay = 0.0
    await asyncio.sleep(0)


def workbook_of(part: str, size: int) -> bytes:
    """Return a workbook with a part of so many bytes, which are few as they are packed."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(part, bytes(size))
    return file.getvalue()


@pytest.mark.parametrize(
    ("part", "size"),
    [
        ("xl/sharedStrings.xml", product_files.LARGEST_TEXTS),
        ("xl/worksheets/sheet1.xml", product_files.LARGEST_SHEET),
        ("xl/styles.xml", product_files.LARGEST_PART),
    ],
)
async def test_a_small_workbook_that_holds_much_is_refused(
    web: Browser, part: str, size: int
) -> None:
    page = await looked_at(web, workbook_of(part, size + 1), "a.xlsx")
    assert page.status_code == 400
    assert "bytes unpacked" in page.text


async def test_parquet_is_left_to_the_command(web: Browser) -> None:
    page = await upload(web, b"PAR1", "a.parquet")
    assert page.status_code == 400
    assert "Choose a file of one of these kinds" in page.text


async def test_a_file_of_many_columns_is_left_to_the_command(web: Browser) -> None:
    names = ",".join(f"c{at}" for at in range(product_files.MOST_COLUMNS))
    page = await looked_at(web, f"id,{names}\n1\n".encode())
    assert page.status_code == 400
    assert "over 300 columns: import it by the command" in page.text


async def test_photos_without_any_beside_the_file_are_addresses_alone(
    web: Browser, gateway: FakeGateway
) -> None:
    content = b"id,title,images\na,A,/etc/passwd\nb,B,x.jpg\nc,C,https://shop.example/c.jpg\n"
    page = await looked_at(web, content)
    assert page.text.count("is not among the photos beside the file") == 2
    assert "sightline-console-" not in page.text
    page = await imported(web, page)
    assert "1 products stored, 2 rows rejected" in page.text
    assert "sightline-console-" not in page.text
    assert set(gateway.products) >= {"c"}


async def test_rejected_rows_that_are_too_many_are_told(
    web: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(product_files, "LARGEST_REJECTED", 10)
    page = await imported(web, await looked_at(web, OURS + b"w3,Cheap,abc,EUR\n"))
    assert "too many to be kept" in page.text
    assert "Download the rejected rows" not in page.text


async def test_imports_wait_until_other_files_are_read(console: Console, web: Browser) -> None:
    page = await looked_at(web, OURS)
    await console.reading.acquire()
    await console.reading.acquire()
    main = page.text.partition('value="import"')[2]
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', main)
    fields = {name: html.unescape(value) for name, value in found if name != "csrf"}
    sent = await web.send("/import", {"act": "import", **fields})
    assert "0 rows read" in (await web.follow(sent)).text
    console.reading.release()

    async def ended() -> bool:
        return "2 rows read" in (await web.follow(sent)).text

    await until(ended)


async def test_an_import_that_the_suite_is_slow_to_store_lets_other_files_be_read(
    console: Console, web: Browser, gateway: FakeGateway
) -> None:
    page = await looked_at(web, OURS)
    gateway.first_delay["UpsertProducts"] = 5.0
    await console.reading.acquire()
    importing = asyncio.create_task(imported(web, page))

    async def sending() -> bool:
        return bool(gateway.requests["UpsertProducts"])

    await until(sending)
    assert not console.reading.locked(), "an import that sends holds a place"
    console.reading.release()
    assert "2 products stored" in (await importing).text


async def test_corrected_rows_outlive_the_session(web: Browser, gateway: FakeGateway) -> None:
    await web.send("/sign-in", {"key": "slk_mine"})
    sent = await upload(web, b"a,b\nw1,\nw2,Two\n", "x.csv")
    chosen = httpx.QueryParams({"c:a": "id", "c:b": "title", "currency": "EUR"})
    page = await imported(web, await web.open(f"{sent.headers['location']}&{chosen}"))
    rows = {**hidden(page.text, "edited"), "rows": "a,b\nw1,One\n"}
    gateway.after["GetImage"] = (
        0, status(code_pb2.UNAUTHENTICATED, "who?", reason="TOKEN_EXPIRED")
    )  # fmt: skip
    page = await web.send("/import", rows)
    assert page.status_code == 401
    del gateway.after["GetImage"]
    kept = re.findall(r'name="(unsent-[^"]*)" value="([^"]*)"', page.text)
    unsent = {name: html.unescape(value) for name, value in kept}
    page = await web.send("/sign-in", {**unsent, "key": "slk_new", "next": "/import"})
    main = page.text.partition('action="/import"')[2]
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', main)
    again = {name: html.unescape(value) for name, value in found if name != "csrf"}
    sent = await web.send("/import", again)
    asked = parse_qs(urlsplit(sent.headers["location"]).query)
    assert (asked["c:a"], asked["currency"]) == (["id"], ["EUR"])
    await imported(web, await web.follow(sent))
    assert gateway.products["w1"].title == "One"


async def test_an_import_is_shown_with_its_own_catalog_alone(web: Browser) -> None:
    at = (await upload(web, OURS.replace(b"12.50", b"dear"))).headers["location"]
    begun = await web.send("/import", hidden((await web.open(at)).text, "import"))

    async def ended() -> bool:
        return "1 rows rejected" in (await web.follow(begun)).text

    await until(ended)
    await web.send("/catalogs", {"catalog": "shop-1"})
    page = await web.follow(begun)
    assert (page.status_code, "the catalog default" in page.text) == (404, True)
    assert "w1,Barolo" not in page.text, "its rows are not sent to shop-1"
    await web.send("/catalogs", {"catalog": "default"})
    assert "w1,Barolo" in (await web.follow(begun)).text


async def test_spellings_of_one_value_are_offered_once(web: Browser) -> None:
    content = b"SKU,Name,Couleur\nw1,A,Rot\nw2,B,rot\nw3,C,ROT \n"
    at = (await upload(web, content)).headers["location"]
    chosen = {"c:SKU": "id", "c:Name": "title", "c:Couleur": "attributes.color"}
    page = await web.open(f"{at}&{httpx.QueryParams(chosen)}")
    assert re.findall('name="(v:[^"]+)"', page.text) == ["v:couleur:Rot"], "one meaning for all"
