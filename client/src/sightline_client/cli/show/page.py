"""Answers as a self-contained HTML page: no scripts, no external files."""

import base64
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from sightline_client.cli.language import CHINESE, _, translated
from sightline_client.cli.show import explained, tables
from sightline_client.values.answers import (
    FoundProduct,
    Listing,
    Recommendations,
    RecommendedProduct,
    ScoreFeature,
    ScorePart,
    SearchResults,
    StageTiming,
)
from sightline_client.values.catalog import Availability
from sightline_client.values.products import Product
from sightline_client.values.signals import Box

if TYPE_CHECKING:
    from jinja2 import Environment, Template
    from PIL.Image import Image

Answered: TypeAlias = Recommendations | SearchResults | Listing
"""Answers with products."""
Shown: TypeAlias = RecommendedProduct | FoundProduct

LEAST_SHARE = 0.01
"""Share of a product's largest part below which a part is not drawn."""
HEIGHT = 240
"""Pixels of a photo on the page; the originals would make it several times larger."""
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none';"
    " form-action 'none'"
)
"""Content-Security-Policy of every page: browsers run no script and load nothing, whatever text of
a catalog is on it."""
_KINDS = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG", "image/png"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
)


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of a small chart, in percent of the whole width."""

    label: str
    left: float
    width: float
    text: str
    features: tuple[ScoreFeature, ...] = ()
    """Features that contribute to it; empty = not requested."""


@dataclass(frozen=True, slots=True)
class Section:
    """One answer of a page."""

    answer: Answered | None
    """None if it failed."""
    title: str = ""
    problem: str = ""
    """Why it failed."""
    products: Sequence[tuple[Product, str]] = ()
    """In place of an answer: products of the catalog, each with a note; "" = none."""


@dataclass(frozen=True, slots=True)
class Head:
    """Head of a page: facts of its request."""

    title: str
    facts: Sequence[tuple[str, str]] = ()
    """Names and values, such as the shopper's; empty values are left out."""
    lead: Sequence[str] = ()
    queries: Sequence[tuple[str, bytes]] = ()
    """Photos of the query, each with its caption."""


def write(path: Path, head: Head, sections: Sequence[Section], photos: Mapping[str, bytes]) -> None:
    """Write the page and its folder. ``photos``: a photo of each product, by id."""
    page = environment(photo_of=thumbnails(photos))
    render(
        path,
        page.get_template("page.html.j2"),
        head=head,
        queries=[(caption, data_uri(photo)) for caption, photo in head.queries],
        sections=sections,
    )


def thumbnails(photos: Mapping[str, bytes], height: int = HEIGHT) -> Callable[[str], str]:
    """Return what maps a product's id to its photo as a URI, "" = none."""
    thumbs = {product_id: data_uri(photo, height) for product_id, photo in photos.items()}
    return lambda product_id: thumbs.get(product_id, "")


def render(path: Path, template: "Template", **values: object) -> None:
    """Write a page and its folder."""
    text = template.render(values)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def environment(*folders: Path, photo_of: Callable[[str], str]) -> "Environment":
    """Return templates of these folders, which may import answer.html.j2. ``photo_of``: a product's
    photo as a URI, "" = none."""
    # Here, as reading it takes a sixth of every command's start.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader([*folders, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(
        content_policy=POLICY,
        photo_of=photo_of,
        like_it=tables.like_it,
        empty=_empty,
        score=_score,
        parts=part_bars,
        moved=_moved,
        reason=_reason,
        stock=_stock,
        link=_link,
        timings=timing_bars,
        price=_price,
        loss=tables.degradation,
        versions=_versions,
        parts_caption=_parts_caption,
        timings_caption=_(tables.TIMINGS_CAPTION),
        language=CHINESE if translated() else "en",
        _=_,
    )
    return made


def data_uri(photo: bytes, height: int = HEIGHT) -> str:
    """Return the photo inside a URI, scaled down to at most ``height`` if Pillow is installed."""
    small = _small(photo, height)
    return f"data:{media_type(small)};base64,{base64.b64encode(small).decode()}"


def media_type(photo: bytes) -> str:
    """Return the type of a photo by its first bytes; that of a JPEG for one that is unknown."""
    return next((name for mark, name in _KINDS if photo.startswith(mark)), "image/jpeg")


def crops(photo: bytes, boxes: Iterable[Box]) -> list[str]:
    """Return parts of a photo, each inside a URI; "" without Pillow, or if it can't be read."""
    image = _upright(photo)
    if image is None:
        return ["" for _box in boxes]
    width, height = image.size
    return [
        _jpeg(
            image.crop(
                (
                    int(box.left * width),
                    int(box.top * height),
                    max(int(box.right * width), int(box.left * width) + 1),
                    max(int(box.bottom * height), int(box.top * height) + 1),
                )
            )
        )
        for box in boxes
    ]


def ratio_of(size: tuple[int, int] | None) -> float | None:
    """Return the width of a photo, divided by its height; None if it is unknown."""
    return None if size is None else size[0] / size[1]


def size_of(photo: bytes) -> tuple[int, int] | None:
    """Return the width and height of an upright photo in pixels; None without Pillow, or if it
    can't be read."""
    image = _upright(photo)
    return None if image is None else image.size


