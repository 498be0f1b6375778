"""Intake of photos: from untrusted files to pixels."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from embedder.domain.errors import EmbedderUnavailable, PhotoTooLarge, PhotoUndecodable
from embedder.domain.items import Priority
from embedder.domain.photos import Camera, PhotoView, PreparedPhoto
from embedder.domain.recipes import PhotoRecipe
from embedder.domain.urgency import urgency
from embedder.preprocessing import work
from servicekit.admission.fair_permits import Party
from servicekit.decoding import decoders as decoding
from servicekit.telemetry import Stages
from sightline_rules import photos
from sightline_rules.photos import PhotoLimits, PhotoRejectedError, RejectionReason


class PhotoIntake:
    """Decodes photos in separate processes. See ports.Intake."""

    def __init__(self, decoders: decoding.Decoders, limits: Mapping[Camera, PhotoLimits]) -> None:
        """Set the limits of the photos of each camera."""
        self._decoders = decoders
        self._limits = limits

    def check(self, photo: bytes, camera: Camera) -> None:
        try:
            photos.check_size(photo, self._limits[camera])
            photos.sniff(photo)
        except PhotoRejectedError as error:
            raise _translated(error) from error

    async def pixels(self, photo: bytes, camera: Camera, stages: Stages, catalog: str) -> int:
        limits = self._limits[camera]
        order, turn = work.header_order(limits), _turn(stages, catalog)
        with _translating(limits):
            (counted,), _ = await self._decoders.run(order, photo, work.HEADER, turn)
            if not 1 <= counted <= limits.max_pixels:
                raise ValueError("the decoding process reports an impossible number of pixels")
            return int(counted)

    async def see(
        self, photo: bytes, recipe: PhotoRecipe, look: PhotoView, stages: Stages, catalog: str
    ) -> PreparedPhoto:
        seen, cropping = await self._decoded(photo, recipe, look, _turn(stages, catalog))
        stages.record("preprocess", stages.elapsed - cropping, cropping)
        return seen

    async def _decoded(
        self, photo: bytes, recipe: PhotoRecipe, look: PhotoView, turn: decoding.Turn
    ) -> tuple[PreparedPhoto, float]:
        limits, wanted = self._limits[look.camera], work.wanted(recipe, look)
        order = work.order(limits, recipe, look)
        with _translating(limits):
            facts, data = await self._decoders.run(order, photo, wanted, turn)
            seconds, ratio = work.understood(facts)
        pixels = np.frombuffer(data, np.uint8).reshape(wanted.shape)
        return PreparedPhoto(pixels, ratio), seconds


def _turn(stages: Stages, catalog: str) -> decoding.Turn:
    return decoding.Turn(Party.of(catalog), urgency.get() or Priority.INTERACTIVE, stages)


@contextmanager
def _translating(limits: PhotoLimits) -> Iterator[None]:
    """Translate the errors of decoding to those of the service."""
    try:
        yield
    except decoding.DecodingRefused as error:
        rejected = PhotoRejectedError.of(error.code, str(error))
        raise _translated(rejected, limits.pixels_setting) from error
    except decoding.DecodingUnavailable as error:
        raise EmbedderUnavailable("no photo can be decoded now") from error
    except decoding.DecodingOutOfMemory as error:
        raise PhotoTooLarge(f"the photo can't be decoded: {error}") from error
    except (decoding.DecodingFailed, ValueError) as error:
        raise PhotoUndecodable(f"the photo can't be decoded: {error}") from error


def _translated(error: PhotoRejectedError, setting: str = "") -> PhotoUndecodable | PhotoTooLarge:
    """Return the error of a rejected photo; `setting`: of the limit that a large one exceeds."""
    if error.reason is RejectionReason.TOO_LARGE:
        return PhotoTooLarge(f"{error} ({setting})" if setting else str(error))
    return PhotoUndecodable(str(error))
