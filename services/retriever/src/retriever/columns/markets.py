"""Values of products by market, beside the columns of their own values.

Each market that products name takes 12 bytes for every place of the table, and the titles that are
its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from retriever.columns.arrays import Flags, Ints, Places, at, numbers
from retriever.columns.coded import CodedColumn, LongTextColumn
from retriever.columns.column import AskedFacet, Cells, Column, CountedColumn, grown
from retriever.columns.former import FormerValues
from retriever.columns.numeric import MoneyColumn
from retriever.domain import field_codecs
from sightline_rules.evaluation.texts import Lookups, Texts
from sightline_rules.evaluation.work import Work
from sightline_rules.fields import Field
from sightline_rules.filters import Comparison, Existence, Leaf, Membership, Operator
from sightline_rules.markets import markets_of

OWN = -2
"""Amount of a product that has no price of its own in the market."""
NO_LIST, LISTED = np.int8(-1), np.int8(-2)
"""Availability of a product that the market does not list, and of one that is listed with its own
availability."""
_Stored: TypeAlias = Sequence[Any]
"""Values of one market as they are stored (stored.market_cells)."""
_READ = 256
"""Products whose markets are decoded at a time: few, as the garbage collector scans them."""


@dataclass(slots=True)
class MarketArrays:
    """Values of one market by place."""

    micros: Ints
    codes: npt.NDArray[np.int16]
    """Currencies, in the codes of the column of prices."""
    availability: npt.NDArray[np.int8]
    """NO_LIST, LISTED, or a code of the column of availability."""
    titles: dict[int, str] = field(default_factory=dict)
    """Replaced, never changed: threads read it."""

    @classmethod
    def empty(cls, size: int) -> MarketArrays:
        """Return the values of a market that no product lists."""
        return cls(
            np.full(size, OWN, np.int64),
            np.zeros(size, np.int16),
            np.full(size, NO_LIST, np.int8),
        )

    def grow(self, size: int) -> None:
        """Make room for `size` places."""
        old = len(self.micros)
        self.micros, self.codes = grown(self.micros, size), grown(self.codes, size)
        self.availability = grown(self.availability, size)
        self.micros[old:], self.availability[old:] = OWN, NO_LIST

    @property
    def nbytes(self) -> int:
        """Return the bytes of its arrays and titles."""
        texts = sum(map(str.__sizeof__, self.titles.values()))
        return self.micros.nbytes + self.codes.nbytes + self.availability.nbytes + texts


class MarketsColumn:
    """Markets of products. Evaluates conditions on the field `market`."""

    def __init__(self, of: Field, prices: MoneyColumn, availabilities: CodedColumn) -> None:
        """`prices`, `availabilities`: columns whose codes the markets' values use."""
        self.field = of
        (self._name,) = of.stored
        self._prices, self._availabilities = prices, availabilities
        self._size = 0
        self.unknown = False
        self.arrays: dict[str, MarketArrays] = {}
        """By market."""
        self.everywhere: Flags = np.zeros(0, np.bool_)
        """By place, whether the product has no list."""

    @property
    def nbytes(self) -> int:
        return self.everywhere.nbytes + sum(each.nbytes for each in self.arrays.values())

    def grow(self, size: int) -> None:
        self._size = size
        self.everywhere = grown(self.everywhere, size)
        for each in self.arrays.values():
            each.grow(size)

    def fill(self, places: Sequence[int], rows: Sequence[Cells]) -> None:
        for start in range(0, len(places), _READ):
            some = slice(start, start + _READ)
            given = [field_codecs.market_cells(row[self._name]) for row in rows[some]]
            self._fill(places[some], given)

    def _fill(self, places: Sequence[int], given: Sequence[Sequence[_Stored]]) -> None:
        self.everywhere[list(places)] = [not each for each in given]
        listed: dict[str, list[tuple[int, _Stored]]] = {}
        for place, markets in zip(places, given, strict=True):
            for each in markets:
                listed.setdefault(each[0], []).append((place, each))
        for market_id in listed.keys() - self.arrays.keys():
            self.arrays[market_id] = MarketArrays.empty(self._size)
        for market_id, arrays in self.arrays.items():
            self._fill_market(arrays, places, listed.get(market_id, ()))

    def _fill_market(
        self, arrays: MarketArrays, places: Sequence[int], listed: Sequence[tuple[int, _Stored]]
    ) -> None:
        """Replace the values of one market at some places. `listed`: those that it lists."""
        every, at = list(places), [place for place, _ in listed]
        arrays.micros[every], arrays.availability[every] = OWN, NO_LIST
        money, state = self._prices.currencies.code, self._availabilities.code
        arrays.micros[at] = [OWN if each[1] is None else each[1] for _, each in listed]
        arrays.codes[at] = [0 if each[1] is None else money(each[2]) for _, each in listed]
        arrays.availability[at] = [state(each[3]) if each[3] else LISTED for _, each in listed]
        titles = {place: each[4] for place, each in listed if each[4]}
        known = arrays.titles.keys() & set(every) if arrays.titles else set[int]()
        if titles or known:
            kept = {place: arrays.titles[place] for place in arrays.titles.keys() - known}
            arrays.titles = kept | titles

    def asked(self, leaves: Sequence[Leaf], places: Places, lookups: Lookups) -> AskedMarkets:  # noqa: ARG002
        everywhere = at(self.everywhere, places)
        named = {each: self.sold(each, places) for each in markets_of(leaves)}
        return AskedMarkets(len(leaves), everywhere, named)

    def sold(self, market_id: str, places: Places) -> Flags:
        """Return by place whether the product is sold in a market."""
        arrays = self.arrays.get(market_id)
        listed: Flags = at(self.everywhere, places)
        if arrays is not None:
            listed = listed | (arrays.availability[places] != NO_LIST)
        return listed

    def counted(self, asked: AskedFacet, places: Ints) -> CountedColumn:  # noqa: ARG002
        raise AssertionError(f"{asked.field} cannot be counted: the table of fields rejects it")

    def cells(self, places: Ints) -> list[list[Any]]:  # noqa: ARG002
        raise AssertionError("ranking does not read markets")


