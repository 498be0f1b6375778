"""JSON Lines: one object a line."""

import io
import json
import re
from collections.abc import Collection, Iterator
from decimal import Decimal
from pathlib import Path
from typing import NoReturn

from sightline_client.files import encodings
from sightline_client.files.model import MAX_CELL, Row, bad, checked, still_ragged

_LONGEST_LINE = 4 * 1024 * 1024
"""Maximum characters of a line. A longer one is an invalid row and is not kept in memory."""
LINE = "_line"
"""Note that holds the text of a line that is no object, so that it can be fixed."""


_BROKEN = re.compile("[\ud800-\udfff]")
"""Bytes that are not of the encoding."""


class JsonLines:
    """A file of JSON objects, in the encoding that its bytes show."""

    columns: tuple[str, ...] = ()

    def __init__(
        self,
        path: Path,
        *,
        known: Collection[str] = (),
        ignore: Collection[str] = (),
        encoding: str = "",
    ) -> None:
        """``known``: the keys that are read; () = any. A row with another key (except notes and
        ignored keys) is invalid, because its value would be lost silently. ``encoding``: empty = as
        the bytes show. FileRefused for an unknown encoding.
        """
        self._known = known
        self._ignore = ignore
        self.named = encoding
        """The encoding as it was named; empty: the bytes show it."""
        self.encoding = encodings.known(encoding) if encoding else encodings.found(path).name
        self.total = path.stat().st_size
        self._file = path.open("rb")
        self._text = io.TextIOWrapper(
            self._file, encoding=self.encoding, errors=encodings.ESCAPE, newline="\n"
        )
        self.records = 0
        """Lines read, without blank ones."""

    @property
    def done(self) -> int:
        """Bytes read."""
        return self._file.tell()

    def rows(self) -> Iterator[Row]:
        """Yield the rows; blank lines are skipped."""
        number = 0
        while line := self._text.readline(_LONGEST_LINE):
            whole = line.endswith("\n") or len(line) < _LONGEST_LINE
            rest = line
            while not whole and rest and not rest.endswith("\n"):
                rest = self._text.readline(_LONGEST_LINE)
            if not line.strip():
                continue
            self.records += 1
            number += 1
            yield (
                checked(_row(number, line, self.encoding), self._known, self._ignore)
                if whole
                else _unread(number, line, f"the line is longer than {_LONGEST_LINE:,} characters")
            )

    def close(self) -> None:
        """Close the file."""
        self._text.close()


def _row(number: int, line: str, encoding: str) -> Row:
    if not line.isascii() and _BROKEN.search(line):
        name = encoding.removesuffix("-sig").upper()
        problem = f"the line is not {name}: name the encoding with --encoding; {encodings.HINT}"
        return _unread(number, line, problem)
    try:
        value = parse(line.removeprefix("\ufeff"))
    except (ValueError, RecursionError, ArithmeticError) as error:
        return _unread(number, line, f"the line is not JSON: {error}")
    if not isinstance(value, dict):
        return _unread(number, line, 'the line is not a JSON object: write {"id": …}')
    return Row(number, value, still_ragged(value))


def _unread(number: int, line: str, problem: str) -> Row:
    text = _BROKEN.sub(lambda found: f"\\x{ord(found[0]) & 0xFF:02x}", line[:MAX_CELL])
    return Row(number, {LINE: text.removeprefix("\ufeff").strip()}, error=bad("", problem))


def parse(text: bytes | str) -> object:
    """Parse JSON with exact decimals. Raise ValueError for NaN and Infinity."""
    decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    return json.loads(decoded, parse_float=Decimal, parse_constant=_no_number)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")
