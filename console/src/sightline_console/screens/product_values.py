"""Values of a file's columns, and what each of them is read as."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sightline_client.files import choices
from sightline_client.files.mapping import ATTRIBUTES
from sightline_client.files.model import FileRefused, Row
from sightline_client.files.notation import ValueWord, value_words

AVAILABILITY = "available"
NAMED = frozenset({AVAILABILITY, "brand", "category", "tags"})
"""Our columns whose values are names, as are those of attributes."""
MOST_OF_COLUMN = 12
"""Maximum number of values of a column that can be replaced: more are no names of kinds."""
MOST = 40
"""Maximum number of values that can be replaced: they are in an address."""
LONGEST = 60
"""Maximum number of characters of such a value."""


@dataclass(frozen=True, slots=True)
class OfferedValue:
    """A value of the first rows that can be replaced by another one."""

    column: str
    value: str
    meaning: str
    """Value that takes its place; empty: it stays."""
    states: tuple[str, ...]
    """Values that it can be; empty: any."""
    known: bool
    """False: rows with it are rejected, unless it is replaced."""

    @property
    def key(self) -> str:
        """Name of the value in forms and addresses."""
        return f"{self.column}:{self.value}"


def offered(
    rows: Iterable[Row], columns: Mapping[str, str], meanings: Mapping[str, str]
) -> list[OfferedValue]:
    """Return the values of the first rows that can be replaced."""
    held, made = list(rows), list[OfferedValue]()
    for theirs, ours in columns.items():
        if ours not in NAMED and not ours.startswith(ATTRIBUTES):
            continue
        values = list(dict.fromkeys(_names(held, theirs)))
        if len(values) <= MOST_OF_COLUMN:
            made += (_offered(theirs, ours, each, meanings) for each in values)
    return made[:MOST]


def _names(rows: Iterable[Row], column: str) -> Iterator[str]:
    for row in rows:
        found = row.cells.get(column)
        value = found.strip() if isinstance(found, str) else ""
        if value and not value.isnumeric() and len(value) <= LONGEST:
            yield value


def _offered(theirs: str, ours: str, value: str, meanings: Mapping[str, str]) -> OfferedValue:
    stocked = ours == AVAILABILITY
    return OfferedValue(
        theirs,
        value,
        meanings.get(f"{theirs}:{value}", ""),
        choices.STATES if stocked else (),
        not stocked or choices.availability(value) is not None,
    )


def words(meanings: Mapping[str, str]) -> tuple[ValueWord, ...]:
    """Return what values are replaced by. Raises FileRefused."""
    if odd := next((each for each in meanings.values() if "=" in each), None):
        raise FileRefused(f"{odd!r} holds the sign =", "write the value without it")
    return value_words([f"{key}={meaning}" for key, meaning in meanings.items() if meaning])