@dataclass(frozen=True, slots=True)
class AskedMarkets:
    """Markets of some rows, as they were when a filter was asked."""

    conditions: int
    everywhere: Flags
    sold: Mapping[str, Flags]
    """By market that a condition names, whether each row is sold there."""

    @property
    def steps(self) -> int:
        return self.conditions * len(self.everywhere) // 64

    def look_up(self) -> Work[None]:
        yield

    def flags(self, leaf: Leaf) -> Flags:
        match leaf:
            case Existence():
                return ~self.everywhere
            case Comparison(_, operator, value):
                found = self.sold[str(value)]
                return found if operator is Operator.EQUAL else ~found
            case Membership(_, values):
                parts = [self.sold[str(each)] for each in values]
                none = np.zeros(len(self.everywhere), np.bool_)
                return np.asarray(np.logical_or.reduce([none, *parts]), np.bool_)


class MarketMoneyColumn(MoneyColumn):
    """Prices in a market: its own, else those of the products."""

    def __init__(self, own: MoneyColumn, arrays: MarketArrays) -> None:
        self.field = own.field
        self.currencies = own.currencies
        self.unknown = False
        self.former = FormerValues()
        self._own, self._arrays = own, arrays

    def at(self, places: Places) -> tuple[Ints, npt.NDArray[np.int16]]:
        values, codes = self._own.at(places)
        micros = self._arrays.micros[places]
        given = micros != OWN
        return np.where(given, micros, values), np.where(given, self._arrays.codes[places], codes)


class MarketChoiceColumn(CodedColumn):
    """Availability in a market: its own, else that of the products."""

    def __init__(self, own: CodedColumn, arrays: MarketArrays) -> None:
        super().__init__(own.field)
        self.unknown = False
        self.texts = own.texts
        self._own, self._arrays = own, arrays

    def known(self, text: str) -> int:
        return self._own.known(text)

    def at(self, places: Places) -> npt.NDArray[np.signedinteger[Any]]:
        states = self._arrays.availability[places]
        return np.where(states >= 0, states, self._own.at(places))


class MarketTitleColumn(LongTextColumn):
    """Titles in a market: its own, else those of the products."""

    def __init__(self, own: LongTextColumn, arrays: MarketArrays) -> None:
        self.field = own.field
        self.unknown = False
        self._own, self._arrays = own, arrays

    def asked(self, leaves: Sequence[Leaf], places: Places, lookups: Lookups) -> Texts:  # noqa: ARG002
        texts, kind = cast(Sequence[str], self._titles()), self.field.kind
        # Not cached: answers by place would have to follow changes of both titles.
        codes = numbers(places)
        return Texts(leaves, texts, codes, kind=kind, fact=str, lookups=Lookups())

    def cells(self, places: Ints) -> list[list[str]]:
        titles = self._titles()
        return [[titles[place] for place in places.tolist()]]

    def _titles(self) -> _Overlaid:
        return _Overlaid(self._own.texts, self._arrays.titles)


@dataclass(frozen=True, slots=True)
class _Overlaid:
    own: Sequence[str]
    titles: Mapping[int, str]

    def __getitem__(self, place: int) -> str:
        return self.titles.get(place) or self.own[place]


def market_columns(columns: Mapping[str, Column], arrays: MarketArrays) -> dict[str, Column]:
    """Return the columns of a market's values, by field (markets.CONDITIONED)."""
    return {
        "price": MarketMoneyColumn(cast(MoneyColumn, columns["price"]), arrays),
        "availability": MarketChoiceColumn(cast(CodedColumn, columns["availability"]), arrays),
        "title": MarketTitleColumn(cast(LongTextColumn, columns["title"]), arrays),
    }
