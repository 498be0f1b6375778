"""Writes made photos of one wine, as a camera above a packing table takes them, into a folder.

`python -m examples.wines.pieces FOLDER` writes good, photos of 20 good pieces; more, of 20 further
ones; fine.jpg, another good piece; and damaged.jpg, a piece with a stained and scratched label.
"""

import io
import random
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance

WINE = Path(__file__).parent / "images" / "100062.jpg"
TABLE = (168, 160, 150)
SIDES, PIECE = (480, 600), (360, 480)
"""Width and height, in pixels, of a photo and of the piece in it."""
GOOD, MORE = 20, 20
"""Numbers of photos."""


def piece(seed: int, *, damaged: bool = False) -> bytes:
    """Return a photo as JPEG. Each seed puts the piece a little elsewhere, in other light."""
    chance = random.Random(seed)
    with Image.open(WINE) as opened:
        shown = opened.convert("RGB").resize(PIECE)
    if damaged:
        _damage(shown)
    photo = Image.new("RGB", SIDES, TABLE)
    left, top = ((SIDES[n] - PIECE[n]) // 2 + chance.randint(-4, 4) for n in range(2))
    photo.paste(shown, (left, top))
    photo = photo.rotate(chance.gauss(0, 0.7), Image.Resampling.BICUBIC, fillcolor=TABLE)
    photo = ImageEnhance.Brightness(photo).enhance(chance.uniform(0.94, 1.06))
    noise = np.random.default_rng(seed).normal(0, 3, (*SIDES[::-1], 3))
    pixels = np.clip(np.asarray(photo) + noise, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(file := io.BytesIO(), "JPEG", quality=chance.randint(80, 95))
    return file.getvalue()


def _damage(shown: Image.Image) -> None:
    """Draw a stain and a scratch on the label."""
    draw = ImageDraw.Draw(shown)
    draw.ellipse((190, 250, 250, 300), fill=(70, 30, 45))
    draw.line((110, 330, 220, 350), fill=(235, 235, 230), width=5)


def write(folder: Path) -> None:
    """Write the files."""
    for name, seeds in (("good", range(GOOD)), ("more", range(GOOD, GOOD + MORE))):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for seed in seeds:
            (folder / name / f"{seed + 1:02}.jpg").write_bytes(piece(seed))
    (folder / "fine.jpg").write_bytes(piece(GOOD + MORE))
    (folder / "damaged.jpg").write_bytes(piece(GOOD + MORE + 1, damaged=True))


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "pieces"))
