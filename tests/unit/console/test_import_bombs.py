"""Workbooks that are small as packed and large as read: a sentence, and nothing else happens."""

import asyncio
import io
import re
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from sightline_client.files import workbook_parts
from sightline_console.screens import product_files
from sightline_console.screens.visit import Console
from tests.unit.console.conftest import Browser
from tests.unit.console.uploads import OURS, looked_at, upload

KINDS = "http://schemas.openxmlformats.org"
MAIN = f'xmlns="{KINDS}/spreadsheetml/2006/main"'
OFFICE = f"{KINDS}/officeDocument/2006/relationships"
RELATIONS = f'xmlns="{KINDS}/package/2006/relationships"'
PART = "application/vnd.openxmlformats-officedocument.spreadsheetml"
SHEETS = '<sheets><sheet name="S" sheetId="1" r:id="r1"/></sheets>'
BOOK = f'<workbook {MAIN} xmlns:r="{OFFICE}">{SHEETS}</workbook>'
CELL = '<c t="inlineStr"><is><t>{}</t></is></c>'
ROW = f"<row>{CELL.format('w1')}{CELL.format('Barolo')}</row>"
ENTITIES = (f'<!ENTITY a{n} "{10 * f"&a{n - 1};"}">' for n in range(1, 11))
LAUGHS = f'<!DOCTYPE l [<!ENTITY a0 "ha">{"".join(ENTITIES)}]>'
"""Of which a10 is ten thousand million laughs."""
FOREIGN = '<!DOCTYPE l [<!ENTITY a10 SYSTEM "file:///etc/passwd">]>'


def book(
    rows: str = ROW,
    texts: str = "<si><t>text</t></si>",
    *,
    before: Mapping[str, str] = {},
    workbook: str = BOOK,
    sheet: str = "xl/worksheets/sheet1.xml",
    encoding: str = "utf-8",
    more: Mapping[str, str] = {},
    relations: str = "",
    book: str = "xl/workbook.xml",
) -> bytes:
    """Return a workbook. `before`: part → what comes before its first element. `more`: further
    parts. `relations`: further ones of the book, whose part is `book`."""
    head = f"<row>{CELL.format('id')}{CELL.format('title')}</row>"
    overrides = (
        (book, f"{PART}.sheet.main+xml"),
        (sheet, f"{PART}.worksheet+xml"),
        ("xl/sharedStrings.xml", f"{PART}.sharedStrings+xml"),
    )
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{KINDS}/package/2006/content-types">'
        '<Default Extension="xml" ContentType="application/xml"/>'
        '<Default Extension="png" ContentType="image/png"/>'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package'
        '.relationships+xml"/>'
        + "".join(f'<Override PartName="/{name}" ContentType="{of}"/>' for name, of in overrides)
        + "</Types>",
        "_rels/.rels": f'<Relationships {RELATIONS}><Relationship Id="r1"'
        f' Type="{OFFICE}/officeDocument" Target="{book}"/></Relationships>',
        book: workbook,
        f"{'/_rels/'.join(book.rsplit('/', 1))}.rels": f"<Relationships {RELATIONS}>"
        f'<Relationship Id="r1" Type="{OFFICE}/worksheet" Target="/{sheet}"/>'
        f'<Relationship Id="r2" Type="{OFFICE}/sharedStrings" Target="sharedStrings.xml"/>'
        f"{relations}</Relationships>",
        sheet: f"<worksheet {MAIN}><sheetData>{head}{rows}</sheetData></worksheet>",
        "xl/sharedStrings.xml": f"<sst {MAIN}>{texts}</sst>",
        **more,
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in parts.items():
            of = encoding if name == sheet else "utf-8"
            whole = f'<?xml version="1.0" encoding="{of}"?>{before.get(name, "")}{text}'
            made.writestr(name, whole.encode(of))
    return file.getvalue()


