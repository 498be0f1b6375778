"""Steps of preprocessing, by name."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw

from embedder.domain.photos import WHOLE, Box, Pixels
from embedder.domain.recipes import MOST_GAIN, PreprocessStep
from embedder.preprocessing import steps
from tests.fakes.photos import picture

SIDE = 224


def photo(seed: int = 0) -> Pixels:
    """Return even areas of many colours with the noise of a phone at night."""
    generator = np.random.default_rng(seed)
    tiles = generator.integers(60, 190, (8, 8, 3)).repeat(SIDE // 8, 0).repeat(SIDE // 8, 1)
    noise = generator.normal(0, 8, (SIDE, SIDE, 3))
    return (tiles + noise).clip(0, 255).astype(np.uint8)


def clean(seed: int = 0) -> Pixels:
    tiles = np.random.default_rng(seed).integers(60, 190, (8, 8, 3))
    return tiles.repeat(SIDE // 8, 0).repeat(SIDE // 8, 1).astype(np.uint8)


def error(one: Pixels, other: Pixels) -> float:
    return float(np.abs(one.astype(float) - other).mean())


@pytest.mark.slow
@pytest.mark.parametrize("step", [step for step in PreprocessStep if step.kind != "crop"])
def test_each_step_gives_a_model_s_input_again_always_the_same(step: PreprocessStep) -> None:
    before = photo()
    kept = before.copy()
    after = steps.done(before, (step,))
    assert (after.shape, after.dtype) == (before.shape, np.uint8)
    assert (after != before).any()
    assert (before == kept).all()
    assert (steps.done(before, (step,)) == after).all()


@pytest.mark.parametrize(
    "step",
    [
        PreprocessStep.DENOISE_MEDIAN,
        PreprocessStep.DENOISE_BILATERAL,
        PreprocessStep.DENOISE_NL_MEANS,
    ],
)
def test_denoising_comes_nearer_to_the_photo_without_noise(step: PreprocessStep) -> None:
    noisy = photo()
    assert error(steps.done(noisy, (step,)), clean()) < 0.8 * error(noisy, clean())


def test_contrast_is_raised_where_there_was_little_and_the_colour_stays() -> None:
    waves = 100 + 10 * np.sin(np.arange(SIDE) / 4)
    dull = (waves[:, None, None] * np.ones((1, SIDE, 1)) + [20, 0, -20]).astype(np.uint8)
    after = steps.done(dull, (PreprocessStep.CONTRAST_CLAHE,))
    assert after.std(axis=(0, 1)).mean() > 1.3 * dull.std(axis=(0, 1)).mean()
    tints = [np.diff(pixels.reshape(-1, 3).mean(axis=0)) for pixels in (dull, after)]
    assert tints[0] == pytest.approx(tints[1], abs=6)


@pytest.mark.parametrize("balance", [steps.grey_world, steps.white_patch])
def test_white_balance_takes_off_the_colour_of_the_light(
    balance: Callable[[Pixels], Pixels],
) -> None:
    scene = clean()
    warm = (scene * [1.0, 0.9, 0.75]).astype(np.uint8)
    spread = np.ptp(warm.reshape(-1, 3).mean(axis=0))
    assert np.ptp(balance(warm).reshape(-1, 3).mean(axis=0)) < 0.4 * spread
    assert error(balance(balance(warm)), balance(warm)) < 1.5


@pytest.mark.parametrize("balance", [steps.grey_world, steps.white_patch])
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (0, 255, 0), (1, 2, 3)])
def test_white_balance_of_one_colour_alone_stays_within_its_gains(
    balance: Callable[[Pixels], Pixels], colour: tuple[int, int, int]
) -> None:
    even = np.full((SIDE, SIDE, 3), colour, np.uint8)
    after = balance(even).astype(float)
    assert (after <= MOST_GAIN * even + 1).all()
    assert (after >= even / MOST_GAIN - 1).all()


def test_padding_keeps_all_of_a_photo_on_the_colour_of_its_border() -> None:
    image = Image.new("RGB", (400, 200), (10, 200, 30))
    ImageDraw.Draw(image).rectangle((100, 50, 300, 150), fill="white")
    padded, box = steps.framed(image, WHOLE, (PreprocessStep.CROP_PAD,))
    assert box == WHOLE
    assert padded.size == (400, 400)
    assert padded.getpixel((0, 0)) == padded.getpixel((399, 399)) == (10, 200, 30)
    assert padded.getpixel((200, 200)) == (255, 255, 255)


def test_a_huge_photo_is_padded_small() -> None:
    padded, _ = steps.framed(Image.new("RGB", (6000, 3)), WHOLE, (PreprocessStep.CROP_PAD,))
    assert padded.size == (steps.PADDED, steps.PADDED)


def test_a_box_is_not_padded() -> None:
    image = picture(300, 200)
    given = Box(0.1, 0.1, 0.4, 0.4)
    assert steps.framed(image, given, (PreprocessStep.CROP_PAD,)) == (image, given)


def test_without_steps_nothing_is_done() -> None:
    image = picture(300, 200)
    assert steps.framed(image, WHOLE, ()) == (image, WHOLE)
    assert steps.done(photo(), ()).tobytes() == photo().tobytes()
