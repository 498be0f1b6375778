"""Comparison of a model's vectors with those that its own tools made of the same photos.

If they differ, single steps of the preprocessing are changed, one at a time, each time to what
brings the vectors nearest, until none does: what then differs is the likely cause.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from embedder.bringing.preprocessor import file_bytes
from embedder.domain.brought import Colours, Fit, Look, ModelRefused, Refusal, ResizeFilter
from embedder.domain.fitted import Floats, unit

MOST_PHOTOS: Final = 64
MOST_TRIED: Final = 8
"""Photos with which other preprocessing is tried."""
MOST_BYTES: Final = 2**28
ROUNDS: Final = 4
ALIKE: Final = 0.999
"""Mean cosine from which no other preprocessing is tried."""
LEAST_GAIN: Final = 0.0005
"""Least gain in mean cosine by which another way of a step counts as nearer."""

_IMAGENET: Final = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
NORMALISATIONS: Final[Sequence[tuple[Colours, Colours]]] = (
    _IMAGENET,
    ((127.5,) * 3, (127.5,) * 3),
    ((122.771, 116.746, 104.094), (68.5005, 66.6322, 70.3231)),
    ((0.0,) * 3, (255.0,) * 3),
    ((0.0,) * 3, (1.0,) * 3),
    ((103.53, 116.28, 123.675), (57.375, 57.12, 58.395)),
    ((104.0, 117.0, 123.0), (1.0,) * 3),
)
"""Mean and scale of bytes: ImageNet's, halves, CLIP's, none, bytes, ImageNet's for BGR, Caffe's."""
CROPS: Final = (1.0, 0.95, 0.9, 0.875)

LookEmbed = Callable[[bytes, Sequence[Look]], Floats | None]
"""Returns a photo's vectors, one for each look; None if it can't be decoded."""


@dataclass(frozen=True, slots=True)
class ParityReport:
    """Result of the comparison."""

    cosines: Mapping[str, float]
    """Cosine of the vector as served and the reference, by photo."""
    mean: float
    nearest: Look
    """The preprocessing that is nearest to the reference."""
    nearest_mean: float
    reached: float
    """Mean cosine with what the embedder can do of it."""
    differing: tuple[str, ...]
    """Steps in which it differs from the served one."""


def served(look: Look) -> Look:
    """Return what the embedder does in place of `look`: it resizes by BICUBIC, and never squashes
    a photo."""
    fit = Fit.COVER if look.fit is Fit.SQUASH else look.fit
    return replace(look, resize=ResizeFilter.BICUBIC, fit=fit)


def read_reference(path: Path, photos: Sequence[Path]) -> dict[Path, Floats]:
    """Return the reference vectors by photo. A .npz file has an array for each photo, by its name;
    a .npy file has a row for each, in the order of their names. Raises ModelRefused."""
    named = {photo.name: photo for photo in sorted(photos, key=lambda photo: photo.name)}
    try:
        rows = _rows(file_bytes(path, MOST_BYTES), named)
        found = {named[name]: np.asarray(row, np.float32).reshape(-1) for name, row in rows.items()}
    except Exception as error:  # of any kind, by an archive that is not whole
        raise ModelRefused(
            Refusal.PARITY,
            f"{path.name} can't be used: {error}. Write it by numpy.savez(file, **{{name: vector}})"
            " or numpy.save(file, vectors in the order of the photos' names)",
        ) from error
    if not found or not all(np.isfinite(row).all() and row.any() for row in found.values()):
        raise ModelRefused(
            Refusal.PARITY,
            f"{path.name} has no finite vector of {', '.join(list(named)[:3]) or 'any photo'}:"
            " name its arrays as the photos' files",
        )
    return dict(list(found.items())[:MOST_PHOTOS])


def _rows(data: bytes, names: Collection[str]) -> Mapping[str, Any]:
    """Return the arrays of these photos. Raises ValueError if they would take too much memory."""
    loaded = np.load(BytesIO(data), allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return dict(zip(names, loaded, strict=True))
    if sum(each.file_size for each in loaded.zip.infolist()) > MOST_BYTES:
        raise ValueError(f"its arrays have more than {MOST_BYTES:,} bytes")
    return {name: loaded[name] for name in loaded.files if name in names}


def compared(look: Look, reference: Mapping[Path, Floats], embed: LookEmbed) -> ParityReport:
    """Compare the reference with a model's vectors. Raises ModelRefused."""
    base = served(look)
    photos = {photo: photo.read_bytes() for photo in reference}
    cosines = {}
    for photo, data in photos.items():
        found = embed(data, [base])
        if found is None:
            raise ModelRefused(Refusal.PARITY, f"{photo.name} can't be decoded: leave it out")
        if found.shape[1] != len(reference[photo]):
            raise ModelRefused(
                Refusal.PARITY,
                f"the reference of {photo.name} has {len(reference[photo])} numbers, the model's"
                f" vector {found.shape[1]}: name the same tensor by --vector",
            )
        cosines[photo.name] = float(_cosines(found, reference[photo])[0])
    tried = list(photos)[:MOST_TRIED]
    search = _Search([(photos[photo], reference[photo]) for photo in tried], embed)
    mean = float(np.mean(list(cosines.values())))
    nearest, nearest_mean = (base, mean) if mean >= ALIKE else search.nearest(base)
    reached = mean if nearest == base else search.mean(served(nearest))
    before, after = asdict(base), asdict(nearest)
    differing = tuple(name for name in _NAMES if any(before[k] != after[k] for k in _NAMES[name]))
    return ParityReport(cosines, mean, nearest, nearest_mean, reached, differing)


