"""Answers of a compromised process that are rejected."""

import struct
from collections.abc import Sequence
from typing import Any

import pytest

from servicekit.decoding import wire
from servicekit.decoding.wire import GREETING, AnswerInvalid, DecodeStatus, ExpectedOutput

SHAPE = (2, 5, 5, 3)
WANTED = ExpectedOutput(struct.Struct("!IQ"), SHAPE)
FACTS = bytes(12)
DONE = wire.answer(DecodeStatus.DONE, FACTS, size=150, shape=SHAPE)
MAGIC, VERSION, STATUS, CODE, KIND, DIMENSIONS, NOTE, SIZE = 0, 1, 2, 3, 4, 5, 10, 11


def head(answer: bytes) -> bytes:
    return answer[: wire.ANSWER.size]


def altered(answer: bytes, place: int, value: Any) -> bytes:
    fields = list(wire.ANSWER.unpack(head(answer)))
    fields[place] = value
    return wire.ANSWER.pack(*fields)


def test_an_answer_to_what_was_asked_is_read() -> None:
    assert wire.read(head(DONE), WANTED) == (DecodeStatus.DONE, 0, 12, 150)
    plain = ExpectedOutput(struct.Struct("!B"))
    assert wire.read(head(wire.answer(DecodeStatus.DONE, b"1")), plain) == (
        DecodeStatus.DONE,
        0,
        1,
        0,
    )


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (MAGIC, b"SLDQ"),
        (VERSION, 2),
        (STATUS, DecodeStatus.READY),
        (STATUS, DecodeStatus.REFUSED),
        (STATUS, 99),
        (CODE, 1),
        (KIND, 0),
        (KIND, 2),
        (DIMENSIONS, 3),
        (DIMENSIONS, 5),
        *[(place, 4) for place in range(6, 10)],
        *[(place, 2**32 - 1) for place in range(6, 10)],
        (NOTE, 11),
        (NOTE, 65_535),
        (SIZE, 149),
        (SIZE, 2**64 - 1),
    ],
)
def test_an_answer_that_differs_in_one_number_is_none(place: int, value: Any) -> None:
    with pytest.raises(AnswerInvalid):
        wire.read(altered(DONE, place, value), WANTED)


@pytest.mark.parametrize(
    "status", [DecodeStatus.REFUSED, DecodeStatus.OUT_OF_MEMORY, DecodeStatus.FAILED]
)
@pytest.mark.parametrize(
    ("place", "value"), [(KIND, 1), (DIMENSIONS, 1), (6, 1), (NOTE, 1025), (SIZE, 1)]
)
def test_a_failure_has_no_pixels_and_a_short_note(
    status: DecodeStatus, place: int, value: int
) -> None:
    failure = wire.answer(status, "why")
    assert wire.read(head(failure), WANTED) == (status, 0, 3, 0)
    with pytest.raises(AnswerInvalid):
        wire.read(altered(failure, place, value), WANTED)


def test_a_process_greets_once_and_only_then() -> None:
    greeting = head(wire.answer(DecodeStatus.READY, "limits seccomp"))
    assert wire.read(greeting, GREETING).note == 14
    for said, wanted in ((greeting, WANTED), (head(wire.answer(DecodeStatus.DONE)), GREETING)):
        with pytest.raises(AnswerInvalid):
            wire.read(said, wanted)


def test_memory_is_wanted_in_bytes() -> None:
    said = head(wire.answer(DecodeStatus.MEMORY_WANTED, size=2**63))
    assert wire.read(said, WANTED).size == 2**63


@pytest.mark.parametrize(
    ("note", "shown"),
    [
        (b"a plain text", "a plain text"),
        ("Größe 4 × 4".encode(), "Größe 4 × 4"),
        (b"\x1b]0;title\x07\n\x00", "?]0;title???"),
        (b"cut \xc3", "cut \N{REPLACEMENT CHARACTER}"),
    ],
)
def test_a_note_is_text_that_does_nothing(note: bytes, shown: str) -> None:
    assert wire.text(note) == shown


def test_a_long_note_is_cut() -> None:
    assert len(wire.answer(DecodeStatus.FAILED, "ü" * 5_000)) == wire.ANSWER.size + wire.MAX_NOTE


def test_a_request_is_read_as_it_was_asked() -> None:
    said = wire.request(b"order", 7, 2**40)
    assert wire.asked(said[: wire.REQUEST.size], room=7) == (5, 7, 2**40)
    assert said.endswith(b"order")
    with pytest.raises(ValueError, match="64 KiB"):
        wire.request(bytes(65_536), 0, 0)


@pytest.mark.parametrize(
    "fields", [(b"SLDA", 1, 0, 7, 0), (b"SLDQ", 2, 0, 7, 0), (b"SLDQ", 1, 0, 8, 0)]
)
def test_what_is_no_request_is_not_answered(fields: Sequence[Any]) -> None:
    with pytest.raises(AnswerInvalid):
        wire.asked(wire.REQUEST.pack(*fields), room=7)
