"""The demo of the shelf as one self-contained HTML page: comparison, count and alert."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sightline_client.cli.show import detected, page, shelf_page
from sightline_client.cli.show.detected import ShownBox
from sightline_client.values.detections import Detections
from sightline_client.values.watches import Alert

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class ShelfPhoto:
    """A photo with what was found in it."""

    photo: bytes
    found: Detections


def write(
    path: Path, counted: ShelfPhoto, compared: ShelfPhoto, frame: bytes, alerts: Sequence[Alert]
) -> None:
    """Write the page and its folder. `frame`: the one from which on the alerts' condition held.

    Raises ValueError without a comparison.
    """
    found = compared.found
    if found.plan_comparison is None:
        raise ValueError("the photo was not compared with a plan")
    titles = detected.titles_of((*found.products, *counted.found.products))
    values = shelf_page.values(
        compared.photo, found.plan_comparison, found.stock_suggestions, titles
    )
    template = page.environment(HERE, photo_of=lambda _: "").get_template("page.html.j2")
    text = template.render(
        values,
        heat_maps=(),
        counted=_counted(counted, titles),
        watched=_watched(frame, alerts),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _counted(shown: ShelfPhoto, titles: Mapping[str, str]) -> Mapping[str, object]:
    return {
        "photo": page.data_uri(shown.photo, shelf_page.HEIGHT),
        "boxes": detected.boxes(shown.found),
        "text": " ".join(detected.summary(shown.found)),
        "counts": [
            (titles.get(each.product_id, each.product_id), each.count)
            for each in shown.found.counts
        ],
    }


def _watched(frame: bytes, alerts: Sequence[Alert]) -> Mapping[str, object]:
    boxes = [
        ShownBox(
            100 * each.box.left,
            100 * each.box.top,
            100 * (each.box.right - each.box.left),
            100 * (each.box.bottom - each.box.top),
            each.rule_id,
            known=False,
        )
        for each in alerts
        if each.box is not None
    ]
    rows = [
        (each.kind, each.rule_id, _at(each.since_time), _at(each.frame_time), f"{each.score:.2f}")
        for each in alerts
    ]
    text = "The first frame without the bottle; the frame around its place is that of the alert."
    return {
        "photo": page.data_uri(frame, shelf_page.HEIGHT),
        "boxes": boxes,
        "text": text,
        "alerts": rows,
    }


def _at(time: datetime | None) -> str:
    return "" if time is None else f"{time:%Y-%m-%d %H:%M:%S} UTC"
