"""Answers as a self-contained HTML page: no scripts, no external files."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sightline_client.cli.language import CHINESE, _, translated
from sightline_client.cli.show import explained, tables
from sightline_client.values.answers import (
    Recommendations,
    RecommendedProduct,
    ScoreFeature,
    StageTiming,
)
from sightline_client.values.catalog import Availability

if TYPE_CHECKING:
    from jinja2 import Environment

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


def write(
    path: Path,
    *,
    title: str,
    lead: Sequence[str],
    queries: Sequence[tuple[str, bytes]],
    answer: Recommendations,
    photos: Mapping[str, bytes],
) -> None:
    """Write the page and its folder. ``queries``: the photos of the query, each with its caption;
    ``photos``: a photo of each product, by id."""
    thumbs = {product_id: data_uri(photo) for product_id, photo in photos.items()}
    page = environment(photo_of=lambda product_id: thumbs.get(product_id, ""))
    text = page.get_template("page.html.j2").render(
        title=title,
        lead=lead,
        queries=[(caption, data_uri(photo)) for caption, photo in queries],
        found=answer,
    )
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
        chance=tables.chance,
        parts=part_bars,
        moved=explained.moved,
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
    kind = next((name for mark, name in _KINDS if small.startswith(mark)), "image/jpeg")
    return f"data:{kind};base64,{base64.b64encode(small).decode()}"


def part_bars(item: RecommendedProduct, answer: Recommendations) -> tuple[Bar, ...]:
    """Return the parts of a score, on one scale for the whole answer."""
    largest = max(
        (abs(part.value) for result in answer.results for part in result.parts), default=0.0
    )
    return tuple(
        Bar(
            part.name,
            0.0,
            100 * abs(part.value) / largest if largest else 0.0,
            f"{part.value:+.3f}",
            part.features,
        )
        for part in sorted(item.parts, key=lambda part: -abs(part.value))
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
    try:
        from PIL import Image, ImageOps
    except ImportError:  # pragma: no cover (it is installed for the tests)
        return photo
    try:
        with Image.open(io.BytesIO(photo)) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError):
        return photo  # a kind of photo that the suite knows and this Pillow does not
    image.thumbnail((height * 2, height))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=82, optimize=True)
    return out.getvalue()


def _versions(answer: Recommendations) -> list[str]:
    return [line.plain for line in tables.versions(answer.versions, answer.freshness)]


def _parts_caption(results: Sequence[RecommendedProduct]) -> str:
    return f"{_(tables.RAW_SCORE)} {tables.part_meanings(results)}".rstrip()


def _price(item: RecommendedProduct) -> str:
    sold_out = item.product.availability is Availability.OUT_OF_STOCK
    price = str(item.product.price or _("no price"))
    return price + (_(" · sold out") if sold_out else "")


def _ms(value: timedelta | None) -> str:
    return "–" if value is None else f"{value / timedelta(milliseconds=1):.1f}"
