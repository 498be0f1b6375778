"""Untrusted photos."""

import asyncio
import math
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from embedder.domain.errors import EmbedderUnavailable, PhotoTooLarge, PhotoUndecodable
from embedder.domain.items import Priority
from embedder.domain.photos import Box, Camera, PartView, PhotoView, Pixels
from embedder.domain.recipes import PhotoRecipe
from embedder.domain.urgency import urgency
from embedder.embedding.photo_intake import PhotoIntake
from embedder.preprocessing import preprocess, work
from servicekit.decoding.decoders import (
    Decoders,
    DecodingCrashed,
    DecodingFailed,
    DecodingOutOfMemory,
    DecodingTimedOut,
    DecodingUnavailable,
)
from servicekit.decoding.limits import SPARE
from servicekit.telemetry import Stages
from sightline_rules.photo_memory import MemoryNeededError
from sightline_rules.photos import PhotoLimits
from tests.fakes.decoding import FakeDecoders
from tests.fakes.photos import MEDIA_TYPES, claiming, encoded, frames, photo, picture, turned

RECIPE = PhotoRecipe(side=16, crop=0.875, normalisation="none")
LIMITS = dict.fromkeys(Camera, PhotoLimits(max_bytes=100_000, max_pixels=10_000))


@pytest.fixture
def decoders() -> FakeDecoders:
    return FakeDecoders(work.__name__)


@pytest.fixture
def intake(decoders: FakeDecoders) -> PhotoIntake:
    return PhotoIntake(decoders, LIMITS)


async def seen(intake: PhotoIntake, data: bytes, stages: Stages) -> Pixels:
    """Return the pixels of a photo's only view."""
    (view,) = (await intake.see(data, RECIPE, PhotoView(), stages, "default")).pixels
    return view


async def test_a_photo_becomes_the_pixels_of_its_crop(intake: PhotoIntake) -> None:
    image = picture(64, 48)
    pixels = await seen(intake, encoded(image, "PNG"), Stages("test"))
    assert (pixels == preprocess.crop(image, RECIPE)).all()


async def test_parts_of_a_photo_are_decoded_at_once(intake: PhotoIntake) -> None:
    image, boxes = picture(64, 48), (Box(0, 0, 0.5, 1), Box(0.25, 0.5, 1, 0.75))
    look = PhotoView(parts=boxes)
    found = await intake.see(encoded(image, "PNG"), RECIPE, look, Stages("test"), "default")
    assert (found.pixels == preprocess.part_views(image, RECIPE, boxes)).all()
    one = replace(look, part_views=(PartView.MIDDLE,))
    middles = await intake.see(encoded(image, "PNG"), RECIPE, one, Stages("test"), "default")
    assert (middles.pixels == found.pixels[1::2]).all()


async def test_a_turned_photo_gives_the_pixels_of_the_upright_one(intake: PhotoIntake) -> None:
    upright = picture(64, 48)
    lying = upright.transpose(2)  # a quarter turn to the left; EXIF 6 turns it back
    expected = await seen(intake, encoded(upright, quality=95), Stages("test"))
    pixels = await seen(intake, turned(lying, 6), Stages("test"))
    assert np.abs(pixels.astype(int) - expected).mean() < 3
    ignored = await seen(intake, turned(lying, 1), Stages("test"))
    assert np.abs(ignored.astype(int) - expected).mean() > 20


@pytest.mark.parametrize(
    "data",
    [
        encoded(picture().convert("L"), "JPEG"),
        encoded(picture().convert("CMYK"), "JPEG"),
        encoded(picture().convert("P"), "PNG"),
        encoded(picture().convert("P"), "PNG", transparency=0),
        encoded(picture().convert("LA"), "PNG"),
        encoded(picture().convert("RGBA"), "PNG"),
        encoded(picture().convert("1"), "PNG"),
        encoded(picture().convert("I;16"), "PNG"),
        encoded(picture().convert("RGBA"), "WEBP"),
        encoded(picture(1, 1), "JPEG"),
        encoded(picture(1, 1), "PNG"),
    ],
    ids=["grey", "CMYK", "P", "P clear", "LA", "RGBA", "1", "16 bit", "WebP", "1x1", "1x1 PNG"],
)
async def test_every_kind_of_colour_and_the_smallest_photo_succeed(
    intake: PhotoIntake, data: bytes
) -> None:
    intake.check(data, Camera.SHOPPER)
    pixels = await seen(intake, data, Stages("test"))
    assert pixels.shape == (16, 16, 3)
    assert pixels.dtype == np.uint8


