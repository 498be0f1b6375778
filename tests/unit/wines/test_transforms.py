"""Transforms are deterministic by seed and key, and change the property that they name."""

import io
import itertools

import pytest
from PIL import Image, ImageStat

from examples.wines import catalogue, transforms
from examples.wines.transforms import Transform

PHOTO = catalogue.load_wines()[0].image.read_bytes()


def opened(photo: bytes) -> Image.Image:
    return Image.open(io.BytesIO(photo))


def brightness(photo: bytes) -> float:
    return float(ImageStat.Stat(opened(photo).convert("L")).mean[0])


@pytest.mark.parametrize("kind", transforms.ALL)
def test_the_same_seed_and_key_give_the_same_bytes_and_others_others(kind: Transform) -> None:
    draws = [
        transforms.apply(PHOTO, kind, seed=seed, key=key)
        for seed, key in ((1, "a"), (1, "a"), (2, "a"), (1, "b"))
    ]
    assert draws[0] == draws[1]
    assert len({*draws}) == 3
    assert PHOTO not in draws


def test_a_crop_keeps_a_part_and_loses_a_border() -> None:
    for key in map(str, range(20)):
        size = opened(transforms.apply(PHOTO, Transform.CROP, seed=1, key=key)).size
        for kept, whole in zip(size, opened(PHOTO).size, strict=True):
            assert 0.74 * whole <= kept <= 0.91 * whole


def test_a_turn_keeps_the_size() -> None:
    turned = transforms.apply(PHOTO, Transform.TURN, seed=1, key="a")
    assert opened(turned).size == opened(PHOTO).size


def test_darkening_darkens() -> None:
    for key in map(str, range(20)):
        dark = transforms.apply(PHOTO, Transform.DARKEN, seed=1, key=key)
        assert 0.4 < brightness(dark) / brightness(PHOTO) < 0.75


def test_the_order_of_several_transforms_counts() -> None:
    orders = {
        transforms.apply(PHOTO, *order, seed=1, key="a")
        for order in itertools.permutations(transforms.ALL)
    }
    assert len(orders) > 1


def test_the_smallest_photo_survives_everything() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, "PNG")
    out = transforms.apply(buffer.getvalue(), *transforms.ALL, seed=1, key="a")
    assert opened(out).size == (1, 1)
