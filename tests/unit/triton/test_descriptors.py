"""Descriptors of texture and shape, as graphs."""

from functools import cache

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from PIL import Image, ImageDraw

from triton_engine import descriptors, efficientnet
from triton_engine.features import DESCRIPTORS
from triton_engine.graph import Graph, tensor

SIDE = 160
Array = npt.NDArray[np.float32]
Photo = npt.NDArray[np.uint8]


@cache
def graph(name: str) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(descriptors.alone(name, SIDE).SerializeToString())


def of(name: str, *photos: Photo) -> Array:
    return np.asarray(graph(name).run([name], {"image": np.stack(photos)})[0], np.float32)


def noise(seed: int) -> Photo:
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def waves(angle: float, length: float) -> Photo:
    down, across = np.mgrid[:SIDE, :SIDE]
    phase = 2 * np.pi / length * (across * np.cos(angle) + down * np.sin(angle))
    return np.repeat((128 + 100 * np.cos(phase))[..., None], 3, axis=2).astype(np.uint8)


def figure(*corners: tuple[float, float], turn: int = 0) -> Photo:
    image = Image.new("RGB", (SIDE, SIDE), (230, 230, 225))
    ImageDraw.Draw(image).polygon(corners, fill=(150, 20, 30))
    return np.asarray(image.rotate(turn))


def plain_lbp(photo: Photo, radius: int) -> Array:
    """The definition: Ojala et al. 2002, equations 9 and 10."""
    light = photo @ np.array(descriptors.LUMINANCE, np.float32)
    inner = SIDE - 2 * radius
    middle = light[radius:-radius, radius:-radius]
    bits = np.stack(
        [
            light[radius * down :][:inner, radius * across :][:, :inner] >= middle
            for down, across in descriptors.RING
        ]
    )
    turns = (bits != np.roll(bits, 1, axis=0)).sum(axis=0)
    patterns = np.where(turns <= 2, bits.sum(axis=0), 9)
    return np.asarray(np.sqrt(np.bincount(patterns.ravel(), minlength=10) / inner**2), np.float32)


@pytest.mark.parametrize("name", DESCRIPTORS)
def test_each_gives_as_many_finite_numbers_as_are_reported_whatever_it_sees(name: str) -> None:
    black, white = (np.full((SIDE, SIDE, 3), level, np.uint8) for level in (0, 255))
    photos = (black, white, noise(0), waves(0.3, 7))
    found = of(name, *photos)
    assert found.shape == (4, DESCRIPTORS[name])
    assert np.isfinite(found).all()
    alone = np.concatenate([of(name, photo) for photo in photos])
    assert np.abs(found - alone).max() < 1e-4


def test_binary_patterns_are_counted_as_the_paper_defines_them() -> None:
    photo = (noise(1) // 32 * 32).astype(np.uint8)
    found = of("lbp", photo)[0].reshape(len(descriptors.RADII), 10)
    for radius, shares in zip(descriptors.RADII, found, strict=True):
        assert np.abs(shares - plain_lbp(photo, radius)).max() < 0.02  # equal up to rounded ties


def test_binary_patterns_do_not_mind_light_or_a_quarter_turn() -> None:
    photo = np.asarray(Image.fromarray(noise(2)[:24, :24]).resize((SIDE, SIDE)))
    dim, turned = (photo // 2).astype(np.uint8), np.rot90(photo).copy()
    plain, darker, around, other = of("lbp", photo, dim, turned, noise(3))
    assert np.abs(plain - around).max() < 1e-4
    assert np.linalg.norm(plain - darker) < 0.3 * np.linalg.norm(plain - other)


def test_waves_are_strongest_in_their_own_direction_and_octave() -> None:
    for octave in range(descriptors.OCTAVES - 1):
        for place in range(descriptors.ANGLES):
            length = descriptors.WAVE * 2 ** (octave + 1)
            photo = waves(place * np.pi / descriptors.ANGLES, length)
            means = of("gabor", photo).reshape(descriptors.OCTAVES, 2, descriptors.ANGLES)[:, 0]
            assert np.unravel_index(means.argmax(), means.shape) == (octave, place)


def test_waves_in_an_even_photo_have_no_strength() -> None:
    assert np.abs(of("gabor", np.full((SIDE, SIDE, 3), 200, np.uint8))).max() < 0.01


def test_a_shape_is_the_same_wherever_it_is_however_large_and_turned() -> None:
    corners = ((20, 20), (50, 20), (20, 65))
    first, moved, turned, mirrored = of(
        "shape",
        figure(*corners),
        figure(*((x + 24, y + 10) for x, y in corners)),
        figure(*corners, turn=90),
        figure(*((SIDE - x, y) for x, y in corners)),
    )
    assert np.abs(first - moved)[:6].max() < 0.1
    assert np.abs(first - turned)[:6].max() < 0.1
    assert np.abs(first - mirrored)[:6].max() < 0.3
    smaller = of("shape", figure(*((x / 2 + 24, y / 2 + 24) for x, y in corners)))[0]
    assert np.abs(first - smaller)[:4].max() < 0.5


def test_shapes_that_differ_are_distinguished_by_their_first_two_moments() -> None:
    square = figure((30, 30), (60, 30), (60, 60), (30, 60))
    bar = figure((20, 44), (76, 44), (76, 52), (20, 52))
    (round_one, long_one) = of("shape", square, bar)
    # Hu's first of a square of side a: 2 (a⁴ / 12) / a⁴ = 1/6.
    assert np.exp(round_one[0]) * descriptors.LEAST == pytest.approx(1 / 6, rel=0.05)
    assert long_one[1] - round_one[1] > 5


def test_a_features_graph_with_descriptors_has_them_after_its_histogram() -> None:
    rgb = Graph()
    image = rgb.add("Cast", ["image"], "float", to=1)
    planes = rgb.add("Transpose", [image], "rgb", perm=[0, 3, 1, 2])
    rgb.add(
        "Concat", [descriptors.add(rgb, planes, SIDE, name) for name in DESCRIPTORS], "all", axis=1
    )
    pixels = tensor("image", onnx.TensorProto.UINT8, ["N", SIDE, SIDE, 3])
    model = rgb.model("together", [pixels], {"all": (sum(DESCRIPTORS.values()),)})
    session = onnxruntime.InferenceSession(model.SerializeToString())
    photo = noise(5)
    (found,) = session.run(["all"], {"image": photo[None]})[0]
    assert np.array_equal(found, np.concatenate([of(name, photo)[0] for name in DESCRIPTORS]))
    assert efficientnet.descriptors is descriptors
