"""How the values of a file are written, where its columns do not show it, and the words of a shop.

`--value "Status:auf Lager=IN_STOCK"` says what one value of a column means. The column is one of
the file's, or ours that it is read as.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from sightline_client.files import instants, numerals
from sightline_client.files.model import FileRefused, Row, RowTable, Wrapped
from sightline_client.files.texts import composed

_SHOWN = 5
"""Most values of a column that are shown."""
TEXT, NUMBER, SECONDS = "text", "number", "seconds"
FORMS = (TEXT, NUMBER, *numerals.SIGNS, *instants.ORDERS, SECONDS)
"""Forms of a column: what an attribute is, the decimal sign of numbers, the order of day and month,
seconds since 1970."""
_KEPT = 1_000
"""Most values of a column that are counted."""


@dataclass(frozen=True, slots=True)
class Notation:
    """The form of numbers and times, as far as it is said."""

    decimal: str = ""
    """Decimal sign of numbers. Empty: as each column shows."""
    order: str = ""
    """Order of day and month, one of `instants.ORDERS`. Empty: as each column shows."""
    zone: tzinfo | None = None
    """Zone of times that name none. None = they are rejected."""
    forms: Mapping[str, str] = field(default_factory=dict)
    """Column of ours, or `attributes.NAME` → its form, one of `FORMS`, where its own rows do not
    show it."""

    @property
    def how(self) -> str:
        """Text that identifies it; empty if nothing is said."""
        said = (self.decimal, self.order, str(self.zone or ""))
        return repr(said) if any(said) else ""


def column_forms(options: Sequence[str], known: Collection[str]) -> Mapping[str, str]:
    """Parse options `COLUMN=FORM`. FileRefused for another form, and for a column that is neither
    one of ours (`known`) nor an attribute."""
    found = {}
    for option in options:
        name, _, form = (part.strip() for part in option.rpartition("="))
        if form not in FORMS or not name:
            forms = ", ".join(FORMS)
            raise FileRefused(
                f"--form {option} names no form of a column", f"write --form price=, ({forms})"
            )
        if name.partition("@")[0] not in known and not name.startswith("attributes."):
            raise FileRefused(
                f"--form {option}: {name!r} is not a known column",
                f"known columns are {', '.join(known)}, and attributes.NAME",
            )
        found[name] = form
    return found


def zone_of(name: str) -> tzinfo:
    """Return a time zone by its name. FileRefused for an unknown one."""
    try:
        return UTC if name.upper() in ("UTC", "Z", "GMT") else ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise FileRefused(
            f"{name!r} is not a known time zone", "name one such as Europe/Berlin or UTC"
        ) from None


@dataclass(frozen=True, slots=True)
class ValueWord:
    """Meaning of one value of a column, by `--value`."""

    option: str
    """The option's value, to name it."""
    readings: Mapping[str, str]
    """Column, in lower case → its value, in the form that is compared; several if the option holds
    several colons."""
    meaning: str


def value_words(options: Sequence[str]) -> tuple[ValueWord, ...]:
    """Parse options `COLUMN:VALUE=MEANING`. FileRefused for another form, and for two meanings of
    one value."""
    words, said = tuple(map(_word, options)), dict[tuple[str, str], ValueWord]()
    for word in words:
        for at in word.readings.items():
            if (other := said.setdefault(at, word)).meaning != word.meaning:
                raise FileRefused(
                    f"--value {other.option} and --value {word.option} say two things of one value",
                    "keep one of them: upper and lower case are the same",
                )
    return words


def _word(option: str) -> ValueWord:
    left, sign, meaning = option.rpartition("=")
    ends = [place for place, letter in enumerate(left) if letter == ":"]
    readings = {left[:end].strip().lower(): alike(left[end + 1 :]) for end in ends}
    readings = {column: value for column, value in readings.items() if column and value}
    if not sign or not readings:
        raise FileRefused(
            f"--value {option} says nothing", 'write --value "Status:auf Lager=IN_STOCK"'
        )
    return ValueWord(option, readings, meaning.strip())


def alike(value: object) -> str:
    """Return the form of a value in which it is compared with others."""
    return " ".join(composed(str(value)).casefold().split())


class Translated(Wrapped):
    """A table in which values are replaced by what they mean."""

    def __init__(
        self, table: RowTable, words: Sequence[ValueWord], before: Translated | None = None
    ) -> None:
        """`before`: the table of the file's own columns, whose values are not translated again
        where a column keeps its name."""
        super().__init__(table)
        self.columns = table.columns
        self.how = getattr(table, "how", "") + "".join(sorted(repr(each.option) for each in words))
        self.attribute_types: Mapping[str, str] = getattr(table, "attribute_types", {})
        self.found: Counter[str] = Counter()
        """Option → rows with its value."""
        self.values: dict[str, Counter[str]] = {}
        """Column of an option → its values."""
        self.words = words
        self._done: Collection[str] = before.values.keys() if before is not None else ()
        """Columns whose values are replaced before, as far as rows were read."""
        self._by = {at: word for word in words for at in word.readings.items()}
        self._named = {column for column, _ in self._by}

    def rows(self) -> Iterator[Row]:
        """Yield the rows with the values replaced."""
        if not self._by:
            yield from self._table.rows()
            return
        for row in self._table.rows():
            changed = {
                name: meaning
                for name, value in row.cells.items()
                if (column := name.lower()) in self._named
                and column not in self._done
                and (meaning := self._meaning(column, value)) is not None
            }
            yield replace(row, cells={**row.cells, **changed}) if changed else row

    def _meaning(self, column: str, value: object) -> str | None:
        if isinstance(value, bool | list | dict) or value is None or value == "":
            return None
        counts = self.values.setdefault(column, Counter())
        shown = str(value).strip()
        if shown in counts or len(counts) < _KEPT:
            counts[shown] += 1
        word = self._by.get((column, alike(value)))
        if word is None:
            return None
        self.found[word.option] += 1
        return word.meaning


def translated(
    table: RowTable, words: Sequence[ValueWord], convert: Callable[[RowTable], RowTable]
) -> Translated:
    """Return a table that is converted to our columns, with the values replaced that are named by a
    column of the file, or by ours."""
    theirs = Translated(table, words)
    return Translated(convert(theirs), words, theirs)


def unused(table: RowTable) -> Iterator[tuple[str, str]]:
    """Yield the options of a table whose value no row has, and the values that their column has."""
    tables = [*_translated(table)]
    for word in tables[0].words if tables else ():
        if any(each.found[word.option] for each in tables):
            continue
        there = (table_.values.get(name) for table_ in reversed(tables) for name in word.readings)
        counts = next(filter(None, there), Counter[str]())
        yield word.option, ", ".join(repr(value) for value, _ in counts.most_common(_SHOWN))


def words_of(table: RowTable) -> Sequence[ValueWord]:
    """Return the words that the values of a table are replaced by."""
    return next((each.words for each in _translated(table)), ())


def _translated(table: RowTable) -> Iterator[Translated]:
    """Yield the tables of this kind that a table is read through."""
    inner: RowTable | None = table
    while isinstance(inner, Wrapped):
        if isinstance(inner, Translated):
            yield inner
        inner = inner.inner
