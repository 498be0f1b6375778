"""Optional preprocessing steps, on only for models that name them.

A model in Triton names them in its parameter `preprocessing`, a list such as
``crop=pad;white_balance=grey_world``, in this order. They are part of the space's version.
Benefit and cost of each are measured by ``python -m lab ablation`` and shown in
lab/research/embedder.md.

All steps but the crop work on the model's input, uint8 RGB [side, side, 3], so that their cost
does not depend on the photo's size.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from embedder.domain.photos import WHOLE, Box, Pixels
from embedder.domain.recipes import BRIGHTEST, MOST_GAIN, PreprocessStep

PADDED: Final = 1024
"""Maximum pixels of a padded photo's side."""


def framed(
    image: Image.Image, box: Box, steps: Sequence[PreprocessStep]
) -> tuple[Image.Image, Box]:
    """Apply the crop among the steps: return the RGB photo and the part of it to embed. A box of
    the caller takes precedence.
    """
    if PreprocessStep.CROP_PAD in steps and box == WHOLE:
        return _padded(image), box
    return image, box


def done(pixels: Pixels, steps: Sequence[PreprocessStep]) -> Pixels:
    """Apply the steps in order to a model's input, uint8 RGB [side, side, 3]."""
    for step in steps:
        if step in _DONE:
            pixels = _DONE[step](pixels)
        elif step.kind != "crop":
            from embedder.adapters import opencv

            pixels = opencv.DONE[step](pixels)
    return pixels


def prepare() -> None:
    """Import the packages of the steps, if installed: no file can be opened later."""
    with contextlib.suppress(ImportError):
        from embedder.adapters import opencv  # noqa: F401


def _padded(image: Image.Image) -> Image.Image:
    """Return the whole photo in the middle of a square with the median colour of its border."""
    image.thumbnail((PADDED, PADDED), Image.Resampling.BICUBIC)
    colours = np.asarray(image)
    border = np.concatenate((colours[0], colours[-1], colours[:, 0], colours[:, -1]))
    red, green, blue = (round(float(channel)) for channel in np.median(border, axis=0))
    side = max(image.size)
    square = Image.new("RGB", (side, side), (red, green, blue))
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def grey_world(pixels: Pixels) -> Pixels:
    """Make the means of the three channels equal (G. Buchsbaum, A Spatial Processor Model for
    Object Colour Perception, J. Franklin Institute 310, 1980)."""
    means = pixels.reshape(-1, 3).mean(axis=0)
    return _gained(pixels, means.mean() / np.maximum(means, 1))


def white_patch(pixels: Pixels) -> Pixels:
    """Make the brightest of each channel white (E. Land, J. McCann, Lightness and Retinex Theory,
    J. Opt. Soc. Am. 61, 1971)."""
    brightest = np.percentile(pixels.reshape(-1, 3), BRIGHTEST, axis=0)
    return _gained(pixels, 255 / np.maximum(brightest, 1))


def _gained(pixels: Pixels, gains: npt.NDArray[np.float64]) -> Pixels:
    limited = gains.clip(1 / MOST_GAIN, MOST_GAIN)
    table = (np.arange(256)[:, None] * limited).round().clip(0, 255).astype(np.uint8)
    return np.stack([table[:, channel][pixels[..., channel]] for channel in range(3)], axis=-1)


_DONE: Final[Mapping[PreprocessStep, Callable[[Pixels], Pixels]]] = {
    PreprocessStep.WHITE_BALANCE_GREY_WORLD: grey_world,
    PreprocessStep.WHITE_BALANCE_WHITE_PATCH: white_patch,
}
