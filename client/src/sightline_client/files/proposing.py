"""Propose a map of a foreign table's columns to ours, by their names and by what is in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath
from statistics import median

from sightline_client.errors import SightlineError
from sightline_client.files import cells, events, numerals, texts
from sightline_client.files.attribute_keys import attribute_key
from sightline_client.files.column_words import COSTS, EITHER, MEASURES, NAMES, simple, speaks_of
from sightline_client.files.currencies import CODES
from sightline_client.files.mapping import ATTRIBUTES, ColumnMap, listed
from sightline_client.files.model import FileRefused
from sightline_client.files.survey import is_code

SAMPLE = 50
"""Number of rows that are read."""
_LONGEST_ATTRIBUTE = 80
"""Maximum characters of an attribute; longer texts are not useful in filters."""
_MOST_VALUES = 20
"""Maximum number of values of one property of one product."""
_MOST = 0.8
"""Share of a column's values that have to be of a kind."""
_LONGEST_ID, _LONGEST_TITLE = 64, 200
NOTHING: Mapping[str, str] = {}

_ASKED = frozenset({"id", "price", "product_id", "user_id", "unit_price"})
"""Our columns that are not chosen among columns that fit equally, as a wrong one does harm."""
_MONEY = ("price", "unit_price", "cost")

Values = Sequence[str]
"""The texts of one column that are not empty."""


@dataclass(frozen=True, slots=True)
class Proposal(ColumnMap):
    """A proposed map. Columns that fit one of ours equally are not in it."""

    doubts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Our column → the file's columns that may be it."""

    def check(self, file: str) -> None:
        """Reject a proposal that leaves a choice."""
        for ours, names in self.doubts.items():
            may = " or ".join(map(repr, names))
            raise FileRefused(
                f"{file}: a guess can't tell whether {may} is {ours}"
                if len(names) == 1
                else f"{file}: a guess can't tell which column is {ours}: {may}",
                f"say it beside the guess: --map guess --map {shlex.quote(f'{names[0]}={ours}')}"
                f"; --map {shlex.quote(f'{names[-1]}=')} leaves a column out",
            )


def words(proposed: ColumnMap) -> list[str]:
    """Describe the proposed column of each column and each constant, in one sentence each."""
    columns = [
        f"column {name} looks like {ours}" if ours else f"column {name} is left out"
        for name, ours in proposed.columns.items()
    ]
    return columns + [f"{ours} is {value}" for ours, value in proposed.constants.items()]


def propose(
    columns: Sequence[str],
    rows: Sequence[Mapping[str, object]],
    known: Collection[str],
    needed: Collection[str],
    certain: Mapping[str, str] = NOTHING,
) -> Proposal:
    """Propose a map of all columns that are not ours.

    Args:
        columns: Names in the file.
        rows: Its first rows, by these names.
        known: Our columns.
        needed: Those that every file must have.
        certain: Columns of the file whose meaning is known, and ours.
    """
    guess = _Guess(columns, rows, known, certain)
    guess.by_names()
    guess.by_values(needed)
    if "type" in needed and "type" not in guess.taken:
        guess.constants |= _kind_of_events(guess.taken)
    guess.leave_the_rest()
    found = {name: guess.found[name] for name in columns if name in guess.found}
    return Proposal(found, guess.constants, guess.doubts)


