"""Columns of numbers: times, numbers, flags and amounts, compared as arrays."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from retriever.columns.arrays import Flags, Ints, Places, at
from retriever.columns.coded import Coded
from retriever.columns.column import AskedFacet, Cells, CountedColumn, Said, grown
from retriever.columns.former import FormerValues
from sightline_rules.evaluation.columns import Amounts, Numbers
from sightline_rules.evaluation.texts import Lookups
from sightline_rules.fields import Field
from sightline_rules.filters import All, Comparison, Leaf, Money, Operator, Value
from sightline_rules.kinds import FlagKind, NumberKind, StepsKind, TimeKind

NONE: Final = -1
"""Represents a missing number. Only times can be negative, and they are always known."""
MICROS = 1_000_000
STEPS = (1, 2, 5)
"""Lower bounds of ranges, to be multiplied by powers of ten."""
FEW_UNITS = 10
"""A number whose largest value is no more than this has a range for each unit."""


class NumberColumn:
    """Times in microseconds since 1970, or numbers and flags in steps of their kind."""

    def __init__(self, field: Field) -> None:
        self.field = field
        (self._name,) = field.stored
        self._kind = field.kind
        self.values: Ints = np.zeros(0, np.int64)
        """By place; NONE: a number that is unknown."""
        self.unknown = True
        self.former = FormerValues()

    @property
    def nbytes(self) -> int:
        return self.values.nbytes

    def grow(self, size: int) -> None:
        self.values = grown(self.values, size)

    def fill(self, places: Sequence[int], rows: Sequence[Cells]) -> None:
        name = self._name
        self.values[places] = [NONE if (held := row[name]) is None else held for row in rows]
        self.unknown = self.unknown and bool((self.values[places] == NONE).all())

    def asked(self, leaves: Sequence[Leaf], places: Places, lookups: Lookups) -> Numbers:  # noqa: ARG002
        values = at(self.values, places)
        if isinstance(self._kind, StepsKind):
            return Numbers(len(leaves), self._kind.scaled(values), values != NONE)
        return Numbers(len(leaves), values, np.ones(len(values), np.bool_))

    def counted(self, asked: AskedFacet, places: Ints) -> CountedColumn:
        steps = self.values[places]
        match self._kind:
            case FlagKind():
                return _counted(
                    asked, steps, lambda code: _flag(asked.field, code > 0), ranged=False
                )
            case NumberKind(most) as kind:
                values = kind.scaled(steps)
                bounds = _number_bounds(asked, most, float(values.max(initial=0)))
                found = np.searchsorted(bounds, values, side="right") - 1
                ranges = np.where(steps == NONE, -1, found)
                named = [(f"{each:.15g}", each) for each in bounds]
                said = partial(_range, asked.field, named)
                return _counted(asked, ranges, said)
            case _:
                raise AssertionError(f"{asked.field} has no facet: the table of fields refuses it")

    def cells(self, places: Ints) -> list[list[int]]:
        return [self.values[places].tolist()]

    def states(self, places: Ints) -> Ints:
        return self.values[places, np.newaxis]

    def unit(self, places: Ints) -> str:  # noqa: ARG002
        return ""

    def ranked(self, states: Ints, unit: str) -> tuple[Ints, Flags]:  # noqa: ARG002
        values = states[:, 0]
        always = isinstance(self._kind, TimeKind)
        return values, np.ones(len(values), np.bool_) if always else values != NONE

    def text_of(self, value: int) -> str:
        return str(value)

    def value_of(self, text: str) -> int:
        return int(text)


class MoneyColumn:
    """Amounts in millionths, with the codes of their currencies."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self._micros, self._currency = field.stored
        self.values: Ints = np.zeros(0, np.int64)
        """By place; NONE: unknown."""
        self.codes: npt.NDArray[np.int16] = np.zeros(0, np.int16)
        """Currencies by place."""
        self.unknown = True
        self.currencies = Coded()
        self.former = FormerValues()

    @property
    def nbytes(self) -> int:
        return self.values.nbytes + self.codes.nbytes

    def grow(self, size: int) -> None:
        self.values, self.codes = grown(self.values, size), grown(self.codes, size)

    def fill(self, places: Sequence[int], rows: Sequence[Cells]) -> None:
        name, code = self._micros, self.currencies.code
        self.values[places] = [NONE if (held := row[name]) is None else held for row in rows]
        self.codes[places] = [
            code("" if row[name] is None else row[self._currency]) for row in rows
        ]
        self.unknown = self.unknown and bool((self.values[places] == NONE).all())

    def at(self, places: Places) -> tuple[Ints, npt.NDArray[np.int16]]:
        """Return amounts, and codes of their currencies, at some places."""
        return at(self.values, places), at(self.codes, places)

    def asked(self, leaves: Sequence[Leaf], places: Places, lookups: Lookups) -> Amounts:  # noqa: ARG002
        values, codes = self.at(places)
        return Amounts(len(leaves), values, values != NONE, codes, self.currencies.known)

    def counted(self, asked: AskedFacet, places: Ints) -> CountedColumn:
        micros, codes = self.at(places)
        known = micros != NONE
        given = [each for each in asked.bounds if isinstance(each, Money)]
        currency = given[0].currency if given else self.unit(places)
        same = known & (codes == self.currencies.known(currency))
        largest = int(micros[same].max(initial=0))
        bounds = [each.micros for each in given] or _bounds(largest, MICROS)
        ranges = np.where(same, np.searchsorted(bounds, micros, side="right") - 1, -1)
        named = [(_units(each), Money(currency, each)) for each in bounds]
        said = partial(_range, asked.field, named, unit=f" {currency}")
        return _counted(asked, ranges, said)

    def cells(self, places: Ints) -> list[list[Any]]:
        values, codes = self.at(places)
        return [values.tolist(), [*map(self.currencies.texts.__getitem__, codes.tolist())]]

    def states(self, places: Ints) -> Ints:
        return np.stack(self.at(places), axis=1)

    def unit(self, places: Ints) -> str:
        values, codes = self.at(places)
        known = codes[values != NONE]
        return self.currencies.texts[int(np.bincount(known).argmax())] if len(known) else ""

    def ranked(self, states: Ints, unit: str) -> tuple[Ints, Flags]:
        values, codes = states.T
        return values, (values != NONE) & (codes == self.currencies.known(unit))

    def text_of(self, value: int) -> str:
        return str(value)

    def value_of(self, text: str) -> int:
        return int(text)


