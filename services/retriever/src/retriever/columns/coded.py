"""Columns of texts: shared ones as codes, titles as they are."""

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from retriever.columns.arrays import Ints
from retriever.columns.column import AskedFacet, Cells, CountedColumn, Said, grown
from retriever.columns.lookups import Judge, Lookups, Texts
from retriever.domain.stored import fact_decoder, keyed
from sightline_rules import categories, kinds
from sightline_rules.fields import Field
from sightline_rules.filters import ATTRIBUTES, Comparison, Leaf, Operator, attribute_key
from sightline_rules.kinds import FieldKind

Values: TypeAlias = Callable[[AskedFacet, str], Sequence[Said]]
"""Returns the values in a stored text that a facet counts, each once."""


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
        self._fact = fact_decoder(field)
        self._judge = _judge(field.kind)
        self._values = _values(field.kind)

    @property
    def nbytes(self) -> int:
        return self.codes.nbytes

    def grow(self, size: int) -> None:
        self.codes = grown(self.codes, size)

    def fill(self, places: Sequence[int], rows: Sequence[Cells]) -> None:
        name, code = self._name, self.code
        self.codes[places] = [code(row[name]) for row in rows]

    def asked(self, leaves: Sequence[Leaf], places: Ints, lookups: Lookups) -> Texts:
        codes = self.codes[places]
        return Texts(leaves, self.texts, codes, fact=self._fact, judge=self._judge, lookups=lookups)

    def counted(self, asked: AskedFacet, places: Ints) -> CountedColumn:
        texts, values = self.texts, self._values
        codes = self.codes[places].astype(np.int64)
        return CountedColumn(asked, codes, lambda code: values(asked, texts[code]))

    def cells(self, places: Ints) -> list[list[str]]:
        texts = self.texts
        return [[texts[code] for code in self.codes[places].tolist()]]


class LongTextColumn:
    """Texts that few products share, such as titles."""

    def __init__(self, field: Field) -> None:
        self.field = field
        (self._name,) = field.stored
        self.texts: list[str] = []
        """By place."""
        self._judge = _judge(field.kind)

    @property
    def nbytes(self) -> int:
        return sum(map(str.__sizeof__, self.texts)) + 8 * len(self.texts)

    def grow(self, size: int) -> None:
        self.texts += [""] * (size - len(self.texts))

    def fill(self, places: Sequence[int], rows: Sequence[Cells]) -> None:
        for place, row in zip(places, rows, strict=True):
            self.texts[place] = row[self._name]

    def asked(self, leaves: Sequence[Leaf], places: Ints, lookups: Lookups) -> Texts:  # noqa: ARG002
        texts = [self.texts[place] for place in places.tolist()]
        return Texts(
            leaves,
            texts,
            np.arange(len(texts)),
            fact=str,
            judge=self._judge,
            lookups=Lookups(),
        )

    def counted(self, asked: AskedFacet, places: Ints) -> CountedColumn:  # noqa: ARG002
        raise AssertionError(f"{asked.field} cannot be counted: the table of fields rejects it")

    def cells(self, places: Ints) -> list[list[str]]:
        return [[self.texts[place] for place in places.tolist()]]


def _judge(kind: FieldKind) -> Judge:
    """Return the function that says whether a fact passes a condition."""
    if not isinstance(kind, kinds.AttributesKind):
        return kind.passes
    return lambda fact, leaf: kind.passes(fact.get(attribute_key(leaf.field), ()), leaf)


def _values(kind: FieldKind) -> Values:
    """Return the function that reads a facet's values from a stored text."""
    match kind:
        case kinds.CategoryKind():
            return _category
        case kinds.TextsKind():
            return _texts
        case kinds.AttributesKind():
            return _attribute
        case kinds.ChoiceKind(choices):
            equal = Operator.EQUAL
            return lambda asked, text: [(text, Comparison(asked.field, equal, choices(text)))]
        case _:
            return _whole


def _equal(asked: AskedFacet, text: str) -> Said:
    return text, Comparison(asked.field, Operator.EQUAL, text)


def _whole(asked: AskedFacet, text: str) -> Sequence[Said]:
    return [_equal(asked, text)] if text else []


def _texts(asked: AskedFacet, text: str) -> Sequence[Said]:
    return [_equal(asked, each) for each in json.loads(text)]


def _category(asked: AskedFacet, text: str) -> Sequence[Said]:
    levels, depth = categories.split(text), len(categories.split(asked.below)) + 1
    path = categories.join(levels[:depth])
    inside = not asked.below or categories.is_within(text, asked.below)
    return [_equal(asked, path)] if inside and len(levels) >= depth else []


def _attribute(asked: AskedFacet, text: str) -> Sequence[Said]:
    return [
        (
            value if isinstance(value, str) else json.dumps(value).removesuffix(".0"),
            Comparison(asked.field, Operator.EQUAL, value),
        )
        for value in keyed(text).get(asked.field.removeprefix(ATTRIBUTES), ())
    ]