@pytest.mark.parametrize(
    "data", [b"", b"hello, this is a text file", b"%PDF-1.7", b"\xff", b"<svg/>"]
)
async def test_what_is_no_photo_is_refused_before_a_process_sees_it(
    intake: PhotoIntake, data: bytes
) -> None:
    with pytest.raises(PhotoUndecodable) as caught:
        intake.check(data, Camera.SHOPPER)
    assert caught.value.reason == "IMAGE_UNDECODABLE"


@pytest.mark.parametrize("kind", list(MEDIA_TYPES))
async def test_a_photo_that_is_cut_off_is_refused(intake: PhotoIntake, kind: str) -> None:
    whole = encoded(picture(90, 90), kind)
    await seen(intake, whole, Stages("test"))
    for length in (len(whole) // 2, len(whole) - 40, 20):
        with pytest.raises(PhotoUndecodable):
            await seen(intake, whole[:length], Stages("test"))


async def test_photos_over_the_caps_are_too_large(intake: PhotoIntake) -> None:
    with pytest.raises(PhotoTooLarge):
        intake.check(photo() + bytes(100_000), Camera.SHOPPER)
    with pytest.raises(PhotoTooLarge) as caught:
        await seen(intake, encoded(picture(101, 100), "PNG"), Stages("test"))
    assert caught.value.reason == "IMAGE_TOO_LARGE"
    await seen(intake, encoded(picture(100, 100), "PNG"), Stages("test"))


async def test_decoding_and_cropping_are_timed_apart(intake: PhotoIntake) -> None:
    stages = Stages("test")
    await seen(intake, photo(), stages)
    waiting, decoding, cropping = stages.finished
    assert [waiting.name, decoding.name, cropping.name] == ["intake_queue", "intake", "preprocess"]
    assert decoding.start <= cropping.start
    assert 0 < cropping.duration < decoding.duration


async def test_a_shopper_s_photo_is_decoded_before_an_import_s_that_wait(
    intake: PhotoIntake, decoders: FakeDecoders
) -> None:
    decoders.gate = asyncio.Event()
    done: list[str] = []

    async def see(name: str, priority: Priority) -> None:
        urgency.set(priority)
        await seen(intake, photo(), Stages("test"))
        done.append(name)

    waiting = [asyncio.create_task(see(f"bulk {n}", Priority.BULK)) for n in range(3)]
    await asyncio.sleep(0)
    waiting.append(asyncio.create_task(see("shopper", Priority.INTERACTIVE)))
    await asyncio.sleep(0)
    decoders.gate.set()
    await asyncio.gather(*waiting)
    assert done == ["bulk 0", "shopper", "bulk 1", "bulk 2"]


async def test_a_photo_to_search_by_is_too_large_where_one_of_the_catalog_is_not(
    decoders: FakeDecoders,
) -> None:
    few = PhotoLimits(max_pixels=9_999, pixels_setting="MOST_OF_A_QUERY")
    intake = PhotoIntake(decoders, {**LIMITS, Camera.SHOPPER: few})
    data = encoded(picture(100, 100), "PNG")
    catalogue = PhotoView(camera=Camera.CATALOGUE)
    await intake.see(data, RECIPE, catalogue, Stages("test"), "default")
    with pytest.raises(PhotoTooLarge, match=r"100 × 100 .* 9,999 .*\(MOST_OF_A_QUERY\)") as caught:
        await intake.see(data, RECIPE, PhotoView(), Stages("test"), "default")
    assert caught.value.reason == "IMAGE_TOO_LARGE"


@pytest.mark.parametrize(
    ("failure", "meaning"),
    [
        (DecodingCrashed("the decoder crashed on it"), PhotoUndecodable),
        (DecodingTimedOut("it took longer than 10 s"), PhotoUndecodable),
        (DecodingOutOfMemory(10 * 2**20), PhotoTooLarge),
        (DecodingUnavailable("no process"), EmbedderUnavailable),
    ],
)
async def test_what_a_decoder_dies_of_counts_as_the_photo_s_fault_unless_it_is_not(
    intake: PhotoIntake, decoders: FakeDecoders, failure: DecodingFailed, meaning: type[Exception]
) -> None:
    decoders.failure = failure
    with pytest.raises(meaning):
        await seen(intake, photo(), Stages("test"))


async def test_real_processes_give_the_same_pixels_and_the_same_refusals(
    intake: PhotoIntake,
) -> None:
    decoders = Decoders(work.__name__, 1, seconds=60)
    real = PhotoIntake(decoders, LIMITS)
    for kind in MEDIA_TYPES:
        data = encoded(picture(64, 48), kind)
        stages = Stages("test")
        expected = await seen(intake, data, stages)
        assert (await seen(real, data, stages) == expected).all()
    with pytest.raises(PhotoTooLarge, match="pixels"):
        await seen(real, encoded(picture(101, 100), "PNG"), Stages("test"))
    with pytest.raises(PhotoUndecodable, match="damaged"):
        await seen(real, photo()[:100], Stages("test"))
    decoders.close()


async def outcome(intake: PhotoIntake, data: bytes) -> object:
    """Return the pixels of a photo, or the error."""
    try:
        return (await seen(intake, data, Stages("test"))).tobytes()
    except (PhotoUndecodable, PhotoTooLarge) as error:
        return type(error), str(error)


@pytest.mark.full
@pytest.mark.slow
async def test_a_process_that_can_open_no_file_makes_the_same_of_damaged_photos(
    intake: PhotoIntake,
) -> None:
    decoders = Decoders(work.__name__, 1, seconds=60)
    real = PhotoIntake(decoders, LIMITS)
    chance = random.Random(7)
    for kind in MEDIA_TYPES:
        whole = encoded(picture(48, 40), kind)
        for _ in range(25):
            damaged = bytearray(whole)
            for _ in range(chance.randint(1, 8)):
                damaged[chance.randrange(12, len(damaged))] = chance.randrange(256)
            data = bytes(damaged)
            assert await outcome(real, data) == await outcome(intake, data), data.hex()
    decoders.close()


LARGE = [
    (mode, kind)
    for kind in ("JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF")
    for mode in ("RGB", "RGBA")
    if (kind, mode) != ("JPEG", "RGBA")
]


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize(("mode", "kind"), LARGE)
async def test_a_large_photo_can_do_with_the_memory_that_its_header_asks_for(
    mode: str, kind: str
) -> None:
    quick: dict[str, dict[str, Any]] = {
        "JPEG": {"progressive": True},
        "AVIF": {"speed": 10},
        "TIFF": {"compression": "tiff_lzw"},
    }
    data = encoded(Image.new(mode, (2_700, 2_000)), kind, **quick.get(kind, {}))
    limits = PhotoLimits(max_pixels=10_000_000)
    with pytest.raises(MemoryNeededError) as caught:
        preprocess.pixels(data, replace(limits, max_memory=0), RECIPE)
    spare = max(1, caught.value.needed - SPARE)
    for memory, enough in ((spare, True), (spare - 1, spare == 1)):
        decoders = Decoders(work.__name__, 1, seconds=60, memory_bytes=memory)
        seeing = seen(PhotoIntake(decoders, dict.fromkeys(Camera, limits)), data, Stages("test"))
        if enough:
            assert (await seeing).shape == (16, 16, 3)
        else:
            with pytest.raises(PhotoTooLarge, match="MiB of memory"):
                await seeing
        decoders.close()


async def test_a_tiny_file_of_a_large_photo_is_held_to_what_its_header_asks_for() -> None:
    """Check an AVIF of 1.5 KB that took 1,141 MiB in each of two processes in 0.5.6."""
    tiny = claiming("AVIF", 7_000, 7_000)
    assert len(tiny) < 1_500
    with pytest.raises(MemoryNeededError) as caught:
        preprocess.pixels(tiny, replace(PhotoLimits(), max_memory=SPARE), RECIPE)
    assert caught.value.needed > 1_141 * 2**20
    decoders = Decoders(work.__name__, 2, seconds=60, memory_bytes=caught.value.needed - SPARE - 1)
    real = PhotoIntake(decoders, dict.fromkeys(Camera, PhotoLimits()))
    for outcome in await asyncio.gather(
        *(seen(real, tiny, Stages("test")) for _ in range(2)), return_exceptions=True
    ):
        assert isinstance(outcome, PhotoTooLarge)
    decoders.close()


async def test_what_no_honest_process_answers_is_no_photo(intake: PhotoIntake) -> None:
    assert work.understood((0.5, 2.0)) == (0.5, 2.0)
    for facts in ((math.nan, 1), (-1, 1), (0.5, 0), (0.5, math.nan)):
        with pytest.raises(ValueError, match=r"seconds|sides"):
            work.understood(facts)


async def test_a_film_is_embedded_by_its_first_frame(intake: PhotoIntake) -> None:
    pixels = await seen(intake, frames("GIF"), Stages("test"))
    assert pixels[8, 8].tolist() == [255, 0, 0]
