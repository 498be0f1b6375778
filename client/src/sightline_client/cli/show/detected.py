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
from sightline_client.values.signals import ProductDetection

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
class ShownDetection:
    """A detection with the products that it may show."""

    number: int
    crop: str
    """Its part of the photo as a URI; "" = none."""
    label: str
    known: bool
    guesses: list[tuple[str, str, str]]
    """Id, title and similarity of the nearest products, nearest first."""


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


def guessed(value: Detections) -> list[str]:
    """Return the products that the page shows beside detections: found ones and next guesses."""
    found = [each.product_id for each in value.detections if each.product_id]
    next_ = [one.product_id for each in value.detections for one in each.alternatives]
    return [*dict.fromkeys([*found, *next_])]


def write(
    path: Path,
    shot: tuple[str, bytes],
    value: Detections,
    guesses: Mapping[str, Product],
    photos: Mapping[str, bytes],
) -> None:
    """Write a page with the photo, a box around each detection, and what each may be; its folder
    too. ``shot``: the photo's name and content; ``guesses``, ``photos``: of the products of
    ``guessed``, by id."""
    title, photo = shot
    made = page.environment(photo_of=page.thumbnails(photos))
    page.render(
        path,
        made.get_template("detections.html.j2"),
        title=title,
        lines=summary(value),
        photo=page.data_uri(photo, PAGE_HEIGHT),
        boxes=boxes(value),
        detections=_shown(photo, value, guesses),
        heat_maps=heat_maps(value),
        counts=[
            (each.product_id, titles_of(value.products).get(each.product_id, ""), each.count)
            for each in value.counts
        ],
    )


def _shown(photo: bytes, value: Detections, guesses: Mapping[str, Product]) -> list[ShownDetection]:
    cut = page.crops(photo, [each.box for each in value.detections])
    return [
        ShownDetection(number, crop, box.label, box.known, _guesses(each, guesses))
        for number, (crop, box, each) in enumerate(
            zip(cut, boxes(value), value.detections, strict=True), 1
        )
    ]


def _guesses(
    value: ProductDetection, products: Mapping[str, Product]
) -> list[tuple[str, str, str]]:
    """Return the nearest products of a detection: id, title and similarity."""
    own = [(value.product_id, value.similarity)] if value.product_id else []
    others = [(each.product_id, each.similarity) for each in value.alternatives]
    return [
        (name, products[name].title if name in products else "", f"{similarity:.2f}")
        for name, similarity in [*own, *others]
    ]


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
                each.heat_map,
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
