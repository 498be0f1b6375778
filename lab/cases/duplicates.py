"""Near-duplicates: changed copies of photos that must be detected, and photos of other products
that must not.

Copies are re-encoded, resized, cropped and watermarked. Other photos are all pairs of photos of
different products, and photos with rotated hues and equal luminance, like a shirt in another color.
The product's own rule decides (`sightline_rules.duplicates`).
"""

import io
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import cos, radians, sin
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bench.harness.model import BenchResult, BenchTable
from bench.peers.raw import Raw
from sightline_rules import duplicates
from sightline_rules.photos import PhotoLimits, inspect

Say: TypeAlias = Callable[[str], None]
Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Change: TypeAlias = Callable[[Image.Image, random.Random], Image.Image]

SEED = 1
COPIED = 300
"""Number of clothing photos that are copied. All catalog photos of wines and groceries are."""
THRESHOLDS = (2, 4, 6, 8, 10, 12)
COSINES = (0.8, 0.85, 0.9, 0.95)
COLOURFUL = 8
"""Minimum chroma of a picture's center for which rotated hues are visible."""
LIMITS = PhotoLimits()


@dataclass(frozen=True, slots=True)
class MatchRate:
    """Pairs that the rule detects as the same picture."""

    pairs: int
    by_hash: int
    """Pairs detected without vectors."""
    by_both: int
    """Pairs detected with the vectors, where they are available."""


@dataclass(frozen=True, slots=True)
class PairDistances:
    """Pairs of pictures, compared."""

    luminance: Array
    colour: Array
    dhash: Array
    cosine: Array
    """Cosine; NaN if it was not needed."""

    def rate(self) -> MatchRate:
        """Return how many pairs the product's rule takes for one picture."""
        near = self.colour <= duplicates.COLOUR
        certain = near & (self.luminance <= duplicates.CERTAIN)
        agree = near & (self.luminance <= duplicates.POSSIBLE)
        agree &= self.cosine >= duplicates.COSINE
        return MatchRate(len(near), int(certain.sum()), int((certain | agree).sum()))


@dataclass(frozen=True, slots=True)
class Pictures:
    """Photos as files, with their hashes."""

    files: Sequence[bytes]
    hashes: Array
    dhashes: Array


def run(say: Say) -> BenchResult:
    """Measure the photo sets that are present."""
    found = find()
    if not all(found.values()):
        warning = "photos are missing in $SIGHTLINE_DATA: see lab/README.md"
        return BenchResult((), {"copies": None}, warnings=(warning,))
    raw = Raw()
    copies = _copies(found, raw, say)
    say("pairs of different products")
    others = {name: _others(paths, raw) for name, paths in found.items()}
    return result(copies, others)


def find() -> dict[str, list[Path]]:
    """Return photos by set, one a product."""
    given = os.environ.get("SIGHTLINE_DATA", "")
    root = Path(given)
    folders = {
        "clothing": root / "clothing",
        "wines": root / "xwines" / "images",
        "groceries": root / "grocery" / "iconic-images-and-descriptions",
    }
    return {
        name: sorted(folder.rglob("*.jpg")) if given else [] for name, folder in folders.items()
    }


# Copies


def _encoded(image: Image.Image, quality: int = 90) -> bytes:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality)
    return data.getvalue()


def _resized(scale: float) -> Change:
    def change(image: Image.Image, _: random.Random) -> Image.Image:
        sides = (round(image.width * scale), round(image.height * scale))
        return image.resize(sides, Image.Resampling.LANCZOS)

    return change


def _cropped(share: float) -> Change:
    def change(image: Image.Image, chance: random.Random) -> Image.Image:
        lost_x, lost_y = image.width * share, image.height * share
        left, top = chance.random() * lost_x, chance.random() * lost_y
        box = (left, top, left + image.width - lost_x, top + image.height - lost_y)
        return image.crop(tuple(map(round, box)))  # type: ignore[arg-type]

    return change


