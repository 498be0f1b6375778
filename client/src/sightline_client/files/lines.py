"""JSON Lines: one object a line."""

import json
from collections.abc import Collection, Iterator
from decimal import Decimal
from pathlib import Path
from typing import NoReturn

from sightline_client.files.model import MAX_CELL, Row, bad, checked

_LONGEST_LINE = 4 * 1024 * 1024
"""Maximum bytes of a line. A longer one is an invalid row and is not kept in memory."""
LINE = "_line"
"""Note that holds the text of a line that is no object, so that it can be fixed."""


class JsonLines:
    """A file of JSON objects, UTF-8, with or without a byte order mark."""

    columns: tuple[str, ...] = ()

    def __init__(
        self, path: Path, *, known: Collection[str] = (), ignore: Collection[str] = ()
    ) -> None:
        """``known``: the keys that are read; () = any. A row with another key (except notes and
        ignored keys) is invalid, because its value would be lost silently.
        """
        self._known = known
        self._ignore = ignore
        self.total = path.stat().st_size
        self._file = path.open("rb")
        self.records = 0
        """Lines read, without blank ones."""

    @property
    def done(self) -> int:
        """Bytes read."""
        return self._file.tell()

    def rows(self) -> Iterator[Row]:
        """Yield the rows; blank lines are skipped."""
        number = 0
        while line := self._file.readline(_LONGEST_LINE):
            whole = line.endswith(b"\n") or len(line) < _LONGEST_LINE
            rest = line
            while not whole and rest and not rest.endswith(b"\n"):
                rest = self._file.readline(_LONGEST_LINE)
            if not line.strip():
                continue
            self.records += 1
            number += 1
            yield (
                checked(_row(number, line), self._known, self._ignore)
                if whole
                else _unread(number, line, f"the line is longer than {_LONGEST_LINE:,} bytes")
            )

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _row(number: int, line: bytes) -> Row:
    try:
        value = parse(line)
    except UnicodeDecodeError:
        return _unread(number, line, "the line is not UTF-8")
    except (ValueError, RecursionError, ArithmeticError) as error:
        return _unread(number, line, f"the line is not JSON: {error}")
    if not isinstance(value, dict):
        return _unread(number, line, 'the line is not a JSON object: write {"id": …}')
    return Row(number, value)


def _unread(number: int, line: bytes, problem: str) -> Row:
    text = line[:MAX_CELL].decode("utf-8-sig", "backslashreplace").strip()
    return Row(number, {LINE: text}, error=bad("", problem))


def parse(text: bytes | str) -> object:
    """Parse JSON with exact decimals. Raise ValueError for NaN and Infinity."""
    decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    return json.loads(decoded, parse_float=Decimal, parse_constant=_no_number)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")
