"""Writes a made shelf into a folder: photos, its plan, and made sales of its wines.

`python -m examples.wines.shelf.files FOLDER` writes as-planned.jpg; wrong.jpg, on which a bottle is
taken, one is replaced and two products have changed places; plan.csv; sales.csv, the purchases of
the 8 weeks before today; watch.json and bottle.jpg, a watch of the place of the bottle that is
taken; and frames, a camera's photos before and after.
"""

import csv
import io
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

from examples.wines.shelf.making import GAP_ON_SHELF, made, place

PLANNED = (
    ("100062", "100062", "102079", "102079", "181199", "181199"),
    ("126510", "126510", "116418", "116418", "175754", "175754"),
    ("149550", "149550", "165143", "165143", "102902", "102902"),
)
"""Wines by row, of those that the built-in space tells apart: it knows no label of a wine. Of all
wines it names two in three on such photos; a fitted space names more."""
TAKEN, REPLACED, BY = (0, 3), (1, 1), "175908"
"""Row and place of the bottle that is taken and of the one that is replaced, and by which wine."""
SWAPPED_ROW = 2
"""Row whose first two products have changed places."""
BEFORE, AFTER = 6, 6
"""Frames with and without the bottle that is taken."""
DAYS = 56
SEED = 20261126


def wrong() -> list[list[str]]:
    """Return the rows of the shelf on which not all is as planned."""
    rows = without_taken()
    rows[REPLACED[0]][REPLACED[1]] = BY
    row = rows[SWAPPED_ROW]
    row[:4] = [*row[2:4], *row[:2]]
    return rows


def without_taken() -> list[list[str]]:
    """Return the rows of the shelf when only the bottle is taken."""
    rows = [list(row) for row in PLANNED]
    rows[TAKEN[0]][TAKEN[1]] = GAP_ON_SHELF
    return rows


def watch() -> str:
    """Return the watch as JSON: the bottle is gone for two seconds."""
    target = {"image_file": "bottle.jpg", "min_similarity": 0.7}
    gone = {"target": target, "direction": "DIRECTION_GONE", "region_ids": ["place"]}
    rule = {"rule_id": "taken", "presence": gone, "hold": "2s", "cool_down": "0s"}
    regions = [{"region_id": "place", "box": place(PLANNED, *TAKEN)}]
    return json.dumps({"watch_id": "shelf", "regions": regions, "rules": [rule]}, indent=2)


def _bottle(photo: bytes) -> bytes:
    """Return the part of a photo that shows the bottle, as JPEG."""
    box, file = place(PLANNED, *TAKEN), io.BytesIO()
    with Image.open(io.BytesIO(photo)) as opened:
        (width, height), sides = opened.size, ("left", "top", "right", "bottom")
        pixels = [
            round(box[side] * size)
            for side, size in zip(sides, (width, height, width, height), strict=True)
        ]
        opened.crop((pixels[0], pixels[1], pixels[2], pixels[3])).save(file, "JPEG")
    return file.getvalue()


def plan() -> str:
    """Return the plan as CSV."""
    rows = [
        (wine, row.count(wine), number, position)
        for number, row in enumerate(PLANNED, 1)
        for position, wine in enumerate(dict.fromkeys(row), 1)
    ]
    return _csv(("product_id", "facings", "row", "position"), rows)


def sales(today: datetime) -> str:
    """Return the purchases of the days before `today` as CSV, different wines at different rates.
    The last wine is new: nobody has bought it."""
    return _csv(
        ("event_id", "type", "product_id", "user_id", "time", "quantity"), _purchases(today)
    )


def _purchases(today: datetime) -> Iterator[Sequence[object]]:
    chance = np.random.default_rng(SEED)
    wines = list(dict.fromkeys(wine for row in PLANNED for wine in row))[:-1]
    noon = datetime.combine(today.date(), time(12), UTC)
    for ago in range(1, DAYS + 1):
        for number, wine in enumerate(wines):
            for each in range(chance.poisson(0.2 + 0.2 * number)):
                day = (noon - timedelta(days=ago)).isoformat()
                name = f"shelf-{day[:10]}-{wine}-{each}"
                yield name, "PURCHASE", wine, f"buyer-{name}", day, 1


def _csv(
    header: Sequence[str], rows: Iterator[Sequence[object]] | Sequence[Sequence[object]]
) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def write(folder: Path) -> None:
    """Write the files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "as-planned.jpg").write_bytes(made(PLANNED))
    (folder / "wrong.jpg").write_bytes(made(wrong()))
    (folder / "plan.csv").write_text(plan(), encoding="utf-8")
    (folder / "sales.csv").write_text(sales(datetime.now(UTC)), encoding="utf-8")
    (folder / "watch.json").write_text(watch(), encoding="utf-8")
    (folder / "bottle.jpg").write_bytes(_bottle(made(PLANNED)))
    frames = folder / "frames"
    frames.mkdir(exist_ok=True)
    for number in range(BEFORE + AFTER):
        rows = PLANNED if number < BEFORE else without_taken()
        (frames / f"{number:02}.jpg").write_bytes(made(rows, seed=number))


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "shelf"))
