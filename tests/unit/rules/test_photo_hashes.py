"""Photos that show the same picture, by their hashes."""

import pytest
from PIL import Image

from sightline_rules.duplicates import (
    CERTAIN,
    NO_HASH,
    colour_distance,
    luminance_distance,
    same_picture,
)
from sightline_rules.photos import (
    PhotoLimits,
    decode,
    inspect,
)
from tests.fakes.photos import (
    MEDIA_TYPES,
    encoded,
)

LIMITS = PhotoLimits()
FORMATS = list(MEDIA_TYPES)
LOSSY = {"JPEG", "WEBP", "AVIF", "HEIF"}


def scene(*, hue: str = "red") -> Image.Image:
    """Return shapes of several sizes, none symmetric, which give a distinctive hash."""
    image = Image.new("RGB", (320, 240), "white")
    image.paste("gray", (0, 180, 200, 240))
    image.paste(hue, (70, 40, 190, 200))
    image.paste("black", (200, 20, 310, 60))
    return image


def hashed(image: Image.Image, name: str = "JPEG", **options: object) -> int:
    return inspect(encoded(image, name, **options), LIMITS).perceptual_hash


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_copies_in_every_format_and_size_have_the_same_picture(name: str) -> None:
    whole = hashed(scene(), "PNG")
    assert same_picture(whole, hashed(scene(), name))
    assert same_picture(whole, hashed(scene().resize((800, 600)), name))
    assert same_picture(whole, hashed(scene().resize((160, 120)), name))


def test_a_photo_larger_than_what_is_sampled_has_the_hash_of_a_small_one() -> None:
    assert same_picture(hashed(scene(), "PNG"), hashed(scene().resize((3200, 2400)), "PNG"))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "CMYK"])
def test_a_large_photo_of_any_mode_is_hashed(mode: str) -> None:
    large = scene(hue="dimgray").resize((1600, 1200)).convert(mode)
    name = "TIFF" if mode == "CMYK" else "PNG"
    assert luminance_distance(hashed(scene(hue="dimgray"), "PNG"), hashed(large, name)) <= CERTAIN


def test_a_mirrored_or_another_picture_is_another() -> None:
    mirrored = scene().transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert not same_picture(hashed(scene()), hashed(mirrored), 1.0)


def test_the_same_shapes_in_another_colour_differ_in_colour() -> None:
    # Of the same luminance: 0.299 × 200 = 0.587 × 102.
    red, green = (hashed(scene(hue=hue)) for hue in ("rgb(200,0,0)", "rgb(0,102,0)"))
    assert luminance_distance(red, green) <= CERTAIN
    assert colour_distance(red, green) >= 2
    assert not same_picture(red, green, 1.0)


@pytest.mark.first(2)
@pytest.mark.slow
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("sides", [(320, 240), (1600, 1200)])
@pytest.mark.parametrize("name", ["JPEG", "PNG", "TIFF"])
def test_a_lying_photo_has_the_hash_of_the_upright_one(
    orientation: int, sides: tuple[int, int], name: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(scene().resize(sides), name, exif=exif.tobytes() if name != "TIFF" else exif)
    upright = hashed(decode(data, LIMITS), "PNG")
    assert same_picture(inspect(data, LIMITS).perceptual_hash, upright)


@pytest.mark.parametrize("colour", ["white", "black", "red"])
def test_an_even_area_has_no_hash(colour: str) -> None:
    assert hashed(Image.new("RGB", (300, 200), colour)) == NO_HASH


def test_the_hash_of_a_file_never_changes() -> None:
    """Check stored values: a change of the hash would require computing the stored ones again."""
    assert f"{hashed(scene(), 'PNG'):016x}" == "bac68d1318d5d60f"
