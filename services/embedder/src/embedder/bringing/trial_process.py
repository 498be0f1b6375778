"""Our side of the process that tries a brought model: it reads no byte of the file itself."""

import json
import socket
import struct
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from embedder.adapters.onnxruntime import frames
from embedder.adapters.onnxruntime.model_process import environment
from embedder.domain.brought import FileFacts, Look, ModelRefused, Refusal, Wanted
from servicekit.decoding.confinement import LAYERS

HOST: Final = "embedder.bringing.trial_host"
SIZES: Final = struct.Struct("!IQ")
MOST_BYTES: Final = 2**31 - 1
"""Maximum size of a file: that of a Protobuf message."""
MOST_HEAD: Final = 2**16
ROOM: Final = 2**30
"""Bytes that the process may take beside COPIES of the file."""
COPIES: Final = 5
START_SECONDS: Final = 60.0
FILE_SECONDS: Final = 300.0
"""Time that the check of a file may take; that of a photo: PHOTO_SECONDS for each look."""
PHOTO_SECONDS: Final = 20.0
FACTS: Final = TypeAdapter(FileFacts)


@dataclass(frozen=True, slots=True)
class Embedded:
    """A photo's vectors, one for each look."""

    vectors: npt.NDArray[np.float32]
    wall_seconds: float
    """Time of one look, with preprocessing, on one thread."""
    processor_seconds: float


class TrialProcess:
    """A confined process that tries one file; ends with the context."""

    def __init__(self, path: Path, wanted: Wanted) -> None:
        """Start it, and have it check the file. Raises ModelRefused."""
        file = _read(path)
        memory = ROOM + COPIES * len(file)
        self._link, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                (sys.executable, "-sP", "-m", HOST, str(memory)),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment(),
                process_group=0,
            )
        try:
            self.layers, self.facts, self.part = self._checked(path.name, file, wanted)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._link.close()

    def embed(self, photo: bytes, looks: Sequence[Look], steps: str = "") -> Embedded | None:
        """Return a photo's vectors; None if the photo can't be decoded. Raises ModelRefused."""
        order = {"looks": [asdict(look) for look in looks], "steps": steps}
        size = 4 * len(looks) * self.facts.dimension
        head, data = self._asked(order, photo, PHOTO_SECONDS * len(looks), size)
        if "rejected" in head:
            return None
        try:
            wall, processor = map(float, head["seconds"])
            found = np.frombuffer(data, "<f4").reshape(len(looks), -1)
        except (KeyError, TypeError, ValueError) as error:
            raise _gone() from error
        if len(data) != size or not np.isfinite(found).all():
            raise ModelRefused(
                Refusal.BROKEN, "the network returns numbers that are not finite for a photo"
            )
        return Embedded(found, wall, processor)

    def _checked(
        self, name: str, file: bytes, wanted: Wanted
    ) -> tuple[Sequence[str], FileFacts, bytes]:
        """Return the layers of confinement, the facts of the file, and its part."""
        hello, _ = self._answer(START_SECONDS, 0)
        layers = [layer for layer in LAYERS if layer in str(hello.get("layers"))]
        if not confined(layers):
            raise ModelRefused(
                Refusal.UNCONFINED,
                f"{name} is not read: this system can't confine a process (Landlock or seccomp);"
                " bring it on another one",
            )
        head, part = self._asked(asdict(wanted), file, FILE_SECONDS, MOST_BYTES)
        try:
            facts = FACTS.validate_python(head)
        except ValidationError as error:
            raise _gone() from error
        return layers, facts, part

    def _asked(
        self, head: Mapping[str, Any], data: bytes, seconds: float, most: int
    ) -> tuple[Mapping[str, Any], bytes]:
        text = json.dumps(head).encode()
        self._link.settimeout(seconds)
        try:
            self._link.sendall(SIZES.pack(len(text), len(data)) + text)
            self._link.sendall(data)
        except OSError as error:
            raise _gone() from error
        return self._answer(seconds, most)

    def _answer(self, seconds: float, most: int) -> tuple[Mapping[str, Any], bytes]:
        """Return the head and the bytes of an answer of at most `most` bytes."""
        self._link.settimeout(seconds)
        try:
            text, size = SIZES.unpack(self._exactly(SIZES.size))
            head = json.loads(self._exactly(text, MOST_HEAD))
            data = bytes(self._exactly(size, most))
        except (EOFError, OSError, ValueError) as error:  # TimeoutError is an OSError
            raise _gone() from error
        if not isinstance(head, dict):
            raise _gone()
        if "reason" in head:
            raise ModelRefused(_reason(head["reason"]), str(head.get("message", "")))
        return head, data

    def _exactly(self, size: int, most: int = MOST_HEAD) -> bytearray:
        if size > most:
            raise EOFError("its answer is longer than asked for")
        return frames.exactly(self._link, size)


def confined(layers: Collection[str]) -> bool:
    """Return whether a process with these layers of confinement can open no file."""
    return "limits" in layers and bool({"landlock", "seccomp"} & {*layers})


def _read(path: Path) -> bytes:
    if path.stat().st_size > MOST_BYTES:
        raise ModelRefused(
            Refusal.FILE_TOO_LARGE,
            f"{path.name} is larger than 2 GB, which no ONNX file can be: export it in float16",
        )
    return path.read_bytes()


def _reason(name: object) -> Refusal:
    return next((each for each in Refusal if each == name), Refusal.BROKEN)


def _gone() -> ModelRefused:
    return ModelRefused(
        Refusal.MEMORY,
        "the process that tried the file ended or took too long, as a damaged file or too large a"
        " network makes it: bring a smaller one, or export it again",
    )
