"""Photos of pieces as one camera takes them: the same label each time, in other light."""

import random

from PIL import Image, ImageDraw, ImageEnhance

from tests.fakes.photos import encoded

SIDES = (240, 300)


def piece(seed: int, *, stained: bool = False, shape: str = "label") -> bytes:
    """Return a photo of a piece. `stained`: it has a defect; `shape`: "label", or another thing."""
    rng = random.Random(seed)
    image = Image.new("RGB", SIDES, (205, 200, 190))
    draw = ImageDraw.Draw(image)
    if shape == "label":
        draw.rectangle((60, 40, 180, 260), fill=(40, 110, 60))
        draw.rectangle((75, 90, 165, 190), fill=(240, 235, 220))
        for row in range(5):
            draw.rectangle((85, 100 + 17 * row, 150 - 7 * row, 107 + 17 * row), fill=(30, 30, 30))
    else:
        draw.ellipse((40, 70, 200, 230), fill=(200, 40, 40))
        draw.ellipse((90, 120, 150, 180), fill=(250, 220, 60))
    if stained:
        draw.ellipse((100, 130, 140, 165), fill=(70, 45, 120))
    image = image.rotate(rng.gauss(0, 0.7), Image.Resampling.BICUBIC, fillcolor=(205, 200, 190))
    image = ImageEnhance.Brightness(image).enhance(rng.uniform(0.94, 1.06))
    return encoded(image, quality=rng.randint(80, 95))