NAMED = '<row><c t="s"><v>0</v></c></row>'
"""A row whose text is in another part."""
SHEET, TEXTS = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"
LAUGH = "<row>" + CELL.format("&a10;") + CELL.format("b") + "</row>"
FAR = '<row><c r="XFD{0}" t="inlineStr"><is><t>x</t></is></c></row>'
BOMBS: Mapping[str, tuple[Callable[[], bytes], str]] = {
    "texts of entities": (
        lambda: book(NAMED, "<si><t>&a10;</t></si>", before={TEXTS: LAUGHS}),
        "xl/sharedStrings.xml declares entities",
    ),
    "cells of entities": (lambda: book(LAUGH, before={SHEET: LAUGHS}), "declares entities"),
    "a name of entities": (
        lambda: book(workbook=BOOK.replace('"S"', '"&a10;"'), before={"xl/workbook.xml": LAUGHS}),
        "xl/workbook.xml declares entities",
    ),
    "a file of this machine": (lambda: book(LAUGH, before={SHEET: FOREIGN}), "declares entities"),
    "entities far behind": (
        lambda: book(LAUGH, before={SHEET: f"<!--{' ' * 2**21}-->{LAUGHS}"}),
        "declares entities",
    ),
    "entities in another encoding": (
        lambda: book(LAUGH, before={SHEET: LAUGHS}, encoding="utf-16"),
        "is in an encoding that is not read",
    ),
    "a sheet that is called a picture": (
        lambda: book("<row/>" * 2**20, sheet="xl/media/a.png"),
        "has over 250,000 rows, also empty ones",
    ),
    "a sheet in another encoding that is called a picture": (
        lambda: book("<row/>" * 2**20, sheet="xl/media/a.png", encoding="utf-16"),
        "is in an encoding that is not read",
    ),
    "a million empty rows": (
        lambda: book(ROW + "<row/>" * (2**20 - 2)),
        "has over 250,000 rows, also empty ones",
    ),
    "empty rows with a prefix": (
        lambda: book(f"<x:row xmlns:x{MAIN[5:]}/>" * 250_001),
        "has over 250,000 rows",
    ),
    "empty rows with an odd prefix": (
        lambda: book(f"<x-y.z:row xmlns:x-y.z{MAIN[5:]}/>" * 250_001),
        "has over 250,000 rows",
    ),
    "empty rows with a prefix that is no ASCII": (
        lambda: book(f"<é:row xmlns:é{MAIN[5:]}/>" * 250_001),
        "has over 250,000 rows",
    ),
    "wide rows whose columns are hidden": (
        lambda: book("".join(map(FAR.replace("XFD", "&#88;FD").format, range(2, 3_000)))),
        "hides which cell is meant",
    ),
    "wide rows whose columns are hidden at the end": (
        lambda: book("".join(map(FAR.replace("XFD", "XF&#x44;").format, range(2, 3_000)))),
        "hides which cell is meant",
    ),
    "elements beside rows": (
        lambda: book(ROW + '<a b=""/>' * 600_000),
        "over 500,000 elements beside rows, cells and texts",
    ),
    "elements beside texts": (
        lambda: book(texts='<a b=""/>' * 600_000),
        "over 500,000 elements beside rows, cells and texts",
    ),
    "elements in a row": (
        lambda: book(ROW + f"<row>{'<c/>' * 300_000}</row>"),
        "over 200,000 elements",
    ),
    "elements that no row ends": (
        lambda: book(ROW + "<x>" + "<c/>" * 300_000 + "</x>"),
        "over 200",
    ),
    "rows within a row": (
        lambda: book(f"<row>{('<c/>' * 50_000 + '<row/>') * 10}</row>"),
        "over 200,000 elements",
    ),
    "elements within one another": (lambda: book("<c>" * 300 + "</c>" * 300), "64 levels"),
    "a row of empty cells": (
        lambda: book(f"<row>{'<c/>' * 6_000_001}</row>"),
        "over 6,000,000 cells",
    ),
    "wide rows": (lambda: book("".join(map(FAR.format, range(2, 3_000)))), "behind column 300"),
    "rows to column AA": (
        lambda: book(FAR.format(2).replace("XFD", "AA") + "<row/>" * 50_000),
        "has over 6,000,000 cells",
    ),
    "a million texts": (lambda: book(texts="<si><t/></si>" * 1_200_000), "has over 300,000 texts"),
    "texts of a page each, a million times": (
        lambda: book(NAMED * 10**6, f"<si><t>{'a' * 30_000}</t></si>"),
        "has over 250,000 rows",
    ),
    "a row behind all rows": (
        lambda: book(f'<row r="999999999">{CELL.format("x")}</row>'),
        "has over 1,048,576 rows",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
async def test_a_bomb_is_told_in_a_sentence_within_bounds(web: Browser, name: str) -> None:
    make, expected = BOMBS[name]
    content = make()
    assert len(content) < 2**20, "small as packed"
    at = (await upload(web, content, "bomb.xlsx")).headers["location"]
    page = await web.open(at)
    assert page.status_code == 400
    (told,) = re.findall(r'<div id="file-says" class="wrong"><pre>([^<]+)</pre>', page.text)
    assert expected in told
    assert "write a CSV file" in told, "and what to do"
    assert (await looked_at(web, OURS)).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("cells of entities", "a million empty rows", "a million texts", "elements beside texts"),
        *("elements in a row", "elements that no row ends", "rows within a row"),
    ],
)
def test_a_bomb_takes_little_memory(name: str) -> None:
    content = BOMBS[name][0]()
    tracemalloc.start()
    try:
        with pytest.raises(product_files.FileUnread):
            product_files.preview("bomb.xlsx", content, product_files.Chosen())
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_what_stands_beside_rows_is_not_kept_in_memory() -> None:
    """The elements have names that a sheet has, so that it is within all limits."""
    rows = (f"{'<v/>' * 9_000}<row>{'<c/>' * 3_000}</row>") * 20
    content = book(ROW + rows)
    tracemalloc.start()
    try:
        found = product_files.preview("bomb.xlsx", content, product_files.Chosen())
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()
    assert len(found.rows) == 1


