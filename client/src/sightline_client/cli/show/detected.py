"""Products found in a photo, as a table and as a page."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from sightline_client.cli.language import _
from sightline_client.cli.show import page, shelf_plan, tables
from sightline_client.cli.show.grids import grid, plain
from sightline_client.values.detections import Detections
from sightline_client.values.products import Product

PAGE_HEIGHT = 900
"""Pixels of the photo on a page."""


@dataclass(frozen=True, slots=True)
class ShownBox:
    """A detection as a page draws it; lengths are percents of the photo's sides."""

    left: float
    top: float
    width: float
    height: float
    label: str
    known: bool


@dataclass(frozen=True, slots=True)
class ShownHeatMap:
    """A heat map as a page shows it."""

    picture: str
    """URI that contains it."""
    label: str
    figures: str


def table(value: Detections) -> RenderableType:
    """Show the products with their numbers, then what could not be named."""
    titles = titles_of(value.products)
    rows = [
        (each.product_id, titles.get(each.product_id, ""), str(each.count)) for each in value.counts
    ]
    parts: list[RenderableType] = []
    if rows:
        parts.append(grid((_("product"), _("title"), _("count")), rows))
    if value.plan_comparison is not None:
        parts += shelf_plan.comparison(value.plan_comparison, titles)
    parts += shelf_plan.suggestions(value.stock_suggestions, titles)
    parts += [Text(line) for line in summary(value)]
    return Group(*parts)


def summary(value: Detections) -> list[str]:
    """Return what was found, a sentence each."""
    found, unknown = len(value.detections), value.unknown_count
    if not found:
        lines = [_("No product was found in the photo.")]
    else:
        lines = [
            _(
                "{found} found, {known} of them products of the catalog.",
                found=found,
                known=found - unknown,
            )
        ]
    if value.truncated:
        lines.append(_("The photo shows more: repeat the command with a larger --top."))
    if value.small_objects:
        lines.append(_("The objects are small, so some may be missing: photograph a part."))
    return [*lines, *map(tables.degradation, value.degradations)]


def write(path: Path, title: str, photo: bytes, value: Detections) -> None:
    """Write a page with the photo and a box around each detection, its folder too."""
    made = page.environment(photo_of=lambda _: "")
    text = made.get_template("detections.html.j2").render(
        title=title,
        lines=summary(value),
        photo=page.data_uri(photo, PAGE_HEIGHT),
        boxes=boxes(value),
        heat_maps=heat_maps(value),
        counts=[
            (each.product_id, titles_of(value.products).get(each.product_id, ""), each.count)
            for each in value.counts
        ],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def boxes(value: Detections) -> list[ShownBox]:
    """Return the detections as a page draws them."""
    titles = titles_of(value.products)
    return [
        ShownBox(
            100 * each.box.left,
            100 * each.box.top,
            100 * (each.box.right - each.box.left),
            100 * (each.box.bottom - each.box.top),
            _label(titles.get(each.product_id) or each.product_id, each.probability),
            known=bool(each.product_id),
        )
        for each in value.detections
    ]


def heat_maps(value: Detections) -> list[ShownHeatMap]:
    """Return the heat maps as a page shows them, with the number of their detection."""
    titles = titles_of(value.products)
    return [
        ShownHeatMap(
            page.data_uri(each.heat_map.png, PAGE_HEIGHT),
            f"{number}. {_label(titles.get(each.product_id) or each.product_id, each.probability)}",
            _(
                "Similarity {similarity:.3f}, of it {unplaced:+.3f} without a region.",
                similarity=each.heat_map.similarity,
                unplaced=each.heat_map.unplaced,
            ),
        )
        for number, each in enumerate(value.detections, 1)
        if each.heat_map is not None
    ]


def _label(name: str, probability: float) -> str:
    shown = plain(name) if name else _("not in the catalog")
    return f"{shown} ({probability:.0%})"


def titles_of(products: tuple[Product, ...]) -> Mapping[str, str]:
    """Return the products' titles by id."""
    return {each.product_id: each.title for each in products}
