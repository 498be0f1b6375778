"""Named attributes as numbers in a few columns of the index.

A shop may have any number of keys, an engine has few columns. Each value is stored in one of three
columns that its key determines; values are moved between their columns to make room, so that up to
about a dozen values of a product each get a column. A column's number holds the key in its upper 21
bits and type and value in its lower 42, so that one comparison asks for a value, and a range for a
range of values or for all of a key:

    0 = several values | 1, 2 = false, true | from 2^40 on a number | from 2^41 on a text

A number keeps its order and 29 significant bits, a text is a hash; both may match too many rows,
never too few. Values without a free column are marked: SEVERAL in a column means that it may hold
any value, "several values" that a key has more texts than columns.
"""

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from sightline_rules.filters import AttributeValue

NONE = 0
"""The column holds no attribute."""
SEVERAL = 1
"""More attributes belong into the column than fit."""
ATTRIBUTE = tuple(f"attribute_{number}" for number in range(16))
CHOICES = 3
"""Number of columns that may hold a key's values."""

_VALUE_BITS = 42
_KEYS = 2**21 - 1
_NUMBERS = 2**40
_TEXTS = 2**41
_TOP = 2**_VALUE_BITS - 1


@dataclass(frozen=True, slots=True)
class Place:
    """The column and the code range of a key's values."""

    columns: tuple[str, ...]
    base: int
    """The smallest number of the key, which means several values."""

    def number(self, value: AttributeValue) -> int:
        """Return the number of a value of this key."""
        match value:
            case bool():
                return self.base + 1 + value
            case str():
                return self.base + _TEXTS + _hash(value) % _TEXTS
            case _:
                return self.base + _NUMBERS + (_ordered(value) >> 24)

    @property
    def all(self) -> tuple[int, int]:
        """The smallest and the largest number of the key."""
        return self.base, self.base + _TOP

    @property
    def numbers(self) -> tuple[int, int]:
        """The smallest and the largest number of its numbers."""
        return self.base + _NUMBERS, self.base + _TEXTS - 1

    @property
    def texts(self) -> tuple[int, int]:
        """The smallest and the largest number of its texts."""
        return self.base + _TEXTS, self.base + _TOP

    @property
    def marks(self) -> frozenset[int]:
        """Numbers that may stand for any value of the key."""
        return frozenset({SEVERAL, self.base})


@lru_cache(maxsize=4_096)
def place(key: str) -> Place:
    """Return the columns and the first number of an attribute's key.

    Stored in the index: never change it without a new shape.
    """
    key_number, rest = 1 + _hash(key) % _KEYS, _hash(key) // _KEYS
    left, columns = list(ATTRIBUTE), []
    for _ in range(CHOICES):
        rest, index = divmod(rest, len(left))
        columns.append(left.pop(index))
    return Place(tuple(columns), key_number << _VALUE_BITS)


def columns(attributes: Mapping[str, tuple[AttributeValue, ...]]) -> dict[str, int]:
    """Return the values of ATTRIBUTE columns of a product's rows; omitted columns hold NONE."""
    held: dict[str, _Entry] = {}
    for key, values in sorted(attributes.items(), key=lambda item: (len(item[1]), item[0])):
        at = place(key)
        entries = [_Entry(number, at.columns) for number in {at.number(v) for v in values}]
        if len(entries) <= CHOICES and all(_settle(entry, held, set()) for entry in entries):
            continue
        for column in at.columns:
            if held.get(column) in entries:
                del held[column]
        if not _settle(_Entry(at.base, at.columns), held, set()):
            held[at.columns[0]] = _FULL
    return {column: entry.number for column, entry in held.items()}


@dataclass(frozen=True, slots=True)
class _Entry:
    number: int
    choices: Sequence[str]


_FULL = _Entry(SEVERAL, ())


def _settle(entry: _Entry, held: dict[str, _Entry], tried: set[str]) -> bool:
    """Find a column for the entry; move other entries to another of their columns if needed."""
    for column in entry.choices:
        if column in tried:
            continue
        tried.add(column)
        other = held.get(column)
        if other is None or _settle(other, held, tried):
            held[column] = entry
            return True
    return False


def _hash(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def _ordered(number: float) -> int:
    """Return 64 bits that sort as the numbers do; 0 and −0 are equal."""
    (bits,) = struct.unpack(">Q", struct.pack(">d", number + 0.0))
    return int(bits ^ (2**64 - 1) if bits >> 63 else bits | 2**63)
