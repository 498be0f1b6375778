"""Columns of rows, as conditions on one field ask them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sightline_rules.evaluation.judging import judge_of, key_of
from sightline_rules.evaluation.work import Flags, Work
from sightline_rules.filters import (
    Comparison,
    Existence,
    Leaf,
    Membership,
    Money,
    Operator,
    Time,
    Value,
)
from sightline_rules.kinds import AttributesKind, FieldKind

_COMPARE: dict[Operator, Callable[[npt.NDArray[Any], float], Flags]] = {
    Operator.EQUAL: np.equal,
    Operator.NOT_EQUAL: np.not_equal,
    Operator.LESS: np.less,
    Operator.LESS_OR_EQUAL: np.less_equal,
    Operator.GREATER: np.greater,
    Operator.GREATER_OR_EQUAL: np.greater_equal,
}


class AskedColumn(Protocol):
    """Column of some rows, as it was when a filter was asked: safe to read in a thread."""

    @property
    def steps(self) -> int:
        """Return the work: values compared, of which a text of 64 characters is one."""

    def look_up(self) -> Work[None]:
        """Compare what all conditions on the column can share."""

    def flags(self, leaf: Leaf) -> Flags:
        """Return by row whether it passes one of the conditions. Call `look_up` first."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers that conditions compare at once: nothing is looked up."""

    conditions: int
    """Number of conditions, for `steps`."""
    values: npt.NDArray[Any]
    known: Flags

    @property
    def steps(self) -> int:
        return self.conditions * len(self.values) // 64

    def look_up(self) -> Work[None]:
        yield

    def flags(self, leaf: Leaf) -> Flags:
        match leaf:
            case Existence():
                return self.known
            case Comparison(_, operator, value):
                return self.known & _COMPARE[operator](self.values, _number(value))
            case Membership(_, values):
                numbers = np.array([*map(_number, values)], self.values.dtype)
                return np.asarray(self.known & np.isin(self.values, numbers), np.bool_)


def _number(value: Value) -> float:
    return value.micros if isinstance(value, Time) else float(value)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Amounts(Numbers):
    """Amounts of money in millionths, with codes of their currencies."""

    codes: npt.NDArray[np.int16]
    code_of: Callable[[str], int]
    """Returns the code of a currency; -1 if no row has it."""

    def flags(self, leaf: Leaf) -> Flags:
        match leaf:
            case Existence():
                return self.known
            case Comparison(_, operator, Money() as money):
                return self._in(money.currency) & _COMPARE[operator](self.values, money.micros)
            case Membership(_, values):
                return self._among(values)
            case _:
                raise AssertionError("an amount is compared with money")

    def _among(self, values: Sequence[Value]) -> Flags:
        micros = dict[str, list[int]]()
        for value in values:
            if isinstance(value, Money) and self.code_of(value.currency) >= 0:
                micros.setdefault(value.currency, []).append(value.micros)
        found = np.zeros(len(self.values), np.bool_)
        for currency, some in micros.items():
            found |= self._in(currency) & np.isin(self.values, np.array(some, np.int64))
        return found

    def _in(self, currency: str) -> Flags:
        return np.asarray(self.known & np.equal(self.codes, self.code_of(currency)), np.bool_)


class FactColumn:
    """Facts of single products, each judged once for all conditions; equal facts are judged once.

    The facts may be made while they are judged: in a thread if the work runs in one.
    """

    def __init__(
        self,
        kind: FieldKind,
        leaves: Sequence[Leaf],
        facts: Iterable[Any],
        rows: int,
        *,
        fact_steps: int = 0,
    ) -> None:
        """Set the facts of `rows` products. `fact_steps`: the work of making one of them."""
        self._kind, self._facts, self._rows = kind, facts, rows
        self._fact_steps = fact_steps
        self._leaves = {key_of(leaf): leaf for leaf in leaves}
        self._places = {key: place for place, key in enumerate(self._leaves)}
        self._found: Flags = np.zeros((0, len(self._leaves)), np.bool_)

    @property
    def steps(self) -> int:
        looks = sum(self._kind.looks_of(leaf) for leaf in self._leaves.values())
        return self._rows * (self._fact_steps + looks)

    def look_up(self) -> Work[None]:
        judge = judge_of(self._kind, [*self._leaves.values()])
        if isinstance(self._kind, AttributesKind):  # a mapping, and 1.0 == True
            judged = []
            for fact in self._facts:
                judged.append(judge(fact))
                yield
        else:
            judged = yield from _judged_once(judge, self._facts)
        self._found = np.array(judged, np.bool_).reshape(-1, len(self._leaves))

    def flags(self, leaf: Leaf) -> Flags:
        return self._found[:, self._places[key_of(leaf)]]


def _judged_once(
    judge: Callable[[Any], list[bool]], facts: Iterable[Any]
) -> Work[list[list[bool]]]:
    known: dict[Any, list[bool]] = {}
    judged = []
    for fact in facts:
        if (found := known.get(fact)) is None:
            found = known[fact] = judge(fact)
            yield
        judged.append(found)
    return judged
