"""The process that tries a brought model: `python -m embedder.bringing.trial_host`.

The file and the photos come by the socket that is its standard input. Before the first byte of them
is read, the process gives up files, sockets, other processes (servicekit.decoding.confinement), and
memory above a limit: a file that takes it over reaches nothing, and one that is too large ends it.
"""

import json
import os
import resource
import socket
import struct
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import numpy as np
from PIL import Image
from pydantic import TypeAdapter

from embedder.adapters.onnxruntime import brought_file, frames
from embedder.domain.brought import Fit, Look, ModelRefused, ResizeFilter, Wanted
from embedder.domain.photos import WHOLE
from embedder.domain.recipes import PhotoRecipe, PreprocessStep
from embedder.preprocessing import preprocess, work
from servicekit.decoding.confinement import Confinement
from sightline_rules import photos
from sightline_rules.photo_memory import MemoryNeededError
from sightline_rules.photos import PhotoLimits, PhotoRejectedError

SIZES: Final = struct.Struct("!IQ")
"""Bytes of the head in JSON, and of what follows it."""
LIMITS: Final = PhotoLimits(10 * 2**20, 50_000_000, 2**30)
"""Limits of a photo, as of the catalog's photos."""
WANTED: Final = TypeAdapter(Wanted)
LOOKS: Final = TypeAdapter(list[Look])
FILTERS: Final = {
    ResizeFilter.BICUBIC: Image.Resampling.BICUBIC,
    ResizeFilter.BILINEAR: Image.Resampling.BILINEAR,
    ResizeFilter.LANCZOS: Image.Resampling.LANCZOS,
    ResizeFilter.NEAREST: Image.Resampling.NEAREST,
}


class Trial:
    """A model that is tried."""

    def __init__(self, file: bytes, wanted: Wanted) -> None:
        self.facts, self._part, self._session = brought_file.checked(
            brought_file.read(file), wanted
        )

    def file(self) -> bytes:
        """Return the part of the file that makes vectors."""
        return bytes(self._part.SerializeToString(deterministic=True))

    def vectors(self, photo: bytes, looks: list[Look], steps: str) -> tuple[Any, float, float]:
        """Return a photo's vector for each look, and the wall and processor seconds of one, with
        preprocessing. Raises PhotoRejectedError and MemoryNeededError."""
        start, used = time.perf_counter(), time.process_time()
        found = []
        for look in looks:
            pixels = seen(photo, look, self.facts.side, steps)
            if self.facts.pixels == "float32":
                pixels = normalised(pixels, look)
            inputs = brought_file.given(self.facts, pixels[None])
            found.append(brought_file.run(self._session, inputs)[0])
        spent = (time.perf_counter() - start, time.process_time() - used)
        return np.stack(found), spent[0] / len(looks), spent[1] / len(looks)


def seen(photo: bytes, look: Look, side: int, steps: str = "") -> Any:
    """Return a photo as a model sees it, uint8 RGB [side, side, 3]; with BICUBIC, and not squashed,
    as the embedder would."""
    done = tuple(map(PreprocessStep, filter(None, steps.split(";"))))
    if look.fit is Fit.PAD and PreprocessStep.CROP_PAD not in done:
        done = (PreprocessStep.CROP_PAD, *done)
    recipe = PhotoRecipe(side, look.crop, "", done)
    if look.resize is ResizeFilter.BICUBIC and look.fit is not Fit.SQUASH:
        image = photos.decode(photo, LIMITS, preprocess.least_side(recipe))
        return preprocess.views(image, recipe, WHOLE, 1)[0]
    image = photos.decode(photo, LIMITS)
    left, top, width, height = 0.0, 0.0, float(image.width), float(image.height)
    if look.fit is not Fit.SQUASH:
        kept = min(width, height) * look.crop
        left, top, width, height = (width - kept) / 2, (height - kept) / 2, kept, kept
    if look.resize is ResizeFilter.PLAIN_BILINEAR:
        step = (width / side, height / side)
        affine = (step[0], 0, left, 0, step[1], top)
        way, how = Image.Transform.AFFINE, Image.Resampling.BILINEAR
        return np.asarray(image.transform((side, side), way, affine, how))
    box = (left, top, left + width, top + height)
    return np.asarray(image.resize((side, side), FILTERS[look.resize], box))


def normalised(pixels: Any, look: Look) -> Any:
    """Return float32 pixels as deploy/triton/triton_engine/onnx_file.py normalises them."""
    ordered = pixels[..., ::-1] if look.channels == "BGR" else pixels
    mean, scale = (np.asarray(each, np.float32) for each in (look.mean, look.scale))
    return (ordered.astype(np.float32) - mean) / scale


def main() -> None:
    """Confine this process, then check a file and answer for photos until the socket closes."""
    link = socket.socket(fileno=sys.stdin.fileno())
    work.prepare()  # no file can be opened later
    layers = _confined(int(sys.argv[1]))
    trial: Trial | None = None
    _send(link, {"layers": layers})
    while (asked := _received(link)) is not None:
        head, data = asked
        try:
            if trial is None:
                trial = Trial(bytes(data), WANTED.validate_python(head))
                _send(link, asdict(trial.facts), trial.file())
            else:
                _send(link, *_embedded(trial, head, bytes(data)))
        except ModelRefused as error:
            _send(link, {"reason": error.reason, "message": str(error)})
        except Exception as error:  # of any kind, by a file that nobody has checked
            refused = brought_file.broken(error)
            _send(link, {"reason": refused.reason, "message": str(refused)})
    os._exit(0)


def _embedded(trial: Trial, head: Mapping[str, Any], photo: bytes) -> tuple[dict[str, Any], bytes]:
    try:
        looks = LOOKS.validate_python(head["looks"])
        found, wall, processor = trial.vectors(photo, looks, head["steps"])
    except (PhotoRejectedError, MemoryNeededError) as error:
        return {"rejected": str(error)}, b""
    return {"seconds": [wall, processor]}, found.astype("<f4").tobytes()


def _confined(memory: int) -> tuple[str, ...]:
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    return Confinement().enter()


def _received(link: socket.socket) -> tuple[Mapping[str, Any], bytearray] | None:
    """Return the next order and its bytes; None when the socket is closed."""
    try:
        text, size = SIZES.unpack(frames.exactly(link, SIZES.size))
        return json.loads(frames.exactly(link, text)), frames.exactly(link, size)
    except (EOFError, OSError):
        return None


def _send(link: socket.socket, head: Mapping[str, Any], data: bytes = b"") -> None:
    text = json.dumps(head).encode()
    link.sendall(SIZES.pack(len(text), len(data)) + text)
    link.sendall(data)


if __name__ == "__main__":
    main()
