"""Photos that no cache contains: the example wines, enlarged, with grain, each with different
bytes.
"""

import io
import itertools
from collections.abc import Iterator

import numpy as np
from PIL import Image

from bench.harness.machine import ROOT

SMALL, LARGE = (480, 640), (3000, 4000)
"""0.3 and 12 megapixels."""
QUALITY = 85
SEED = 29
_FILES = sorted((ROOT / "examples/wines/images").glob("*.jpg"))


def photos(size: tuple[int, int], count: int, grain: float) -> list[bytes]:
    """Return `count` JPEG files of `size` (width, height). `grain`: standard deviation of the noise
    in levels, which determines the file's size, and so the cost of decoding.
    """
    width, height = size
    noise = np.random.default_rng(SEED).normal(0, grain, (height, width, 3)).astype(np.int16)
    found = []
    for number, path in enumerate(_FILES[:count]):
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB").resize(size, Image.Resampling.BICUBIC))
        grainy = (pixels + np.roll(noise, 37 * number, axis=0)).clip(0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(grainy).save(file, "JPEG", quality=QUALITY)
        found.append(file.getvalue())
    return found


def unique(files: list[bytes], start: int = 0) -> Iterator[bytes]:
    """Yield the files in a cycle, each time with another JPEG comment (marker COM). Numbers from
    `start` on are the comments."""
    for number in itertools.count(start):
        file, comment = files[number % len(files)], f"{number:016}".encode()
        segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
        yield file[:2] + segment + file[2:]