def test_a_sheet_of_a_chart_is_not_read() -> None:
    chart = f'<Relationship Id="r3" Type="{OFFICE}/chartsheet" Target="/xl/worksheets/sheet9.xml"/>'
    sheets = SHEETS.replace("</sheets>", '<sheet name="C" sheetId="2" r:id="r3"/></sheets>')
    content = book(
        workbook=BOOK.replace(SHEETS, sheets),
        more={"xl/worksheets/sheet9.xml": "<chartsheet><unclosed></chartsheet>"},
        relations=chart,
    )
    assert len(product_files.preview("a.xlsx", content, product_files.Chosen()).rows) == 1


def test_a_book_that_is_called_a_sheet_is_no_larger_than_a_book() -> None:
    large = BOOK.replace("<sheets>", " " * (5 * 2**20) + "<sheets>")
    content = book(workbook=large, book="xl/worksheets/book.xml")
    with pytest.raises(product_files.FileUnread, match=r"book.xml has [0-9,]+ bytes unpacked"):
        product_files.preview("a.xlsx", content, product_files.Chosen())


def test_many_parts_that_are_large_together_are_not_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts = {f"xl/worksheets/sheet{n}.xml": f"<a>{' ' * 6_000}</a>" for n in range(2, 9)}
    monkeypatch.setattr(product_files, "LIMITS", replace(product_files.LIMITS, bytes=40_000))
    monkeypatch.setattr(workbook_parts, "problem", None)  # fails if it is called
    with pytest.raises(product_files.FileUnread, match=r"has [0-9,]+ bytes unpacked"):
        product_files.preview("bomb.xlsx", book(more=parts), product_files.Chosen())


async def test_a_workbook_with_all_that_is_looked_at_is_read(web: Browser) -> None:
    page = await looked_at(web, book(), "a.xlsx")
    assert (page.status_code, "Barolo" in page.text) == (200, True)
    page = await looked_at(web, book(ROW + "<row/>" * 999), "a.xlsx")
    assert (page.status_code, "Barolo" in page.text) == (200, True)


def test_a_fault_of_a_file_does_not_tell_where_it_is_on_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing(path: Path, _known: object) -> None:
        raise ValueError(f"could not read strings from {path}.")  # as the library does

    monkeypatch.setattr(product_files.opening, "look", failing)
    with pytest.raises(product_files.FileUnread) as raised:
        product_files.preview("my wines.csv", OURS, product_files.Chosen())
    assert str(raised.value) == "could not read strings from my-wines.csv."


@pytest.mark.slow
async def test_other_requests_are_served_while_a_large_workbook_is_read(
    console: Console, web: Browser
) -> None:
    rows = "".join(f"<row>{CELL.format(n)}{CELL.format('Wine')}</row>" for n in range(40_000))
    at = (await upload(web, book(rows), "a.xlsx")).headers["location"]
    reading = asyncio.create_task(web.open(at))
    served = 0
    while not reading.done():
        assert (await web.open("/healthz")).status_code == 200
        served += 1
        await asyncio.sleep(0.01)
    assert served > 2, "a reading that blocks the loop lets one pass before it, and one after it"
    assert (await reading).status_code == 200
    assert not console.reading.locked()
