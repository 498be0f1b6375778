"""The made shelf: its files are those of its plan."""

import csv
import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from examples.wines.catalogue import load_wines
from examples.wines.shelf import files, making, page
from sightline.vision.v1.detection_service_pb2 import DetectProductsResponse
from sightline.vision.v1.watch_pb2 import Alert
from sightline_client.convert import from_wire
from sightline_client.files.shelf_plans import read

TODAY = datetime(2026, 11, 26, 7, tzinfo=UTC)


@pytest.mark.full
def test_the_plan_is_that_of_the_photo(tmp_path: Path) -> None:
    files.write(tmp_path)

    plan = read(tmp_path / "plan.csv")

    assert sum(each.facings for each in plan) == 18
    assert {each.product_id for each in plan} <= {wine.id for wine in load_wines()}
    assert {each.name for each in tmp_path.iterdir()} == {
        "as-planned.jpg",
        "wrong.jpg",
        "plan.csv",
        "sales.csv",
        "watch.json",
        "bottle.jpg",
        "frames",
    }
    assert len(list((tmp_path / "frames").iterdir())) == files.BEFORE + files.AFTER


@pytest.mark.full
def test_the_watched_place_is_that_of_the_bottle_that_is_taken(tmp_path: Path) -> None:
    files.write(tmp_path)
    box = making.place(files.PLANNED, *files.TAKEN)
    with (
        Image.open(tmp_path / "as-planned.jpg") as shelf,
        Image.open(tmp_path / "bottle.jpg") as cut,
    ):
        assert abs((box["right"] - box["left"]) * shelf.width - cut.width) <= 1
        assert abs((box["bottom"] - box["top"]) * shelf.height - cut.height) <= 1
    empty = [[making.GAP_ON_SHELF] * len(row) for row in files.PLANNED]
    alone = [list(row) for row in empty]
    alone[files.TAKEN[0]][files.TAKEN[1]] = files.PLANNED[files.TAKEN[0]][files.TAKEN[1]]
    with_bottle, without = (Image.open(io.BytesIO(making.made(rows))) for rows in (alone, empty))
    changed = ImageChops.difference(with_bottle, without).convert("L")
    left, top, right, bottom = changed.point(lambda each: 255 * (each > 80)).getbbox() or (0,) * 4
    inside = (left + right) / 2 / without.width, (top + bottom) / 2 / without.height
    assert box["left"] < inside[0] < box["right"]
    assert box["top"] < inside[1] < box["bottom"]


def test_a_photo_is_the_same_every_time() -> None:
    rows = [["100062", making.GAP_ON_SHELF, "100191"]]

    photo = making.made(rows)

    assert photo == making.made(rows)
    with Image.open(io.BytesIO(photo)) as opened:
        assert opened.size[0] > opened.size[1]


def test_sales_are_of_whole_days_before_today() -> None:
    rows = list(csv.DictReader(io.StringIO(files.sales(TODAY))))

    times = [datetime.fromisoformat(row["time"]) for row in rows]
    assert max(times).date() < TODAY.date()
    assert (TODAY.date() - min(times).date()).days == files.DAYS
    assert len({row["event_id"] for row in rows}) == len(rows)
    assert files.PLANNED[-1][-1] not in {row["product_id"] for row in rows}


def test_the_page_has_the_comparison_the_count_and_the_alert(tmp_path: Path) -> None:
    found = DetectProductsResponse()
    box = {"left": 0.1, "top": 0.2, "right": 0.3, "bottom": 0.6}
    found.detections.add(product_id="100062", probability=0.9, box=box)
    found.counts.add(product_id="100062", count=1)
    found.products.add(product_id="100062", title="Merlot <2019>")
    counted = page.ShelfPhoto(making.made([["100062"]]), from_wire.detections(found))
    found.plan_comparison.counts.add(product_id="100062", planned=2, present=1, missing=1)
    compared = page.ShelfPhoto(counted.photo, from_wire.detections(found))
    alert = Alert(kind=Alert.KIND_STARTED, rule_id="taken", score=0.25, box=box)
    alert.since_time.FromSeconds(1_790_000_000)
    alert.frame_time.FromSeconds(1_790_000_002)

    page.write(
        tmp_path / "new" / "shelf.html",
        counted=counted,
        compared=compared,
        frame=counted.photo,
        alerts=[from_wire.alert(alert)],
    )

    text = (tmp_path / "new" / "shelf.html").read_text("utf-8")
    assert text.count('x="10.00%" y="20.00%" width="20.00%" height="40.00%"') == 2 * 2
    assert text.count("data:image/jpeg") == 3
    assert "Merlot &lt;2019&gt;" in text
    assert "<td>2026-09-21 14:13:20 UTC</td><td>2026-09-21 14:13:22 UTC</td><td>0.25</td>" in text
    assert "<script" not in text
