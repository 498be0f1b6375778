"""Products found in a photo, as a table and as a page."""

from collections.abc import Iterable, Mapping
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

PAGE_HEIGHT = 1400
"""Pixels of the photo on a page."""
FEW_PIXELS = 640
"""Longer side of a photo below which a larger one is advised."""
LIKELY = 0.1
"""Probability of a nearest product from which accepting it is advised."""


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
    box: ShownBox
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
    parts += [Text(line) for line in (*summary(value), *next_steps(value))]
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


def next_steps(value: Detections, size: tuple[int, int] | None = None) -> list[str]:
    """Return what to do if no product was found, a sentence each; none if one was. ``size``: width
    and height of the photo in pixels; None = unknown."""
    if any(each.product_id for each in value.detections):
        return []
    steps = []
    if size is not None and max(size) < FEW_PIXELS:
        width, height = size
        steps.append(
            _(
                "The photo has only {width} × {height} pixels: use the original, or a larger one.",
                width=width,
                height=height,
            )
        )
    if not value.detections:
        steps.append(_("Photograph the goods from the front, in even light, and from nearer."))
        return steps
    likeliest = max(each.probability for each in value.detections)
    if likeliest >= LIKELY:
        least = f"{int(likeliest * 20) / 20:.2f}"
        steps.append(
            _("If a nearest product is right, accept it with --min-probability {p}.", p=least)
        )
    if not value.degradations:
        steps.append(
            _("If a product is missing, import it with a photo: sightline products import --help")
        )
    return steps


def _lacking(value: Detections) -> list[str]:
    """Return how the page gets the parts of the photo that it lacks without Pillow."""
    if page.draws() or not value.detections:
        return []
    command = "pip install ./protos './client[vision]'"
    return [
        _(
            "For a picture of each object, in a checkout of the repository: {command}",
            command=command,
        )
    ]


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
    size = page.size_of(photo)
    made = page.environment(photo_of=page.thumbnails(photos))
    page.render(
        path,
        made.get_template("detections.html.j2"),
        title=title,
        lines=summary(value),
        steps=[*next_steps(value, size), *_lacking(value)],
        photo=page.data_uri(photo, PAGE_HEIGHT),
        ratio=page.ratio_of(size),
        detections=_shown(photo, value, guesses),
        heat_maps=heat_maps(value),
        counts=[
            (each.product_id, titles_of(value.products).get(each.product_id, ""), each.count)
            for each in value.counts
        ],
        unknown=value.unknown_count,
    )


def _shown(photo: bytes, value: Detections, guesses: Mapping[str, Product]) -> list[ShownDetection]:
    titles = titles_of(guesses.values())
    drawn = boxes(value, titles)
    crops = page.crops(photo, [each.box for each in value.detections])
    return [
        ShownDetection(number, crop, box, _guesses(each, titles))
        for number, (crop, box, each) in enumerate(
            zip(crops, drawn, value.detections, strict=True), 1
        )
    ]


def _guesses(value: ProductDetection, titles: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return the nearest products of a detection: id, title and similarity."""
    own = [(value.product_id, value.similarity)] if value.product_id else []
    others = [(each.product_id, each.similarity) for each in value.alternatives]
    return [
        (name, titles.get(name, ""), f"{similarity:.2f}") for name, similarity in [*own, *others]
    ]


def boxes(value: Detections, titles: Mapping[str, str] | None = None) -> list[ShownBox]:
    """Return the detections as a page draws them. ``titles``: of products that ``value.products``
    lacks, by id."""
    known = {**(titles or {}), **titles_of(value.products)}
    return [
        ShownBox(
            100 * each.box.left,
            100 * each.box.top,
            100 * (each.box.right - each.box.left),
            100 * (each.box.bottom - each.box.top),
            _label(each, known),
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
            f"{number}. {_label(each, titles)}",
            _(
                "Similarity {similarity:.3f}, of it {unplaced:+.3f} without a region.",
                each.heat_map,
            ),
        )
        for number, each in enumerate(value.detections, 1)
        if each.heat_map is not None
    ]


def _label(value: ProductDetection, titles: Mapping[str, str]) -> str:
    """Return a detection's product, or the nearest one, with its probability."""
    nearest = value.product_id or next((each.product_id for each in value.alternatives), "")
    if not nearest:
        return _("not in the catalog: no product is near")
    name, chance = plain(titles.get(nearest) or nearest), f"{value.probability:.0%}"
    if value.product_id:
        return f"{name} ({chance})"
    return _("not in the catalog: nearest is {name} ({chance})", name=name, chance=chance)


def titles_of(products: Iterable[Product]) -> Mapping[str, str]:
    """Return the products' titles by id."""
    return {each.product_id: each.title for each in products}
