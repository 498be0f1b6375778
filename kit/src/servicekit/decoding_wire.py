"""What a service and a process that decodes say to each other: headers of one length, and as many
bytes as these name. Numbers are big-endian.

The process may have been taken over by the photo that it decodes. So its answer is taken for what
it is, bytes: `read` lets through what was asked for and nothing else, no object is made but
numbers, bytes and a short text, and nothing is ever unpickled, on either side.

    request   magic, version, bytes of the order, bytes of the photo, bytes of memory; the order
    answer    magic, version, status, code, type, dimensions, their sizes, bytes of the note, bytes
              of the pixels; the note

Photo and pixels lie in memory that the two share, all else crosses their socket.
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
"""Types of what an answer carries: no pixels, or uint8."""


class DecodeStatus(IntEnum):
    """What became of a request."""

    READY = 0
    """None yet: the process began. The note names the layers that confine it, with blanks."""
    DONE = 1
    REFUSED = 2
    """`code` says why, by the work's own numbers, and the note in words."""
    MEMORY_WANTED = 3
    """It takes more than it was given: so many bytes, where those of the pixels would stand."""
    OUT_OF_MEMORY = 4
    FAILED = 5
    """The work raised what it should not; the note has it."""


class AnswerInvalid(ValueError):
    """Not the answer to what was asked."""


class Refused(Exception):
    """Raised by work: a photo that it does not take."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class MemoryWanted(Exception):
    """Raised by work before it begins: a photo that takes more memory than it was given."""

    def __init__(self, size: int) -> None:
        super().__init__(f"{size:,} bytes of memory are wanted")
        self.size = size


class Made(NamedTuple):
    """What work makes of a photo."""

    facts: bytes
    """Packed, as the one who asked unpacks them."""
    pixels: memoryview | None = None
    """uint8, contiguous."""


@dataclass(frozen=True, slots=True)
class ExpectedOutput:
    """What an answer has to look like."""

    facts: struct.Struct
    shape: tuple[int, ...] = ()
    """Of the pixels, uint8, at most 4 dimensions; none = there are no pixels."""

    @property
    def size(self) -> int:
        """Bytes of the pixels."""
        return math.prod(self.shape) if self.shape else 0


GREETING: Final = ExpectedOutput(struct.Struct(""))
"""What a process says before it is asked."""


class AnswerHeader(NamedTuple):
    """An answer's header, checked."""

    status: DecodeStatus
    code: int
    note: int
    """Bytes of the note, which follows."""
    size: int
    """Bytes of the pixels, or of memory for MEMORY_WANTED."""


def request(order: bytes, photo: int, memory: int) -> bytes:
    """What asks for one photo, of so many bytes."""
    if len(order) > MAX_ORDER:
        raise ValueError("an order is 64 KiB at most")
    return REQUEST.pack(_ASK, _VERSION, len(order), photo, memory) + order


def asked(head: bytes, room: int) -> tuple[int, int, int]:
    """Bytes of the order and of the photo, and the memory given. Raises AnswerInvalid."""
    magic, version, order, photo, memory = REQUEST.unpack(head)
    if (magic, version) != (_ASK, _VERSION) or photo > room:
        raise AnswerInvalid("this is no request")
    return order, photo, memory


def answer(
    status: DecodeStatus,
    note: str | bytes = b"",
    *,
    code: int = 0,
    size: int = 0,
    shape: Sequence[int] = (),
) -> bytes:
    """An answer as it crosses; a text is cut to MAX_NOTE bytes of UTF-8."""
    if isinstance(note, str):
        note = note.encode("utf-8", "replace")[:MAX_NOTE]
    sides = (*shape, *[0] * (_MOST_DIMENSIONS - len(shape)))
    kind = _BYTES if shape else _NOTHING
    head = (_REPLY, _VERSION, status, code, kind, len(shape), *sides, len(note), size)
    return ANSWER.pack(*head) + note


def read(head: bytes, wanted: ExpectedOutput) -> AnswerHeader:
    """An answer's header. Raises AnswerInvalid unless it is one to what was asked."""
    magic, version, status, code, kind, dimensions, *rest = ANSWER.unpack(head)
    sides, note, size = rest[:_MOST_DIMENSIONS], *rest[_MOST_DIMENSIONS:]
    if (magic, version) != (_REPLY, _VERSION) or status not in tuple(DecodeStatus):
        raise AnswerInvalid("this is no answer")
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
        raise AnswerInvalid("this is no answer to what was asked")
    return AnswerHeader(DecodeStatus(status), code, note, size)


def text(note: bytes) -> str:
    """A note in words, with no character that a terminal would act on."""
    decoded = note.decode("utf-8", "replace")
    return "".join(each if each.isprintable() else "?" for each in decoded)