class _Guess:
    """A map that grows from the surest signs to the weakest."""

    def __init__(
        self,
        columns: Sequence[str],
        rows: Sequence[Mapping[str, object]],
        known: Collection[str],
        certain: Mapping[str, str],
    ) -> None:
        self._rows = rows
        self._known = known
        self._left = [name for name in columns if name not in {*known, *certain}]
        self._first = next(iter(columns), "")
        self.found = dict(certain)
        self.constants: dict[str, str] = {}
        self.doubts: dict[str, Sequence[str]] = {}
        self.taken = {*certain.values(), *(name for name in columns if name in known)}
        """Our columns that have one of the file's."""

    def by_names(self) -> None:
        """Take columns that are called as ours are."""
        for ours in self._free():
            ranks = {
                name: rank
                for name in self._left
                if (rank := _rank(ours, name)) is not None and self._may_be(ours, name)
            }
            best = min(ranks.values(), default=None)
            fits = [name for name, rank in ranks.items() if rank == best]
            if ours == "id" and best is not None and best >= 1:
                fits += filter(partial(self._rivals, fits[0]), self._left)
            self._choose(ours, fits)
        name = next((name for name, ours in self.found.items() if ours == "price"), "")
        if "currency" in self._free() and (code := _priced(name)[1]):
            self.constants["currency"] = code

    def by_values(self, needed: Collection[str]) -> None:
        """Take columns by what is in them; the id and the title only if every file needs them."""
        for ours in self._free():
            if ours in _SIGNS and (ours in needed or ours not in ("id", "title")):
                fits = [name for name in self._left if self._shows(ours, name)]
                if ours == "id" and len(fits) > 1:
                    fits = self._likely_ids(fits)
                named = [*filter(self._has_currency, fits)] if ours in _MONEY else fits
                self._choose(ours, named or fits, sure=bool(named))

    def _rivals(self, number: str, name: str) -> bool:
        """Return whether a column may be the id rather than one that is called a number: it has
        codes, and no name of another column of ours."""
        values, rows = self._values(name), [str(at) for at in range(1, len(self._rows) + 1)]
        if name == number or not self._shows("id", name) or is_code(attribute_key(name)):
            return False
        if speaks_of(name, COSTS | MEASURES) or any(
            _rank(ours, name) is not None for ours in self._known
        ):
            return False
        letters = self._values(number) == rows or _share(values, str.isdecimal) < 0.5
        return letters and _share(values, lambda text: any(map(str.isdecimal, text))) >= 0.5

    def _likely_ids(self, fits: list[str]) -> list[str]:
        """Return the first column of the table if it is called an id, else those that are no codes
        of makers, such as EANs."""
        if fits[0] == self._first and simple(fits[0]).endswith("id"):
            return fits[:1]
        return [each for each in fits if not is_code(attribute_key(each))] or fits

    def leave_the_rest(self) -> None:
        """Make attributes of what is left, where it can be filtered by."""
        for name in self._left:
            keep = "attributes" in self._known and _is_property(name, self._rows)
            keep = keep and not (speaks_of(name, COSTS) and self._may_be("cost", name))
            self.found[name] = _free_attribute(name, self.found) if keep else ""

    def _free(self) -> list[str]:
        return [ours for ours in self._known if ours not in self.taken]

    def _choose(self, ours: str, fits: Sequence[str], *, sure: bool = True) -> None:
        """Take the first of columns that fit equally, or leave the choice to a person."""
        if not fits:
            return
        self.taken.add(ours)
        if ours in _ASKED and (len(fits) > 1 or not sure):
            self.doubts[ours] = fits
        else:
            fits = fits[:1]
            self.found[fits[0]] = ours
        self._left = [name for name in self._left if name not in fits]

    def _has_currency(self, name: str) -> bool:
        """Return whether amounts name their currency."""
        return _share(self._values(name), _names_currency) >= 0.5

    def _may_be(self, ours: str, name: str) -> bool:
        """Return whether the values don't contradict the name."""
        values = self._values(name)
        if ours in ("id", "event_id"):
            return self._is_unique(name)
        if ours in _MONEY:
            own = speaks_of(name, COSTS) == (ours == "cost")
            return own and (not values or _share(values, _is_amount) > 0.5)
        if ours == "title":
            return not values or _share(values, _is_text) >= 0.5
        if ours == "available":
            return all(text in ("0", "1") for text in values if _is_amount(text))
        if ours == "stock":
            return _share(values, str.isdecimal) >= _MOST
        return True

    def _shows(self, ours: str, name: str) -> bool:
        """Return whether the values are of the kind of our column."""
        values = self._values(name)
        if not values:
            return False
        if ours == "id" and not self._is_unique(name):
            return False
        if ours in _MONEY and speaks_of(name, COSTS | MEASURES):
            return False
        if ours in EITHER and simple(name) not in EITHER[ours] and not _are_states(values):
            return False
        return _SIGNS[ours](values)

    def _values(self, name: str) -> list[str]:
        found = (row.get(name) for row in self._rows)
        return [text for each in found if each is not None and (text := str(each).strip())]

    def _is_unique(self, name: str) -> bool:
        values = self._values(name)
        return len(values) == len(self._rows) and len(set(values)) == len(values)


def _share(values: Values, is_so: Callable[[str], bool]) -> float:
    return sum(map(is_so, values)) / len(values) if values else 0.0


def _reads(read: Callable[[str], object]) -> Callable[[str], bool]:
    """Return whether a reader of cells takes a text."""

    def takes(text: str) -> bool:
        try:
            return bool(read(text))
        except SightlineError:
            return False

    return takes


def _is_photo(text: str) -> bool:
    parts = [each.partition("?")[0] for each in texts.addresses(text)]
    return bool(parts) and all(PurePosixPath(each).suffix.lower() in texts.PHOTOS for each in parts)


def _is_address(text: str) -> bool:
    return text.startswith(("https://", "http://"))


def _is_amount(text: str) -> bool:
    return numerals.amount(text) is not None


def _names_currency(text: str) -> bool:
    found = numerals.amount(text)
    return found is not None and bool(found[1])


def _is_money(text: str) -> bool:
    """Return whether a text is an amount with its currency, or with two decimals."""
    found = numerals.amount(text)
    return found is not None and bool(found[1] or re.search(r"[.,]\d\d$", found[0]))


