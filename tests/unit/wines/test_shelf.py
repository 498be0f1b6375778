"""The made shelf: its files are those of its plan."""

import csv
import io
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image, ImageChops

from examples.wines.catalogue import load_wines
from examples.wines.shelf import files, making
from sightline_client.files.shelf_plans import read

TODAY = datetime(2026, 11, 26, 7, tzinfo=UTC)


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
