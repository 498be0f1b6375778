"""Work of a confined process that parses TOML texts of callers, see
`servicekit.decoding.untrusted_toml`.

Module of `servicekit.decoding.process`. Entries are returned as JSON, padded with spaces.
"""

import contextlib
import json
import struct
import tomllib
from datetime import date, datetime, time
from typing import Any, Final

from servicekit.decoding.wire import MAX_NOTE, ExpectedOutput, Made, Refused

DEEPEST: Final = 16
"""Levels of tables and lists in one another."""
ANSWER_BYTES: Final = 512 * 1024
"""Bytes of an answer: JSON can be several times as long as the text."""
ENTRIES: Final = ExpectedOutput(struct.Struct("!I"), (ANSWER_BYTES,))
"""Facts: the bytes of JSON."""
TIME: Final = ""
"""Key of a table that stands for a date, a time or both: its type and its text."""

_TIMES: Final = {each.__name__: each for each in (datetime, date, time)}


def prepare() -> None:
    """Import nothing more: this module has imported all that is needed."""


def answer(order: bytes, photo: bytes, memory: int) -> Made:  # noqa: ARG001
    """Return the entries of the text `photo`. Raises Refused."""
    try:
        entries = tomllib.loads(photo.decode())
    except RecursionError:
        raise Refused(0, "is nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, or a number with too many digits
        raise Refused(0, str(error)[:MAX_NOTE]) from None
    if _deeper(entries, DEEPEST):
        raise Refused(0, f"is nested more than {DEEPEST} levels deep")
    found = json.dumps(entries, default=_timed, ensure_ascii=False).encode()
    if len(found) > ANSWER_BYTES:
        raise Refused(0, "has too many or too long entries")
    return Made(ENTRIES.facts.pack(len(found)), memoryview(found.ljust(ANSWER_BYTES)))


def decoded(content: bytes) -> Any:
    """Return the entries from JSON. Raises ValueError."""
    return json.loads(content, object_hook=_times)


def _deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    parts = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper(each, levels - 1) for each in parts)


def _timed(value: Any) -> Any:
    return {TIME: [type(value).__name__, value.isoformat()]}


def _times(table: dict[str, Any]) -> Any:
    match table:
        case {"": [str(kind), str(said)]} if len(table) == 1 and kind in _TIMES:
            with contextlib.suppress(ValueError):  # a caller's own table
                return _TIMES[kind].fromisoformat(said)
    return table