def _text(image: Image.Image, _: random.Random) -> Image.Image:
    """Draw a large text across the middle, 43% opaque."""
    layer = Image.new("RGBA", image.size)
    font = ImageFont.load_default(size=max(14, image.width // 8))
    ImageDraw.Draw(layer).text(
        (image.width / 2, image.height / 2),
        "MY SHOP",
        font=font,
        anchor="mm",
        fill=(255, 255, 255, 110),
        stroke_width=2,
        stroke_fill=(60, 60, 60, 110),
    )
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def _logo(image: Image.Image, _: random.Random) -> Image.Image:
    """Draw a disc in the lower right corner, a fifth of the shorter side, 59% opaque."""
    layer, side = Image.new("RGBA", image.size), min(image.size) // 5
    x, y = image.width - side - 6, image.height - side - 6
    draw = ImageDraw.Draw(layer)
    draw.ellipse((x, y, x + side, y + side), fill=(200, 30, 30, 150))
    quarter = side // 4
    inner = (x + quarter, y + quarter, x + 3 * quarter, y + 3 * quarter)
    draw.rectangle(inner, fill=(255, 255, 255, 150))
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def _turned(degrees: float) -> Change:
    """Return a change that rotates colours about grey and keeps the luminance."""
    sine, cosine = sin(radians(degrees)), cos(radians(degrees))

    def change(image: Image.Image, _: random.Random) -> Image.Image:
        pixels = np.asarray(image.convert("YCbCr"), float)
        blue, red = pixels[..., 1] - 128, pixels[..., 2] - 128
        pixels[..., 1] = blue * cosine - red * sine + 128
        pixels[..., 2] = blue * sine + red * cosine + 128
        values = np.clip(pixels, 0, 255).astype(np.uint8)
        return Image.fromarray(values, "YCbCr").convert("RGB")

    return change


def _same(image: Image.Image, _: random.Random) -> Image.Image:
    return image


CHANGES: Mapping[str, tuple[Change, int]] = {
    **{f"JPEG quality {quality}": (_same, quality) for quality in (40, 60, 75, 90)},
    **{f"resized to {round(scale * 100)}%": (_resized(scale), 90) for scale in (0.5, 0.75, 1.5, 2)},
    **{f"cropped by {round(share * 100)}%": (_cropped(share), 90) for share in (0.02, 0.05, 0.1)},
    "text across": (_text, 90),
    "logo in the corner": (_logo, 90),
}
RECOLOURED: Mapping[str, tuple[Change, int]] = {
    f"colours turned by {degrees}°": (_turned(degrees), 90) for degrees in (60, 120, 180)
}


def _copies(found: Mapping[str, list[Path]], raw: Raw, say: Say) -> dict[str, PairDistances]:
    chance = random.Random(SEED)
    clothing = chance.sample(found["clothing"], min(COPIED, len(found["clothing"])))
    originals = pictures([*clothing, *found["wines"], *found["groceries"]])
    vectors = raw.vectors(originals.files)
    colourful = np.array([_colourful(data) for data in originals.files])
    done = {}
    for name, (change, quality) in {**CHANGES, **RECOLOURED}.items():
        say(f"copies: {name}")
        copies = _read([_encoded(change(_open(d), chance), quality) for d in originals.files])
        alike = _compared(originals, copies)
        cosine = (raw.vectors(copies.files) * vectors).sum(axis=1)
        which = colourful if name in RECOLOURED else np.ones(len(cosine), bool)
        done[name] = PairDistances(*(values[which] for values in (*alike, cosine)))
    return done


def _open(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def _colourful(data: bytes) -> bool:
    small = np.asarray(_open(data).resize((32, 32)).convert("YCbCr"), float)[8:24, 8:24, 1:] - 128
    return float(np.hypot(*small.mean(axis=(0, 1)))) > COLOURFUL


def pictures(paths: Sequence[Path]) -> Pictures:
    """Read and hash photos."""
    return _read([path.read_bytes() for path in paths])


def _read(files: Sequence[bytes]) -> Pictures:
    hashes = [inspect(data, LIMITS).perceptual_hash for data in files]
    return Pictures(
        files,
        np.array(hashes, np.uint64),
        np.array([_dhash(data) for data in files], np.uint64),
    )


def _dhash(data: bytes) -> int:
    """Return the alternative hash: the bits say where luminance rises from pixel to pixel."""
    grey = np.asarray(_open(data).convert("L").resize((9, 8), Image.Resampling.LANCZOS), int)
    return int.from_bytes(np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes())


def _compared(one: Pictures, other: Pictures) -> tuple[Array, Array, Array]:
    """Return the differing bits of luminance, colour and dHash."""
    differ = one.hashes ^ other.hashes
    colours = np.uint64((1 << duplicates.COLOUR_BITS) - 1)
    return (
        _ones(differ >> np.uint64(duplicates.COLOUR_BITS)),
        _ones(differ & colours),
        _ones(one.dhashes ^ other.dhashes),
    )


_ONES = np.array([value.bit_count() for value in range(1 << 16)], np.uint8)


def _ones(values: Array) -> Array:
    parts = values.view(np.uint16).reshape(len(values), -1)
    return np.asarray(_ONES[parts].sum(axis=1))


# Different products


def _others(paths: Sequence[Path], raw: Raw) -> PairDistances:
    """Compare all pairs. Vectors are computed only for photos whose hashes are near each other."""
    held = pictures(paths)
    parts: list[tuple[Array, Array, Array]] = []
    for place in range(len(paths) - 1):
        rest = slice(place + 1, None)
        one = Pictures((), held.hashes[place : place + 1], held.dhashes[place : place + 1])
        parts.append(_compared(one, Pictures((), held.hashes[rest], held.dhashes[rest])))
    luminance, colour, dhash = (np.concatenate(values) for values in zip(*parts, strict=True))
    rows, columns = np.triu_indices(len(paths), 1)
    near = np.flatnonzero(luminance <= max(THRESHOLDS))
    needed = np.unique(np.concatenate([rows[near], columns[near]]))
    cosine = np.full(len(luminance), np.nan)
    if len(needed):
        vectors = raw.vectors([held.files[place] for place in needed])
        at = {int(place): row for row, place in enumerate(needed)}
        for pair in near:
            left, right = vectors[at[int(rows[pair])]], vectors[at[int(columns[pair])]]
            cosine[pair] = float(left @ right)
    return PairDistances(luminance, colour, dhash, cosine)


# The report


def result(copies: Mapping[str, PairDistances], others: Mapping[str, PairDistances]) -> BenchResult:
    """Return tables and figures."""
    every = {
        **copies,
        **{f"different products: {name}": alike for name, alike in others.items()},
    }
    return BenchResult(
        tables=(_rates(every), _sweep(copies, others)),
        figures={
            "photos": COPIED,
            "rates": {name: asdict(alike.rate()) for name, alike in every.items()},
            "by_threshold": {
                name: [asdict(point) for point in points(alike)] for name, alike in every.items()
            },
        },
    )


@dataclass(frozen=True, slots=True)
class Point:
    """Pairs within some bits of luminance."""

    bits: int
    any_colour: int
    """Pairs of any colours."""
    same_colour: int
    by_cosine: Mapping[str, int]
    """Pairs of the same color with at least this cosine."""
    dhash: int
    """Pairs within this number of bits of dHash."""


def points(alike: PairDistances) -> list[Point]:
    """Count the pairs that each threshold takes for one picture."""
    found = []
    for bits in THRESHOLDS:
        within = alike.luminance <= bits
        same = within & (alike.colour <= duplicates.COLOUR)
        found.append(
            Point(
                bits,
                int(within.sum()),
                int(same.sum()),
                {str(least): int((same & (alike.cosine >= least)).sum()) for least in COSINES},
                int((alike.dhash <= bits).sum()),
            )
        )
    return found


def _rates(measured: Mapping[str, PairDistances]) -> BenchTable:
    rows = []
    for name, alike in measured.items():
        rate = alike.rate()
        rows.append(
            (
                name,
                f"{rate.pairs:,}",
                _share(rate.by_hash, rate.pairs),
                _share(rate.by_both, rate.pairs),
                " / ".join(f"{np.percentile(alike.luminance, share):.0f}" for share in (50, 95)),
                "" if np.isnan(alike.cosine).any() else f"{np.percentile(alike.cosine, 5):.2f}",
            )
        )
    return BenchTable(
        "Taken for the same picture",
        ("change", "pairs", "hashes alone", "and vectors", "bits p50 / p95", "cosine p5"),
        tuple(rows),
        f"Hashes alone: at most {duplicates.CERTAIN} bits of luminance and {duplicates.COLOUR} of "
        f"colour differ. With vectors also up to {duplicates.POSSIBLE} bits where the cosine is at "
        f"least {duplicates.COSINE:g}.",
        section=None,
    )


def _sweep(copies: Mapping[str, PairDistances], others: Mapping[str, PairDistances]) -> BenchTable:
    """Return the table of copies against other products at each threshold."""
    kept = [points(alike) for name, alike in copies.items() if name in CHANGES]
    wrong = [points(alike) for alike in others.values()]
    turned = [points(alike) for name, alike in copies.items() if name in RECOLOURED]
    pairs = [
        sum(len(alike.luminance) for name, alike in copies.items() if name in names)
        for names in (CHANGES, RECOLOURED)
    ]
    rows = []
    for place, bits in enumerate(THRESHOLDS):
        here = [[each[place] for each in group] for group in (kept, turned, wrong)]
        same = [sum(point.same_colour for point in group) for group in here]
        any_ = [sum(point.any_colour for point in group) for group in here]
        agreed = [[sum(p.by_cosine[str(c)] for p in g) for g in here] for c in COSINES]
        dhash = [sum(point.dhash for point in group) for group in here]
        for name, counts in (
            ("luminance", any_),
            ("and colour", same),
            *((f"and cosine ≥ {c:g}", counts) for c, counts in zip(COSINES, agreed, strict=True)),
            ("dHash", dhash),
        ):
            shares = [_share(count, of) for count, of in zip(counts, pairs, strict=False)]
            rows.append((str(bits), name, *shares, f"{counts[2]:,}"))
    total = sum(len(alike.luminance) for alike in others.values())
    return BenchTable(
        "By threshold",
        ("bits", "rule", "copies", "recoloured", "different products"),
        tuple(rows),
        f"Different products: pairs taken for one picture, of {total:,}.",
    )


def _share(count: int, of: int) -> str:
    if 0 < count < of / 1000:
        return f"{count:,} of {of:,}"
    return f"{count / of:.1%}" if of else ""
