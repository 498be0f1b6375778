"""Tables fit the terminal: columns are left out before a word is broken."""

import io
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from sightline.common.v1 import audit_service_pb2, product_pb2
from sightline.gateway.v1.recommendation_service_pb2 import (
    ListResponse,
    RecommendResponse,
    RecommendValuesResponse,
    SearchResponse,
)
from sightline_client.cli.base import running
from sightline_client.cli.show import experiments, inspected, listings, shelves, space_tables
from sightline_client.cli.show.grids import grid, phrase
from sightline_client.cli.show.tables import answer
from sightline_client.convert import from_wire
from sightline_client.values.experiments import ExperimentList
from tests.fakes import gateway_messages

MODEL = "lfm-fbb9e039396aee83"
ID = "a3f1" * 16
"""As long as the id of a photo."""


def lines(renderable: RenderableType, width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(renderable)
    return [line.rstrip() for line in console.export_text().splitlines()]


def table(*, spare: tuple[str, ...] = ()) -> RenderableType:
    row = (MODEL, "serves", "2026-11-30 04:08:23Z", "1,213", "ndcg@10 0.312 (n=1,204), auc 0.71")
    columns = ("model", "state", "trained", "events", "quality")
    return grid(columns, [row], right=("events",), spare=spare)


@pytest.mark.parametrize("width", [24, 40, 60, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal_and_no_id_is_broken(width: int) -> None:
    found = lines(table(spare=("trained", "events")), width)
    assert max(map(cell_len, found)) <= width
    assert any(MODEL in line for line in found)


def test_the_columns_that_can_be_spared_go_first_and_are_named() -> None:
    found = lines(table(spare=("trained", "events")), 82)
    assert "events" not in found[1]
    assert found[1].split() == ["model", "state", "trained", "quality"]
    assert found[-1] == "Left out, for lack of width: events. --json has all."
    narrow = lines(table(spare=("trained", "events")), 60)
    assert narrow[1].split() == ["model", "state", "quality"]


def test_without_spare_columns_those_on_the_right_go() -> None:
    found = lines(table(), 40)
    assert found[1].split() == ["model", "state"]
    assert "trained, events, quality" in " ".join(found)


def test_a_table_with_room_keeps_each_row_on_one_line() -> None:
    found = lines(table(), 120)
    assert len([line for line in found if line]) == 3
    assert "Left out" not in " ".join(found)


def test_an_id_as_long_as_that_of_a_photo_stays_whole_beside_text() -> None:
    made = grid(("photo", "reason"), [(ID, "the model withdrew her consent in November")])
    found = lines(made, 100)
    assert any(ID in line for line in found)
    assert "the model withdrew" in " ".join(found)
    assert max(map(cell_len, found)) <= 100


def test_chinese_text_without_blanks_is_broken_between_characters() -> None:
    made = grid(("商品", "标题"), [(MODEL, "赤霞珠干红葡萄酒" * 8)])
    found = lines(made, 60)
    assert max(map(cell_len, found)) <= 60
    assert "标题" in found[1]


def test_unprintable_characters_are_replaced() -> None:
    assert "\x1b" not in "".join(lines(grid(("a",), [("\x1b[31mred",)]), 40))


def test_a_cell_of_two_lines_has_them() -> None:
    message = gateway_messages.answer()
    message.results[0].product.availability = product_pb2.AVAILABILITY_OUT_OF_STOCK
    message.results[0].product.title = "red\nwine"
    text = "\n".join(lines(answer(from_wire.recommendations(message)), 200))
    assert "(sold out)" in text
    assert text.count("\N{REPLACEMENT CHARACTER}") == 1, "that of the title"


@pytest.mark.parametrize(("width", "left_out"), [(100, True), (200, False)])
def test_parts_are_explained_where_they_are_shown(width: int, *, left_out: bool) -> None:
    message = gateway_messages.answer()
    result = message.results[0]
    result.product.category_path[:] = ["Wine", "Red wine", "Italy", "Piedmont", "Barolo"]
    result.product.title = "Barolo Riserva of the old vineyard above the river"
    result.reasons[0].text = "Because you looked at Barbera d'Asti Superiore"
    text = " ".join(lines(answer(from_wire.recommendations(message)), width))
    assert ("Left out, for lack of width" in text) is left_out
    assert ("looks like the query" in text) is not left_out
    assert "raw score: the sum of its parts" in text


EMPTY: dict[str, RenderableType] = {
    "jobs": listings.jobs([]),
    "audit": listings.audit(audit_service_pb2.ListAuditEntriesResponse()),
    "backups": listings.backups([]),
    "photos": listings.takedowns([]),
    "catalogs": listings.catalogs([]),
    "aliases": listings.catalog_aliases([]),
    "models": listings.models([]),
    "generations": listings.generations([]),
    "products": listings.products([]),
    "mismatches": listings.products([], mismatched=True),
    "references": inspected.references([]),
    "spaces": space_tables.spaces([]),
    "experiments": experiments.listing(ExperimentList((), "")),
    "answer": answer(from_wire.recommendations(RecommendResponse())),
    "results": listings.found(from_wire.found(SearchResponse())),
    "listing": listings.listed(from_wire.listing(ListResponse())),
    "values": shelves.values(from_wire.recommended_values(RecommendValuesResponse())),
}


@pytest.mark.parametrize("kind", EMPTY)
def test_empty_lists_say_so_alike(kind: str) -> None:
    assert re.fullmatch(r"No [a-z][a-z ]+(: .+|)\.", lines(EMPTY[kind], 100)[0])


@pytest.mark.parametrize(
    ("columns", "width"), [("72", 72), ("", 120), ("wide", 120), ("0", 120), ("200", 200)]
)
def test_a_pipe_is_as_wide_as_columns_says(
    monkeypatch: pytest.MonkeyPatch, columns: str, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    assert running.console().width == width


def test_values_of_a_phrase_show_no_terminal_escapes() -> None:
    shown = phrase(
        "{file}: {code}, {size:,} bytes",
        SimpleNamespace(code="red\x1b[31m\n"),
        file=Path("a\x07"),
        size=1_000,
    )

    assert shown.plain == "a\ufffd: red\ufffd[31m\ufffd, 1,000 bytes"
