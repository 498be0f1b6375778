"""Preprocessing of photos and texts, and its description."""

import functools
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

BRIGHTEST: Final = 99
"""Percentile of a channel that counts as white; brighter pixels are reflections."""
MOST_GAIN: Final = 2.0
"""Limit of a channel's gain: a mostly green subject must not be corrected as green light."""
OVERSAMPLING = 2
"""A JPEG is decoded at no less than this multiple of the model's input size."""


class PreprocessStep(StrEnum):
    """An optional preprocessing step: a kind and a method."""

    CROP_PAD = "crop=pad"
    WHITE_BALANCE_GREY_WORLD = "white_balance=grey_world"
    WHITE_BALANCE_WHITE_PATCH = "white_balance=white_patch"
    DENOISE_MEDIAN = "denoise=median"
    DENOISE_BILATERAL = "denoise=bilateral"
    DENOISE_NL_MEANS = "denoise=nl_means"
    CONTRAST_CLAHE = "contrast=clahe"

    @property
    def kind(self) -> str:
        """Kind of the step, such as `crop`."""
        return self.value.partition("=")[0]


@dataclass(frozen=True, slots=True)
class PhotoRecipe:
    """Preprocessing of a photo."""

    side: int
    """Width and height of the model's input in pixels."""
    crop: float
    """Share of the photo's shorter side that the centre square keeps; above 0, at most 1."""
    normalisation: str
    """The model's own preprocessing of pixels, in words."""
    steps: tuple[PreprocessStep, ...] = ()
    """Further steps, in order."""


@dataclass(frozen=True, slots=True)
class TextRecipe:
    """Preprocessing of a text."""

    most: int
    """Maximum number of tokens of a text, including its start and end marks."""
    tokenizer: str
    """SHA-256 of the tokenizer's file."""


@dataclass(frozen=True, slots=True)
class PairRecipe:
    """Preprocessing of a text for two networks in one model, whose vector is both vectors, one
    after the other."""

    first: TextRecipe
    second: TextRecipe
    dimensions: tuple[int, int]
    """Components of both vectors."""


@dataclass(frozen=True, slots=True)
class Sentences:
    """The model's input is a text model's vectors."""

    dimension: int
    """Their components."""
    version: str = ""
    """Their version; empty: that of the default text model."""


@dataclass(frozen=True, slots=True)
class LineRecipe:
    """Preprocessing of a line of text in a photo."""

    height: int
    """Height of the line in pixels; its width varies."""
    normalisation: str
    """The model's own preprocessing of pixels, in words."""


TextInput = TextRecipe | PairRecipe
"""Inputs of a text model."""
Recipe = PhotoRecipe | TextInput | Sentences | LineRecipe
"""Inputs of all models."""
SECOND: Final = "second_"
"""Prefix of what belongs to the second network of a pair: inputs, parameters and files."""


class StepsInvalidError(ValueError):
    """The list of steps is invalid or not installed; the message says why."""


def parse_steps(text: str) -> tuple[PreprocessStep, ...]:
    """Read a list such as ``crop=pad;white_balance=grey_world``; empty = none.

    Raises StepsInvalidError for a step that is unknown, comes after one of its own kind, or can't
    be done without OpenCV here, and for a crop after other steps.
    """
    found: list[PreprocessStep] = []
    for part in text.split(";") if text else []:
        try:
            step = PreprocessStep(part)
        except ValueError as error:
            known = ", ".join(PreprocessStep)
            raise StepsInvalidError(f"there is no step {part!r}; the steps are {known}") from error
        if step.kind in {other.kind for other in found}:
            raise StepsInvalidError(f"there are two steps of the kind {step.kind}")
        if step.kind == "crop" and found:
            raise StepsInvalidError("a crop must come before all other steps")
        if step in NEED_OPENCV and not has_opencv():
            raise StepsInvalidError(f"{step} needs OpenCV: install sightline-embedder[opencv]")
        found.append(step)
    return tuple(found)


@functools.lru_cache(256)
def words(recipe: Recipe) -> str:
    """Describe the preprocessing; hashed into the space's version, shown to people."""
    match recipe:
        case PhotoRecipe(side, crop, normalisation, steps):
            done = "".join(f"; {_WORDS[step]}" for step in steps)
            return (
                "upright by EXIF, RGB on white; a JPEG decoded at its full size or an exact "
                f"fraction of at least {OVERSAMPLING * side} px; centre square of {crop:g} of the "
                f"shorter side; antialiased bicubic to {side}x{side}{done}; {normalisation}"
            )
        case TextRecipe(most, tokenizer):
            return (
                f"tokens of tokenizer {tokenizer[:12]}; a text is cut after {most} tokens, its "
                "marks of start and end included"
            )
        case PairRecipe(first, second):
            return f"{words(first)}; {words(second)}"
        case Sentences():
            return "the vector of a text"
        case LineRecipe(height, normalisation):
            return f"a line of text straightened, {height} px high; {normalisation}"


NEED_OPENCV: Final = frozenset(
    {
        PreprocessStep.DENOISE_MEDIAN,
        PreprocessStep.DENOISE_BILATERAL,
        PreprocessStep.DENOISE_NL_MEANS,
        PreprocessStep.CONTRAST_CLAHE,
    }
)
"""Steps that need the extra `opencv`."""


def has_opencv() -> bool:
    """Return whether the extra `opencv` is installed."""
    return importlib.util.find_spec("cv2") is not None


_WORDS: Final[Mapping[PreprocessStep, str]] = {
    PreprocessStep.CROP_PAD: (
        "padded to a square with the median colour of its border before the crop"
    ),
    PreprocessStep.WHITE_BALANCE_GREY_WORLD: f"grey world, gains up to {MOST_GAIN:g}",
    PreprocessStep.WHITE_BALANCE_WHITE_PATCH: (
        f"white patch at percentile {BRIGHTEST}, gains up to {MOST_GAIN:g}"
    ),
    PreprocessStep.DENOISE_MEDIAN: "median of 3x3",
    PreprocessStep.DENOISE_BILATERAL: "bilateral filter of 5 px, sigmas 25 levels and 2 px",
    PreprocessStep.DENOISE_NL_MEANS: "non-local means, strength 3, patches of 7 px within 15 px",
    PreprocessStep.CONTRAST_CLAHE: "CLAHE on lightness, clip limit 2, 8x8 tiles",
}
"""Include every number that changes the result: a space's version is a hash over these texts."""
