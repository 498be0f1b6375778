"""Recorded answers and what became of their products, as columns. NumPy only."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ranker.model import Doubles, Ints

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Answered:
    """A product of an answer, as its record has it."""

    product_id: str
    raw_score: float
    parts: Mapping[str, float]
    """Addends of the raw score."""
    propensity: float = 1.0
    """The chance that it stood at its place; 0 = not known."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What shoppers did with a product of an answer."""

    shown: bool
    weight: float
    """For how many impressions it stands, above 0; without meaning where it was not shown."""
    position: int
    """Where it was seen, 1 = first; 0 = not said."""
    clicked: bool
    bought: bool


@dataclass(frozen=True, slots=True)
class AnswerLog:
    """An answer with its products as they were ordered, and what became of them by product."""

    answer_id: str
    answer_micros: int
    model_version: str
    products: tuple[Answered, ...]
    outcomes: Mapping[str, Outcome]


@dataclass(frozen=True, slots=True)
class Feedback:
    """Products of answers. Row i of a column is one; an answer's rows are together, in the order in
    which they were answered, and answers are sorted by time, then by id."""

    part_names: tuple[str, ...]
    """Sorted."""
    versions: tuple[str, ...]
    """Model versions, sorted; codes in `version` are places here."""
    answer: Ints
    """(rows,) not falling; the same code = the same answer"""
    micros: Ints
    """(rows,) when the answer was served, not falling"""
    version: Ints
    """(rows,)"""
    parts: Doubles
    """(rows, parts) 0 where a product has no such part"""
    raw_score: Doubles
    """(rows,)"""
    rank: Ints
    """(rows,) place in the answer's order, 1 = first"""
    place: Ints
    """(rows,) where it was seen as reported, else `rank`"""
    propensity: Doubles
    """(rows,) the chance that it stood there, 0 to 1; 0 = not known"""
    shown: Flags
    """(rows,) whether it was reported as shown"""
    weight: Doubles
    """(rows,) for how many impressions it stands; 0 where it was not shown"""
    clicked: Flags
    """(rows,)"""
    bought: Flags
    """(rows,)"""

    def __len__(self) -> int:
        return len(self.answer)

    def part(self, rows: Flags) -> "Feedback":
        """Only these rows, in their order, with the same codes."""
        return replace(self, **{name: getattr(self, name)[rows] for name in _COLUMNS})

    @property
    def impressions(self) -> "Feedback":
        """Only what was shown."""
        return self.part(self.shown)


_COLUMNS = tuple(
    field.name for field in fields(Feedback) if field.name not in ("part_names", "versions")
)


def feedback_of(answers: Iterable[AnswerLog]) -> Feedback:
    """The answers as columns. They may come in any order."""
    sorted_answers = sorted(answers, key=lambda one: (one.answer_micros, one.answer_id))
    versions = sorted({one.model_version for one in sorted_answers})
    rows = [
        (code, rank, answer, product)
        for code, answer in enumerate(sorted_answers)
        for rank, product in enumerate(answer.products, start=1)
    ]
    names = sorted({name for *_, product in rows for name in product.parts})
    column = {name: place for place, name in enumerate(names)}
    parts = np.zeros((len(rows), len(names)))
    for row, (*_, product) in enumerate(rows):
        for name, value in product.parts.items():
            parts[row, column[name]] = value
    outcomes = [answer.outcomes.get(product.product_id, _NOTHING) for *_, answer, product in rows]
    rank = np.array([rank for _, rank, _, _ in rows], np.int64)
    position = np.array([one.position for one in outcomes], np.int64)
    shown = np.array([one.shown for one in outcomes], np.bool_)
    return Feedback(
        part_names=tuple(names),
        versions=tuple(versions),
        answer=np.array([code for code, *_ in rows], np.int64),
        micros=np.array([answer.answer_micros for _, _, answer, _ in rows], np.int64),
        version=np.array([versions.index(one.model_version) for _, _, one, _ in rows], np.int64),
        parts=parts,
        raw_score=np.array([product.raw_score for *_, product in rows], np.float64),
        rank=rank,
        place=np.where(position > 0, position, rank),
        propensity=np.array([product.propensity for *_, product in rows], np.float64),
        shown=shown,
        weight=np.where(shown, np.array([one.weight for one in outcomes], np.float64), 0.0),
        clicked=np.array([one.clicked for one in outcomes], np.bool_),
        bought=np.array([one.bought for one in outcomes], np.bool_),
    )


_NOTHING = Outcome(shown=False, weight=0.0, position=0, clicked=False, bought=False)


def joined(batches: Sequence[Feedback]) -> Feedback:
    """Several as one; each holds other answers than the rest, and later ones than those before."""
    if not batches:
        return feedback_of(())
    names = tuple(sorted({name for batch in batches for name in batch.part_names}))
    versions = tuple(sorted({one for batch in batches for one in batch.versions}))
    columns: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in _COLUMNS}
    answers = 0
    for batch in batches:
        parts = np.zeros((len(batch), len(names)))
        parts[:, [names.index(name) for name in batch.part_names]] = batch.parts
        codes = np.array([versions.index(one) for one in batch.versions], np.int64)
        changed = {
            "parts": parts,
            "version": codes[batch.version],
            "answer": batch.answer + answers,
        }
        for name, column in columns.items():
            column.append(changed.get(name, getattr(batch, name)))
        answers += int(batch.answer[-1]) + 1 if len(batch) else 0
    return Feedback(names, versions, **{name: np.concatenate(one) for name, one in columns.items()})
