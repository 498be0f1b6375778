"""A photo of a shelf with the outcomes of its comparison, as a self-contained HTML page.

Outcomes differ by colour (those of Okabe and Ito, which people with colour blindness tell apart),
by line and by sign, and are listed as text below the photo.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from sightline_client.cli.language import _
from sightline_client.cli.show import page, shelf_plan
from sightline_client.cli.show.detected import ShownHeatMap
from sightline_client.values.shelf_plans import (
    PlanComparison,
    PlanFinding,
    PlanFindingKind,
    StockSuggestion,
)

HEIGHT = 1200
"""Pixels of the photo on the page, at most."""


@dataclass(frozen=True, slots=True)
class Look:
    """Look of an outcome."""

    sign: str
    color: str
    ink: str
    """Colour of the sign on `color`, with a contrast of at least 4.5."""
    dashes: str
    """Lengths of the line's dashes and gaps; "none" = a continuous line."""


LOOKS = MappingProxyType(
    {
        PlanFindingKind.UNSPECIFIED: Look("·", "#555555", "#ffffff", "2 6"),
        PlanFindingKind.PRESENT: Look("✓", "#009e73", "#000000", "none"),
        PlanFindingKind.MISSING: Look("?", "#d55e00", "#000000", "14 8"),
        PlanFindingKind.SURPLUS: Look("+", "#0072b2", "#ffffff", "4 5"),
        PlanFindingKind.MISPLACED: Look("↕", "#cc79a7", "#000000", "18 6 4 6"),
        PlanFindingKind.OUT_OF_ORDER: Look("↔", "#e69f00", "#000000", "10 4"),
        PlanFindingKind.UNIDENTIFIED: Look("✕", "#000000", "#ffffff", "2 6"),
    }
)


@dataclass(frozen=True, slots=True)
class Mark:
    """A finding on the page."""

    number: int
    """From 1, in the order of the findings."""
    text: str
    look: Look
    row: int
    corners: tuple[float, float, float, float] | None
    """Left, top, width and height in percent of the photo; None without a rectangle."""


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """An outcome with the number of its findings."""

    text: str
    look: Look
    count: int


def write(
    path: Path,
    photo: bytes,
    compared: PlanComparison,
    stock: Sequence[StockSuggestion],
    titles: Mapping[str, str],
    *,
    heat_maps: Sequence[ShownHeatMap] = (),
) -> None:
    """Write the page and its folder. ``titles``: of products, by id."""
    template = page.environment(photo_of=lambda _product_id: "").get_template("shelf.html.j2")
    text = template.render(values(photo, compared, stock, titles), heat_maps=heat_maps)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def values(
    photo: bytes,
    compared: PlanComparison,
    stock: Sequence[StockSuggestion],
    titles: Mapping[str, str],
) -> dict[str, object]:
    """Return the values of shelf.html.j2, but for heat maps. ``titles``: of products, by id."""
    return {
        "title": _("Shelf and plan"),
        "lead": shelf_plan.summary(compared),
        "photo": page.data_uri(photo, HEIGHT),
        "ratio": page.ratio_of(page.size_of(photo)),
        "marks": [_mark(number, each, titles) for number, each in enumerate(compared.findings, 1)],
        "legend": legend(compared),
        "kinds": [_(shelf_plan.KINDS[kind]) for kind in shelf_plan.COUNTED],
        "counts": [
            (shelf_plan.titled(each.product_id, titles), each.planned, shelf_plan.numbers(each))
            for each in compared.counts
        ],
        "stock": [
            (
                shelf_plan.titled(each.product_id, titles),
                each.on_shelf,
                shelf_plan.quantity(each),
                each.text,
            )
            for each in stock
        ],
    }


def legend(compared: PlanComparison) -> list[LegendEntry]:
    """Return the outcomes that occur, with their numbers."""
    count = Counter(each.kind for each in compared.findings)
    return [
        LegendEntry(_(shelf_plan.KINDS[kind]), LOOKS[kind], count[kind])
        for kind in PlanFindingKind
        if count[kind]
    ]


def _mark(number: int, found: PlanFinding, titles: Mapping[str, str]) -> Mark:
    box = found.box
    corners = None
    if box is not None:
        width, height = box.right - box.left, box.bottom - box.top
        corners = (100 * box.left, 100 * box.top, 100 * width, 100 * height)
    return Mark(number, shelf_plan.named(found, titles), LOOKS[found.kind], found.row, corners)
