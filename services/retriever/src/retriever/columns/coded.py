"""Columns of texts: shared ones as codes, titles as they are."""

import json
from bisect import bisect_left
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from retriever.columns.arrays import Flags, Ints, Places, at, numbers
from retriever.columns.column import AskedFacet, Cells, CountedColumn, Said, grown
from retriever.columns.former import FormerValues
from retriever.domain.field_codecs import fact_decoder, keyed
from sightline_rules import categories, kinds
from sightline_rules.evaluation.texts import Lookups, Texts
from sightline_rules.facts import text_of
from sightline_rules.fields import Field
from sightline_rules.filters import ATTRIBUTES, AttributeValue, Comparison, Leaf, Operator
from sightline_rules.kinds import FieldKind

Decode: TypeAlias = Callable[[str], Any]
"""Reads a stored text."""
Values: TypeAlias = Callable[[AskedFacet, Any], Sequence[Hashable]]
"""Returns the values in what was read that a facet counts, each once."""
Say: TypeAlias = Callable[[AskedFacet, Any], Said]
_NO_VALUE = frozenset({"", "[]"})
_LIST_STEPS = 24
"""Work of reading the values of a text that holds several, such as tags."""


class Coded:
    """Distinct texts of a column, each with a small number."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        """Texts by code. New texts are appended; existing ones never change."""
        self._codes: dict[str, int] = {}

    def code(self, text: str) -> int:
        """Return the text's code, a new one if the text is new."""
        found = self._codes.get(text)
        if found is None:
            found = self._codes[text] = len(self.texts)
            self.texts.append(text)
        return found

    def known(self, text: str) -> int:
        """Return the text's code; -1 if no product ever had it."""
        return self._codes.get(text, -1)