def _are_amounts(values: Values) -> bool:
    return _share(values, _is_amount) >= _MOST and _share(values, _is_money) >= 0.5


_is_state = _reads(lambda text: cells.availability({"available": text}, "available"))
_is_time = _reads(
    lambda text: not text.isdecimal() and cells.time({"time": text}, "time") is not None
)
_is_kind = _reads(lambda text: events.event({"type": text, "user_id": "u"}))


def _are_states(values: Values) -> bool:
    """Return whether values are words for what is in stock, and not only yes and no."""
    return _share(values, _is_state) >= _MOST and all(len(each) > 4 for each in set(values))


def _is_id(text: str) -> bool:
    short = len(text) <= _LONGEST_ID and not re.search(r"\s", text)
    return short and not (_is_photo(text) or _is_address(text) or _is_money(text))


def _is_text(text: str) -> bool:
    letters = sum(map(str.isalpha, text))
    return letters >= len(text) / 2 and not (_is_photo(text) or _is_address(text))


def _are_titles(values: Values) -> bool:
    distinct = len(set(values)) / len(values)
    short = 1 < median(map(len, values)) <= _LONGEST_TITLE
    return distinct > 0.6 and short and _share(values, _is_text) >= _MOST


def _are_stories(values: Values) -> bool:
    long = median(map(len, values)) > _LONGEST_ATTRIBUTE
    sentences = _share(values, lambda text: _is_text(text) and len(text.split()) > 5)
    return long and sentences >= _MOST


_SIGNS: Mapping[str, Callable[[Values], bool]] = {
    "images": lambda values: _share(values, _is_photo) >= _MOST,
    "uri": lambda values: _share(values, _is_address) >= _MOST,
    "currency": lambda values: _share(values, lambda text: text.upper() in CODES) == 1,
    "price": _are_amounts,
    "unit_price": _are_amounts,
    "available": lambda values: _share(values, _is_state) >= _MOST,
    "category": lambda values: _share(values, lambda text: " > " in text) >= 0.5,
    "time": lambda values: (
        _share(values, _is_time) >= _MOST and not any(map(str.isdecimal, values))
    ),
    "type": lambda values: _share(values, _is_kind) >= _MOST,
    "description": _are_stories,
    "id": lambda values: _share(values, _is_id) >= _MOST,
    "title": _are_titles,
}
"""Our column → whether values look like it."""


def _rank(ours: str, name: str) -> float | None:
    """Return how well a name fits one of our columns: 0 is best; None = it does not."""
    if ours == "cost" and speaks_of(name, COSTS):
        return 0
    names = NAMES.get(ours, {simple(ours): 0})
    base = _priced(name)[0] if ours == "price" else ""
    forms = [(name, 0.0), (_without_remark(name), 0.5), (base, 0.5)]
    found = [names[simple(form)] + less for form, less in forms if simple(form) in names]
    return min(found, default=None)


def _without_remark(name: str) -> str:
    """Return a name without a remark in brackets: `Preis (brutto)`."""
    return re.sub(r"[(\[（].*", "", name).strip()


def _priced(name: str) -> tuple[str, str]:
    """Return the word for a price and the currency in a name such as price_eur."""
    found = re.fullmatch(r"(.+?)(?:[\s_/-]+in\s+|[\s_/(\[（-]+)([^\s()\[\]（）]+)[)\]）]?", name)
    if found is None or simple(found[1]) not in NAMES["price"]:
        return "", ""
    codes = numerals.codes(found[2])
    return (found[1], codes[0]) if len(codes) == 1 else ("", "")


def _kind_of_events(ours: Collection[str]) -> Mapping[str, str]:
    """Return the type of events that have no word for what happened: ratings, or orders."""
    if "value" in ours:
        return {"type": "RATING"}
    return {"type": "PURCHASE"} if "order_id" in ours else {}


def _is_property(name: str, rows: Sequence[Mapping[str, object]]) -> bool:
    """Return whether the values are short enough to filter by, and no ids."""
    found = [listed(row[name], str, "") for row in rows if row.get(name)]
    values = [str(part) for cell in found for part in (cell if isinstance(cell, list) else [cell])]
    few = all(not isinstance(cell, list) or len(cell) <= _MOST_VALUES for cell in found)
    short = few and all(len(value) <= _LONGEST_ATTRIBUTE for value in values)
    return bool(values) and short and not simple(name).endswith("id")


def _free_attribute(name: str, found: Mapping[str, str]) -> str:
    """Return the attribute for a column, which no other column is read as."""
    ours = first = f"{ATTRIBUTES}{attribute_key(name) or 'unnamed'}"
    taken, number = set(found.values()), 1
    while ours in taken:
        number += 1
        ours = f"{first[: len(ATTRIBUTES) + 60]}_{number}"
    return ours
