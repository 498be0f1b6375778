"""The protocol between a service and a decoding process: fixed headers, followed by as many bytes
as they name. Numbers are big-endian.

The process may have been taken over by the photo that it decodes. So its answer is treated as
untrusted bytes: `read` accepts only an answer to what was asked, the only objects made are numbers,
bytes and a short text, and neither side ever unpickles.

A request is: magic, version, bytes of the order, bytes of the photo, bytes of memory; then the
order. An answer is: magic, version, status, code, type, dimensions, their sizes, bytes of the note,
bytes of the pixels; then the note. Photo and pixels lie in shared memory, all else crosses the
socket.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

MAX_NOTE: Final = 1024
MAX_ORDER: Final = 65_535
REQUEST: Final = struct.Struct("!4sBHQQ")
ANSWER: Final = struct.Struct("!4s5B4IHQ")

_ASK, _REPLY, _VERSION = b"SLDQ", b"SLDA", 1
_MOST_DIMENSIONS = 4
_NOTHING, _BYTES = 0, 1
"""Types of the pixels of an answer: none, or uint8."""


class DecodeStatus(IntEnum):
    """Outcome of a request."""

    READY = 0
    """The process started. The note names the layers that confine it, separated by spaces."""
    DONE = 1
    REFUSED = 2
    """Rejected; `code` is the work's own reason, the note its text."""
    MEMORY_WANTED = 3
    """Needs more memory than given: as many bytes as the size field says."""
    OUT_OF_MEMORY = 4
    FAILED = 5
    """The work raised an unexpected exception; the note has it."""


class AnswerInvalid(ValueError):
    """The bytes are not a valid answer to the request."""


class Refused(Exception):
    """Raised by work that rejects a photo."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class MemoryWanted(Exception):
    """A photo needs more memory than given, by its header; it was not decoded."""

    def __init__(self, size: int) -> None:
        super().__init__(f"{size:,} bytes of memory are wanted")
        self.size = size


class Made(NamedTuple):
    """Result of work on a photo."""

    facts: bytes
    """Packed by the work, unpacked by the requester."""
    pixels: memoryview | None = None
    """uint8, contiguous."""


@dataclass(frozen=True, slots=True)
class ExpectedOutput:
    """Expected form of an answer."""

    facts: struct.Struct
    shape: tuple[int, ...] = ()
    """Shape of the pixels, uint8, at most 4 dimensions. Empty without pixels."""

    @property
    def size(self) -> int:
        """Bytes of the pixels."""
        return math.prod(self.shape) if self.shape else 0


GREETING: Final = ExpectedOutput(struct.Struct(""))
"""Expected form of the message that a process sends at its start."""


class AnswerHeader(NamedTuple):
    """A validated header of an answer."""

    status: DecodeStatus
    code: int
    note: int
    """Bytes of the note, which follows."""
    size: int
    """Bytes of the pixels, or of memory for MEMORY_WANTED."""


def request(order: bytes, photo: int, memory: int) -> bytes:
    """Return an encoded request for a photo of `photo` bytes."""
    if len(order) > MAX_ORDER:
        raise ValueError("an order is 64 KiB at most")
    return REQUEST.pack(_ASK, _VERSION, len(order), photo, memory) + order


def asked(head: bytes, room: int) -> tuple[int, int, int]:
    """Decode a request header: bytes of the order, bytes of the photo, memory.

    Raises AnswerInvalid.
    """
    magic, version, order, photo, memory = REQUEST.unpack(head)
    if (magic, version) != (_ASK, _VERSION) or photo > room:
        raise AnswerInvalid("not a request")
    return order, photo, memory


def answer(
    status: DecodeStatus,
    note: str | bytes = b"",
    *,
    code: int = 0,
    size: int = 0,
    shape: Sequence[int] = (),
) -> bytes:
    """Return an encoded answer; a text note is cut to MAX_NOTE bytes of UTF-8."""
    if isinstance(note, str):
        note = note.encode("utf-8", "replace")[:MAX_NOTE]
    sides = (*shape, *[0] * (_MOST_DIMENSIONS - len(shape)))
    kind = _BYTES if shape else _NOTHING
    head = (_REPLY, _VERSION, status, code, kind, len(shape), *sides, len(note), size)
    return ANSWER.pack(*head) + note


def read(head: bytes, wanted: ExpectedOutput) -> AnswerHeader:
    """Decode an answer's header. Raises AnswerInvalid unless it matches what was asked."""
    magic, version, status, code, kind, dimensions, *rest = ANSWER.unpack(head)
    sides, note, size = rest[:_MOST_DIMENSIONS], *rest[_MOST_DIMENSIONS:]
    if (magic, version) != (_REPLY, _VERSION) or status not in tuple(DecodeStatus):
        raise AnswerInvalid("not an answer")
    done = status == DecodeStatus.DONE
    shape = wanted.shape if done else ()
    if (
        (kind, dimensions) != (_BYTES if shape else _NOTHING, len(shape))
        or sides != [*shape, *[0] * (_MOST_DIMENSIONS - len(shape))]
        or (status != DecodeStatus.MEMORY_WANTED and size != (wanted.size if done else 0))
        or (note != wanted.facts.size if done else note > MAX_NOTE)
        or (code and status != DecodeStatus.REFUSED)
        or (status == DecodeStatus.READY) != (wanted is GREETING)
    ):
        raise AnswerInvalid("not an answer to the request")
    return AnswerHeader(DecodeStatus(status), code, note, size)


def text(note: bytes) -> str:
    """Decode a note; control characters become question marks."""
    decoded = note.decode("utf-8", "replace")
    return "".join(each if each.isprintable() else "?" for each in decoded)
