"""Plans of shelves: files, messages and values."""

import io
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from sightline.common.v1 import photo_pb2
from sightline.vision.v1 import shelf_pb2
from sightline_client.cli import app
from sightline_client.cli.show import shelf_page, shelf_plan
from sightline_client.convert import from_wire, shelf_plans
from sightline_client.errors import InvalidRequest
from sightline_client.files.model import FileRefused
from sightline_client.files.shelf_plans import read
from sightline_client.values.parts import PlannedProduct
from sightline_client.values.shelf_plans import (
    PlanComparison,
    PlanCount,
    PlanFinding,
    PlanFindingKind,
    StockLack,
    StockOptions,
    StockSuggestion,
)
from sightline_client.values.signals import Box
from tests.fakes.gateway import FakeGateway


def file(folder: Path, text: str, name: str = "plan.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_csv_plan_is_read(tmp_path: Path) -> None:
    path = file(tmp_path, "product_id;facings;row;position\nw1;2;1;1\nw2;;1;\nw3;3;;\n")

    assert read(path) == (
        PlannedProduct("w1", 2, 1, 1),
        PlannedProduct("w2", 1, 1),
        PlannedProduct("w3", 3),
    )


def test_a_csv_plan_may_have_parts_of_the_photo(tmp_path: Path) -> None:
    path = file(tmp_path, "product_id,left,top,right,bottom\nw1,0,0.5,0.25,1\nw2,,,,\n")

    assert read(path) == (
        PlannedProduct("w1", box=Box(0.0, 0.5, 0.25, 1.0)),
        PlannedProduct("w2"),
    )


def test_a_json_plan_is_read_as_over_http(tmp_path: Path) -> None:
    text = '{"products": [{"productId": "w1", "facings": 2, "shelf": {"row": 1, "position": 3}}]}'

    found = read(file(tmp_path, text, "plan.json"))

    assert found == (PlannedProduct("w1", 2, 1, 3),)
    assert shelf_plans.products_of(shelf_plans.plan(found)) == found


@pytest.mark.parametrize(
    ("text", "name", "problem"),
    [
        ("product_id,facings\nw1,many\n", "p.csv", "row 1: facings"),
        ("product_id,facings\nw1,-1\n", "p.csv", "row 1: facings"),
        ("product_id,facings\n,1\n", "p.csv", "row 1: product_id"),
        ("product_id,places\nw1,1\n", "p.csv", "row 1: places"),
        ("product_id,left\nw1,0.5\n", "p.csv", "row 1: left"),
        ("product_id,row,left,top,right,bottom\nw1,1,0,0,1,1\n", "p.csv", "row 1: row"),
        ("product_id,facings\nw1\n", "p.csv", "row 1"),
        ("", "p.csv", "no header"),
        ("product_id\n", "p.csv", "0 entries"),
        ("product_id\n" + "w\n" * 301, "p.csv", "301 entries"),
        ("{}", "p.json", "0 entries"),
        ("[" * 10_000, "p.json", "p.json"),
        ('{"products": [{"facings": "x"}]}', "p.json", "p.json"),
        ("\x00" * (1024 * 1024 + 1), "p.csv", "1 MiB"),
    ],
)
def test_a_bad_plan_is_refused_with_its_row(
    tmp_path: Path, text: str, name: str, problem: str
) -> None:
    with pytest.raises(FileRefused, match=problem):
        read(file(tmp_path, text, name))


def test_a_number_that_no_message_holds_names_its_entry() -> None:
    with pytest.raises(InvalidRequest, match=r"plan\.products\[1\]"):
        shelf_plans.plan([PlannedProduct("w1"), PlannedProduct("w2", 2**40)])


def test_a_comparison_becomes_a_value() -> None:
    kinds = shelf_pb2.PlanFinding
    found = from_wire.plan_comparison(
        shelf_pb2.PlanComparison(
            findings=[
                kinds(
                    kind=kinds.KIND_PRESENT,
                    product_id="w1",
                    detection=0,
                    planned=0,
                    row=1,
                    box=photo_pb2.Box(left=0, top=0, right=0.5, bottom=1),
                ),
                kinds(kind=kinds.KIND_MISSING, product_id="w2", planned=1),
                kinds(kind=99),  # type: ignore[arg-type]
            ],
            counts=[shelf_pb2.PlanCount(product_id="w1", planned=1, present=1)],
            row_count=1,
            compliance=0.5,
        )
    )

    first, second, third = found.findings
    assert first == PlanFinding(
        PlanFindingKind.PRESENT, "w1", 0, Box(0.0, 0.0, 0.5, 1.0), row=1, planned=0
    )
    assert (second.detection, second.box, second.planned) == (None, None, 1)
    assert third.kind is PlanFindingKind.UNSPECIFIED
    assert found.counts == (PlanCount("w1", 1, 1, 0, 0, 0, 0),)


def test_a_suggestion_without_a_quantity_says_what_is_missing() -> None:
    lacks = shelf_pb2.StockSuggestion
    some = from_wire.stock_suggestion(lacks(product_id="w1", quantity=0, quantity_low=0))
    none = from_wire.stock_suggestion(lacks(product_id="w1", lack=lacks.LACK_SALES))

    assert (some.quantity, some.lack) == (0, None)
    assert (none.quantity, none.lack) == (None, StockLack.SALES)
    assert shelf_plans.stock(StockOptions()).service_level == 0.95


WRONG = PlanComparison(
    findings=(
        PlanFinding(PlanFindingKind.PRESENT, "w1", 0, Box(0.1, 0.2, 0.3, 0.9), 1, 0),
        PlanFinding(PlanFindingKind.UNIDENTIFIED, "", 1, Box(0.4, 0.2, 0.6, 0.9), 1, None),
        PlanFinding(PlanFindingKind.MISSING, "w2", None, None, 0, 1),
    ),
    counts=(PlanCount("w1", 1, 1, 0, 0, 0, 0), PlanCount("w2", 1, 0, 1, 0, 0, 0)),
    row_count=1,
    compliance=0.5,
)
REORDER = (
    StockSuggestion("w1", 1, 4, 2, 7, 3.5, 1.5, 28, 56, None, "4 = 3.5 expected …"),
    StockSuggestion("w2", 0, None, None, None, 0, 0, 1, 56, StockLack.SALES, "not enough data"),
)
TITLES = {"w1": "Barolo <2019>", "w2": ""}


def test_a_comparison_is_shown_with_its_deviations(tmp_path: Path) -> None:
    console = Console(width=160, file=io.StringIO())

    console.print(*shelf_plan.comparison(WRONG, TITLES), *shelf_plan.suggestions(REORDER, TITLES))

    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "1 of 2 planned facings are present (50%). Rows in the photo: 1." in shown
    assert "Barolo <2019> (w1)" in shown
    assert "not in the catalog" in shown
    assert "4 (2–7)" in shown


def test_the_page_marks_each_finding_and_lists_it_as_text(tmp_path: Path) -> None:
    photo = io.BytesIO()
    Image.new("RGB", (40, 30), "white").save(photo, "JPEG")
    path = tmp_path / "new" / "shelf.html"

    shelf_page.write(path, photo.getvalue(), WRONG, REORDER, TITLES)

    text = path.read_text(encoding="utf-8")
    assert text.count("<title>") == 1 + 2  # the page's, and one for each rectangle
    assert 'x="10.00%" y="20.00%" width="20.00%" height="70.00%"' in text
    assert "Barolo &lt;2019&gt; (w1)" in text
    assert "<script" not in text
    for each in WRONG.findings:
        assert shelf_page.LOOKS[each.kind].sign in text
    assert "not enough data" in text


def test_looks_of_outcomes_differ_without_colours() -> None:
    looks = [shelf_page.LOOKS[kind] for kind in PlanFindingKind]

    assert len({look.sign for look in looks}) == len(looks)
    assert len({look.color for look in looks}) == len(looks)


def test_the_command_compares_with_a_plan_and_suggests_quantities(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    photo, page = tmp_path / "shelf.jpg", tmp_path / "shelf.html"
    photo.write_bytes(b"photo")
    kinds = shelf_pb2.PlanFinding
    compared = gateway.detected.plan_comparison
    for place, kind in enumerate((kinds.KIND_PRESENT, kinds.KIND_SURPLUS)):
        box = gateway.detected.detections[place].box
        compared.findings.add(kind=kind, product_id="wine-1", detection=place, box=box, row=1)
    compared.counts.add(product_id="wine-1", planned=1, present=1, surplus=1)
    gateway.detected.stock_suggestions.add(product_id="wine-1", on_shelf=2, quantity=3, text="why")
    options = ("--plan", str(file(tmp_path, "product_id,row\nwine-1,1\n")), "--reorder")

    done = CliRunner().invoke(
        app,
        [
            *("detect", str(photo), *options, "--lead-time", "3", "--html", str(page)),
            *("--target", gateway.target),
        ],
    )

    assert done.exit_code == 0, done.output
    assert "surplus" in done.output
    (request,) = gateway.requests["DetectProducts"]
    assert request.plan.products[0].shelf.row == 1
    assert (request.stock.lead_time_days, request.stock.service_level) == (3, 0.95)
    assert page.read_text("utf-8").count("<title>") == 1 + 2


def test_a_bad_plan_is_refused_before_the_call(gateway: FakeGateway, tmp_path: Path) -> None:
    photo = tmp_path / "shelf.jpg"
    photo.write_bytes(b"photo")
    plan = file(tmp_path, "product_id,facings\nw1,many\n")

    done = CliRunner().invoke(
        app, ["detect", str(photo), "--plan", str(plan), "--target", gateway.target]
    )

    assert done.exit_code != 0
    assert "row 1: facings" in " ".join(done.output.split())
    assert "DetectProducts" not in gateway.requests