class CodedColumn(Coded):
    """Texts of which many products share one: short ones, categories, choices, tags, attributes."""

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.field = field
        (self._name,) = field.stored
        small = isinstance(field.kind, kinds.ChoiceKind)
        self.codes: npt.NDArray[np.signedinteger[Any]] = np.zeros(0, np.int8 if small else np.int32)
        """By place."""
        self.unknown = True
        self.former = FormerValues()
        self._folded: list[str] = []
        """The distinct texts of `_ranks`, in lower case, sorted."""
        self._ranks: Ints = np.zeros(0, np.int64)
        """By code, twice the place of its text in `_folded`."""
        self._fact = fact_decoder(field)
        self._decode, self._values, self._say = _values(field.kind)
        several = isinstance(field.kind, kinds.TextsKind | kinds.AttributesKind)
        self._read_steps = _LIST_STEPS if several else 1

    @property
    def nbytes(self) -> int:
        return self.codes.nbytes

    def grow(self, size: int) -> None:
        self.codes = grown(self.codes, size)

    def fill(self, places: Sequence[int], rows: Sequence[Cells]) -> None:
        name, code = self._name, self.code
        self.codes[places] = [code(row[name]) for row in rows]
        self.unknown = _NO_VALUE.issuperset(self.texts)

    def at(self, places: Places) -> npt.NDArray[np.signedinteger[Any]]:
        """Return the codes at some places."""
        return at(self.codes, places)

    def asked(self, leaves: Sequence[Leaf], places: Places, lookups: Lookups) -> Texts:
        codes, kind = self.at(places), self.field.kind
        return Texts(leaves, self.texts, codes, kind=kind, fact=self._fact, lookups=lookups)

    def counted(self, asked: AskedFacet, places: Ints) -> CountedColumn:
        texts, decode = self.texts, self._decode
        return CountedColumn(
            asked,
            self.at(places).astype(np.int64),
            decode=lambda code: decode(texts[code]),
            pick=partial(self._values, asked),
            say=partial(self._say, asked),
            steps=min(len(places), len(texts)) * self._read_steps,
        )

    def cells(self, places: Ints) -> list[list[str]]:
        return [[*map(self.texts.__getitem__, self.at(places).tolist())]]

    def states(self, places: Ints) -> Ints:
        return self.at(places)[:, np.newaxis].astype(np.int64)

    def unit(self, places: Ints) -> str:  # noqa: ARG002
        return ""

    def ranked(self, states: Ints, unit: str) -> tuple[Ints, Flags]:  # noqa: ARG002
        codes = states[:, 0]
        self._rank()
        return self._ranks[codes], codes != self.known("")

    def text_of(self, value: int) -> str:
        return self._folded[abs(value) // 2]

    def value_of(self, text: str) -> int:
        """Return the place of a text; for one that no product has, that between its neighbours."""
        self._rank()
        place = bisect_left(self._folded, text)
        there = place < len(self._folded) and self._folded[place] == text
        return 2 * place - (not there)

    def _rank(self) -> None:
        """Rank all texts, if there are new ones."""
        if len(self._ranks) < len(self.texts):
            folded = [text.casefold() for text in self.texts]
            self._folded = sorted(set(folded))
            place = {text: 2 * number for number, text in enumerate(self._folded)}
            self._ranks = np.array([place[text] for text in folded], np.int64)


class LongTextColumn:
    """Texts that few products share, such as titles."""

    def __init__(self, field: Field) -> None:
        self.field = field
        (self._name,) = field.stored
        self.unknown = False
        self.texts: list[str] = []
        """By place."""
        self._lookups = Lookups()
        """Answers by place, until a text changes."""

    @property
    def nbytes(self) -> int:
        return sum(map(str.__sizeof__, self.texts)) + 8 * len(self.texts)

    def grow(self, size: int) -> None:
        self.texts += [""] * (size - len(self.texts))

    def fill(self, places: Sequence[int], rows: Sequence[Cells]) -> None:
        name = self._name
        new = {place: row[name] for place, row in zip(places, rows, strict=True)}
        changed = [place for place, text in new.items() if self.texts[place] != text]
        if changed:  # a filter that is evaluated in a thread continues with the former texts
            self.texts, self._lookups = self.texts.copy(), Lookups()
        for place in changed:
            self.texts[place] = new[place]

    def asked(self, leaves: Sequence[Leaf], places: Places, lookups: Lookups) -> Texts:  # noqa: ARG002
        kind, codes = self.field.kind, numbers(places)
        return Texts(leaves, self.texts, codes, kind=kind, fact=str, lookups=self._lookups)

    def counted(self, asked: AskedFacet, places: Ints) -> CountedColumn:  # noqa: ARG002
        raise AssertionError(f"{asked.field} cannot be counted: the table of fields rejects it")

    def cells(self, places: Ints) -> list[list[str]]:
        return [[*map(self.texts.__getitem__, places.tolist())]]


def _values(kind: FieldKind) -> tuple[Decode, Values, Say]:
    """Return the functions that read a stored text, pick a facet's values, and say one of them."""
    match kind:
        case kinds.CategoryKind():
            return str, _category, _equal
        case kinds.TextsKind():
            return json.loads, lambda _, texts: texts, _equal
        case kinds.AttributesKind():
            return keyed, _attribute, _say_attribute
        case kinds.ChoiceKind(choices):
            equal = Operator.EQUAL
            return (
                str,
                lambda _, text: (text,),
                lambda asked, text: (text, Comparison(asked.field, equal, choices(text))),
            )
        case _:
            return str, lambda _, text: (text,) if text else (), _equal


def _equal(asked: AskedFacet, text: str) -> Said:
    return text, Comparison(asked.field, Operator.EQUAL, text)


def _category(asked: AskedFacet, text: str) -> Sequence[str]:
    path = categories.child(text, asked.below)
    return (path,) if path else ()


def _attribute(
    asked: AskedFacet, attributes: Mapping[str, Sequence[AttributeValue]]
) -> Sequence[Hashable]:
    """Return texts as they are, and others with their type: 1.0 == True."""
    values = attributes.get(asked.field.removeprefix(ATTRIBUTES), ())
    return [each if isinstance(each, str) else (type(each), each) for each in values]


def _say_attribute(asked: AskedFacet, value: Any) -> Said:
    if isinstance(value, str):
        return _equal(asked, value)
    _, plain = value
    return text_of(plain), Comparison(asked.field, Operator.EQUAL, plain)