def _counted(
    asked: AskedFacet, codes: Ints, say: Callable[[int], Said], *, ranged: bool = True
) -> CountedColumn:
    """Return a column whose codes are its values."""
    work = len(codes) // 64
    return CountedColumn(asked, codes, int, lambda code: (code,), say, work, ranged=ranged)


def _number_bounds(asked: AskedFacet, most: float, largest: float) -> list[float]:
    """Return where the ranges of a number begin: as asked, else a range for each unit of a number
    that has few, else 0, 1, 2, 5, 10, … up to the largest value."""
    if given := [each for each in asked.bounds if isinstance(each, float)]:
        return given
    few = range(int(most)) if most <= FEW_UNITS else _bounds(int(largest), 1)
    return [*map(float, few)]


def _bounds(most: int, unit: int) -> list[int]:
    """Return 0, then 1, 2, 5, 10, … units up to the largest value."""
    found, power = [0], unit
    while power <= most:
        found += [step * power for step in STEPS if step * power <= most]
        power *= 10
    return found


def _flag(field: str, value: bool) -> Said:
    return str(value).lower(), Comparison(field, Operator.EQUAL, value)


def _range(field: str, bounds: Sequence[tuple[str, Value]], place: int, unit: str = "") -> Said:
    """Return text and filter of the range that begins at a bound, given by text and value."""
    text, low = bounds[place]
    from_low = Comparison(field, Operator.GREATER_OR_EQUAL, low)
    if place == len(bounds) - 1:
        return f"{text}{unit} and more", from_low
    above, high = bounds[place + 1]
    return f"{text}–{above}{unit}", All((from_low, Comparison(field, Operator.LESS, high)))


def _units(micros: int) -> str:
    units, rest = divmod(micros, MICROS)
    return str(units) if not rest else f"{units}.{rest:06d}".rstrip("0")
