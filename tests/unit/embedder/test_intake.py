"""Who goes first, and photos from strangers."""

import asyncio

import numpy as np
import pytest

from embedder import preprocess
from embedder.intake import Gate, PhotoIntake
from embedder.model import (
    EmbedderUnavailable,
    PhotoTooLarge,
    PhotoUndecodable,
    Priority,
    QueueFull,
    Recipe,
)
from servicekit.decoding import (
    Decoders,
    DecodingCrashed,
    DecodingFailed,
    DecodingOutOfMemory,
    DecodingTimedOut,
    DecodingUnavailable,
)
from servicekit.telemetry import Stages
from sightline_rules.photos import PhotoLimits
from tests.fakes.decoding import FakeDecoders
from tests.fakes.photos import MEDIA_TYPES, encoded, frames, photo, picture, turned

RECIPE = Recipe(side=16, crop=0.875, normalisation="none")
BULK, INTERACTIVE = Priority.BULK, Priority.INTERACTIVE


@pytest.fixture
def decoders() -> FakeDecoders:
    return FakeDecoders()


@pytest.fixture
def intake(decoders: FakeDecoders) -> PhotoIntake:
    return PhotoIntake(decoders, PhotoLimits(max_bytes=100_000, max_pixels=10_000))


class Queue:
    """Tasks that go through a gate, and the order in which they were let in."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.entered: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.ends: dict[str, asyncio.Event] = {}

    async def come(self, name: str, priority: Priority) -> None:
        self.ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._pass(name, priority))
        await settle()

    async def _pass(self, name: str, priority: Priority) -> None:
        await self.gate.enter(priority)
        try:
            self.entered.append(name)
            await self.ends[name].wait()
        finally:
            self.gate.leave()

    async def go(self, name: str) -> None:
        self.ends[name].set()
        await self.tasks[name]
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_one_place_is_kept_from_bulk_work() -> None:
    queue = Queue(Gate(2, 9))
    await queue.come("bulk 1", BULK)
    await queue.come("bulk 2", BULK)
    assert queue.entered == ["bulk 1"]
    await queue.come("shopper", INTERACTIVE)
    assert queue.entered == ["bulk 1", "shopper"]


async def test_a_shopper_who_comes_last_is_let_in_before_bulk_work_that_waits() -> None:
    queue = Queue(Gate(2, 9))
    for name, priority in (("a", INTERACTIVE), ("b", INTERACTIVE), ("bulk", BULK)):
        await queue.come(name, priority)
    await queue.come("late", INTERACTIVE)
    await queue.go("a")
    assert queue.entered == ["a", "b", "late"]
    await queue.go("b")
    await queue.go("late")
    assert queue.entered[-1] == "bulk"


async def test_those_of_one_priority_are_let_in_in_the_order_of_their_coming() -> None:
    queue = Queue(Gate(2, 99))
    names = [str(i) for i in range(12)]
    for name in names:
        await queue.come(name, BULK)
    for name in names:
        await queue.go(name)
    assert queue.entered == names


async def test_above_its_bound_the_queue_refuses_but_bulk_work_never_keeps_a_shopper_out() -> None:
    queue = Queue(Gate(2, 1))
    for name in ("in", "waits"):
        await queue.come(name, BULK)
    with pytest.raises(QueueFull):
        await queue.gate.enter(BULK)
    await queue.come("shopper", INTERACTIVE)
    await queue.come("next shopper", INTERACTIVE)
    with pytest.raises(QueueFull):
        await queue.gate.enter(INTERACTIVE)
    assert queue.entered == ["in", "shopper"]


async def test_a_cancelled_place_in_the_queue_is_not_lost() -> None:
    queue = Queue(Gate(2, 9))
    for name in ("a", "b", "gives up", "c"):
        await queue.come(name, INTERACTIVE)
    queue.tasks["gives up"].cancel()
    await settle()
    await queue.go("a")
    assert queue.entered == ["a", "b", "c"]


async def test_a_place_given_in_the_instant_of_a_cancellation_goes_to_the_next() -> None:
    queue = Queue(Gate(2, 9))
    for name in ("a", "b", "gives up", "c", "d"):
        await queue.come(name, INTERACTIVE)
    queue.tasks["gives up"].cancel()
    queue.ends["a"].set()
    queue.ends["b"].set()
    await settle()
    assert queue.entered == ["a", "b", "c", "d"]
    for name in ("c", "d"):
        await queue.go(name)
    for name in ("e", "f", "g"):
        await queue.come(name, INTERACTIVE)
    assert queue.entered[-2:] == ["e", "f"]


async def test_cancelling_every_one_at_once_gives_all_places_back() -> None:
    # A deadline that many share ends them in one turn of the loop.
    queue = Queue(Gate(3, 99))
    for i in range(20):
        await queue.come(str(i), INTERACTIVE)
    for task in queue.tasks.values():
        task.cancel()
    done = await asyncio.gather(*queue.tasks.values(), return_exceptions=True)
    assert all(isinstance(error, asyncio.CancelledError) for error in done)
    for name in ("x", "y", "z", "waits"):
        await queue.come(name, INTERACTIVE)
    assert queue.entered[-3:] == ["x", "y", "z"]


def test_a_gate_needs_a_place_for_each_priority() -> None:
    with pytest.raises(ValueError, match="one place"):
        Gate(1, 9)


async def test_a_photo_becomes_the_pixels_of_its_crop(intake: PhotoIntake) -> None:
    image = picture(64, 48)
    pixels = await intake.pixels(encoded(image, "PNG"), RECIPE, Stages("test"))
    assert (pixels == preprocess.crop(image, RECIPE)).all()


async def test_a_turned_photo_gives_the_pixels_of_the_upright_one(intake: PhotoIntake) -> None:
    upright = picture(64, 48)
    lying = upright.transpose(2)  # a quarter turn to the left; EXIF 6 turns it back
    expected = await intake.pixels(encoded(upright, quality=95), RECIPE, Stages("test"))
    pixels = await intake.pixels(turned(lying, 6), RECIPE, Stages("test"))
    assert np.abs(pixels.astype(int) - expected).mean() < 3
    ignored = await intake.pixels(turned(lying, 1), RECIPE, Stages("test"))
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
    intake.check(data)
    pixels = await intake.pixels(data, RECIPE, Stages("test"))
    assert pixels.shape == (16, 16, 3)
    assert pixels.dtype == np.uint8


@pytest.mark.parametrize(
    "data", [b"", b"hello, this is a text file", b"%PDF-1.7", b"\xff", b"<svg/>"]
)
async def test_what_is_no_photo_is_refused_before_a_process_sees_it(
    intake: PhotoIntake, data: bytes
) -> None:
    with pytest.raises(PhotoUndecodable) as caught:
        intake.check(data)
    assert caught.value.reason == "IMAGE_UNDECODABLE"


@pytest.mark.parametrize("kind", list(MEDIA_TYPES))
async def test_a_photo_that_is_cut_off_is_refused(intake: PhotoIntake, kind: str) -> None:
    whole = encoded(picture(90, 90), kind)
    await intake.pixels(whole, RECIPE, Stages("test"))
    for length in (len(whole) // 2, len(whole) - 40, 20):
        with pytest.raises(PhotoUndecodable):
            await intake.pixels(whole[:length], RECIPE, Stages("test"))


async def test_photos_over_the_caps_are_too_large(intake: PhotoIntake) -> None:
    with pytest.raises(PhotoTooLarge):
        intake.check(photo() + bytes(100_000))
    with pytest.raises(PhotoTooLarge) as caught:
        await intake.pixels(encoded(picture(101, 100), "PNG"), RECIPE, Stages("test"))
    assert caught.value.reason == "IMAGE_TOO_LARGE"
    await intake.pixels(encoded(picture(100, 100), "PNG"), RECIPE, Stages("test"))


async def test_decoding_and_cropping_are_timed_apart(intake: PhotoIntake) -> None:
    stages = Stages("test")
    await intake.pixels(photo(), RECIPE, stages)
    decoding, cropping = stages.finished
    assert (decoding.name, cropping.name) == ("intake", "preprocess")
    assert decoding.start <= cropping.start
    assert 0 < cropping.duration < decoding.duration


@pytest.mark.parametrize(
    ("failure", "meaning"),
    [
        (DecodingCrashed("the decoder died of it"), PhotoUndecodable),
        (DecodingTimedOut("it took longer than 10 s"), PhotoUndecodable),
        (DecodingOutOfMemory("it needs more than 10 MiB"), PhotoTooLarge),
        (DecodingUnavailable("no process"), EmbedderUnavailable),
    ],
)
async def test_what_a_decoder_dies_of_is_told_as_the_photo_s_fault_unless_it_is_not(
    intake: PhotoIntake, decoders: FakeDecoders, failure: DecodingFailed, meaning: type[Exception]
) -> None:
    decoders.failure = failure
    with pytest.raises(meaning):
        await intake.pixels(photo(), RECIPE, Stages("test"))


async def test_real_processes_give_the_same_pixels_and_the_same_refusals(
    intake: PhotoIntake,
) -> None:
    decoders = Decoders(1, seconds=60, preload=["embedder.preprocess"])
    real = PhotoIntake(decoders, PhotoLimits(max_bytes=100_000, max_pixels=10_000))
    for kind in MEDIA_TYPES:
        data = encoded(picture(64, 48), kind)
        stages = Stages("test")
        expected = await intake.pixels(data, RECIPE, stages)
        assert (await real.pixels(data, RECIPE, stages) == expected).all()
    with pytest.raises(PhotoTooLarge, match="pixels"):
        await real.pixels(encoded(picture(101, 100), "PNG"), RECIPE, Stages("test"))
    with pytest.raises(PhotoUndecodable, match="damaged"):
        await real.pixels(photo()[:100], RECIPE, Stages("test"))
    decoders.close()


async def test_a_film_is_embedded_by_its_first_frame(intake: PhotoIntake) -> None:
    pixels = await intake.pixels(frames("GIF"), RECIPE, Stages("test"))
    assert pixels[8, 8].tolist() == [255, 0, 0]