_NAMES: Final[Mapping[str, Sequence[str]]] = {
    "mean and std": ("mean", "scale"),
    "order of channels": ("channels",),
    "resize filter": ("resize",),
    "crop": ("crop", "fit"),
}


class _Search:
    """Looks for the preprocessing that made the reference."""

    def __init__(self, photos: Sequence[tuple[bytes, Floats]], embed: LookEmbed) -> None:
        self._photos, self._embed = photos, embed

    def nearest(self, look: Look) -> tuple[Look, float]:
        """Return the nearest look that single changes lead to, and its mean cosine."""
        best = self.mean(look)
        for _ in range(ROUNDS):
            others = ways(look)
            means = self._means(others)
            place = int(means.argmax())
            if means[place] < best + LEAST_GAIN:
                break
            look, best = others[place], float(means[place])
        return look, best

    def mean(self, look: Look) -> float:
        """Return the mean cosine with a look."""
        return float(self._means([look])[0])

    def _means(self, looks: Sequence[Look]) -> npt.NDArray[np.float64]:
        total = np.zeros(len(looks))
        for photo, wanted in self._photos:
            found = self._embed(photo, looks)
            if found is not None:
                total += _cosines(found, wanted)
        return total / len(self._photos)


def ways(look: Look) -> list[Look]:
    """Return the looks that differ from this one in one step."""
    other: Any = "RGB" if look.channels == "BGR" else "BGR"
    changed = [
        *(replace(look, mean=mean, scale=scale) for mean, scale in NORMALISATIONS),
        replace(look, channels=other),
        # A mean of BGR with the order of RGB, and the other way around, are one mistake.
        replace(look, channels=other, mean=look.mean[::-1], scale=look.scale[::-1]),
        *(replace(look, resize=way) for way in ResizeFilter),
        *(replace(look, crop=crop, fit=Fit.COVER) for crop in CROPS),
        *(replace(look, crop=1.0, fit=fit) for fit in (Fit.PAD, Fit.SQUASH)),
    ]
    return [each for each in dict.fromkeys(changed) if each != look]


def _cosines(found: Floats, wanted: Floats) -> Floats:
    return np.asarray(unit(found) @ unit(wanted[None])[0], np.float32)