def draws() -> bool:
    """Return whether photos can be cut and scaled down: Pillow is installed."""
    return find_spec("PIL") is not None


def _jpeg(image: "Image") -> str:
    image.thumbnail((HEIGHT, HEIGHT))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=82, optimize=True)
    return data_uri(out.getvalue())


def part_bars(item: Shown, answer: Answered) -> tuple[Bar, ...]:
    """Return the parts of a score in words, on one scale for the whole answer, without those that
    add next to nothing."""
    if isinstance(item, FoundProduct):
        return ()
    largest = max(
        (
            abs(part.value)
            for result in answer.results
            if not isinstance(result, FoundProduct)
            for part in result.parts
        ),
        default=0.0,
    )
    return score_bars(item.parts, largest)


def score_bars(parts: Sequence[ScorePart], largest: float) -> tuple[Bar, ...]:
    """Return the parts of a score in words, without those that add next to nothing. ``largest``:
    the part whose bar is whole."""
    own = max((abs(part.value) for part in parts), default=0.0)
    least = max(tables.LEAST_SHOWN, own * LEAST_SHARE)
    return tuple(
        Bar(
            _(tables.PARTS[part.name]) if part.name in tables.PARTS else part.name,
            0.0,
            100 * abs(part.value) / largest if largest else 0.0,
            f"{part.value:+.3f}",
            part.features,
        )
        for part in sorted(parts, key=lambda part: -abs(part.value))
        if abs(part.value) >= least
    )


def timing_bars(timings: Sequence[StageTiming]) -> tuple[Bar, ...]:
    """Return the stages on the request's time line."""
    end = max((_end(timing) for timing in timings), default=timedelta(0))
    whole = end or timedelta(microseconds=1)
    return tuple(
        Bar(
            timing.stage,
            100 * (timing.start / whole),
            100 * (timing.total / whole),
            _(
                "{start} → {end}: {total} ms (network {network}, work {work})",
                start=_ms(timing.start),
                end=_ms(_end(timing)),
                total=_ms(timing.total),
                network=_ms(timing.network),
                work=_ms(timing.work),
            ),
        )
        for timing in timings
    )


def _end(timing: StageTiming) -> timedelta:
    """Return the time when the stage ended, limited to what a timedelta can hold."""
    try:
        return timing.start + timing.total
    except OverflowError:
        return timedelta.max if timing.total > timedelta(0) else timedelta.min


def _small(photo: bytes, height: int) -> bytes:
    image = _upright(photo)
    if image is None:
        return photo  # a kind of photo that the suite knows and this Pillow does not
    image.thumbnail((height * 2, height))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=82, optimize=True)
    return out.getvalue()


def _upright(photo: bytes) -> "Image | None":
    """Return a photo's pixels; None without Pillow, or if it can't be read."""
    try:
        from PIL import Image, ImageOps
    except ImportError:
        return None
    try:
        with Image.open(io.BytesIO(photo)) as opened:
            return ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError):
        return None


def _versions(answer: Answered) -> list[str]:
    if answer.versions is None:
        return []
    freshness = None if isinstance(answer, Listing) else answer.freshness
    return [line.plain for line in tables.versions(answer.versions, freshness)]


def _parts_caption(answer: Answered) -> str:
    """Explain the scores of an answer."""
    if isinstance(answer, SearchResults):
        return _("similarity: cosine to the nearest signal of the query, −1 to 1.")
    return _(tables.RAW_SCORE) if any(item.parts for item in answer.results) else ""


def _empty(answer: Answered) -> list[str]:
    """Say why an answer has no results, as far as it is known."""
    return [each.plain for each in tables.empty(answer.empty_reason)]


def _score(item: Shown) -> str:
    """Write a product's score with its name; "" = it has none."""
    if isinstance(item, FoundProduct):
        return _("similarity {value:.4f}", value=item.similarity)
    if not item.parts:
        return ""
    score = _("raw score {value:.4f}", value=item.raw_score)
    return " · ".join(filter(None, (score, tables.chance(item))))


def _moved(item: Shown) -> str:
    return "" if isinstance(item, FoundProduct) else explained.moved(item.score_rank, item.moves)


def _reason(item: Shown) -> str:
    if isinstance(item, FoundProduct) or not item.reasons:
        return ""
    return item.reasons[0].text or item.reasons[0].code


def _stock(product: Product) -> str:
    """Say whether a product can be bought, and how many there are."""
    state = {
        Availability.OUT_OF_STOCK: _("sold out"),
        Availability.PREORDER: _("to preorder"),
        Availability.BACKORDER: _("on backorder"),
    }.get(product.availability, _("in stock"))
    return state if product.stock is None else f"{state}: {product.stock:,}"


def _link(product: Product) -> str:
    """Return the address of a product's page; "" = none that a browser may open."""
    return product.uri if product.uri.startswith(("https://", "http://")) else ""


def _price(product: Product) -> str:
    return str(product.price or _("no price"))


def _ms(value: timedelta | None) -> str:
    return "–" if value is None else f"{value / timedelta(milliseconds=1):.1f}"
