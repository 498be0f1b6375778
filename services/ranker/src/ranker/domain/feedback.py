"""Recorded answers and the outcomes of their products, as columns. NumPy only."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ranker.domain.arrays import Doubles, Flags, Ints, part


@dataclass(frozen=True, slots=True)
class ShownOutcome:
    """What shoppers did with a product of an answer."""

    shown: bool
    weight: float
    """Number of impressions that it represents, above 0; undefined if it was not shown."""
    position: int
    """Position at which it was shown, from 1; 0 if unknown."""
    clicked: bool
    bought: bool
    shown_micros: int = 0
    """Time of the first impression, microseconds since 1970 (UTC); 0 without one."""
    clicked_micros: int = 0
    """Time of the first click; 0 without one."""
    bought_micros: int = 0
    """Time of the first purchase; 0 without one."""


@dataclass(frozen=True, slots=True)
class LoggedAnswer:
    """An answer with its ordered products and their outcomes."""

    answer_id: str
    answer_micros: int
    model_version: str
    product_ids: Sequence[str]
    raw_scores: Doubles
    parts: Mapping[str, Doubles]
    """Parts of the raw scores, as weighed by the model's blend."""
    propensities: Doubles
    """Probabilities that products were placed at their ranks; 0 if unknown."""
    outcomes: Mapping[str, ShownOutcome]


@dataclass(frozen=True, slots=True)
class Feedback:
    """Products of answers. Row i of a column is one product; an answer's rows are adjacent and in
    its order; answers are sorted by time, then id."""

    part_names: tuple[str, ...]
    """Sorted."""
    versions: tuple[str, ...]
    """Model versions, sorted; codes in `version` are indexes into it."""
    answer: Ints
    """(rows,) non-decreasing; equal codes mean the same answer"""
    micros: Ints
    """(rows,) when the answer was served, microseconds since 1970 (UTC), non-decreasing"""
    version: Ints
    """(rows,)"""
    parts: Doubles
    """(rows, parts) as weighed by the blends of `versions`; 0 if a product lacks the part"""
    raw_score: Doubles
    """(rows,)"""
    rank: Ints
    """(rows,) rank in the answer's order, from 1"""
    place: Ints
    """(rows,) reported position, otherwise `rank`"""
    propensity: Doubles
    """(rows,) probability of its rank, 0 to 1; 0 if unknown"""
    shown: Flags
    """(rows,) whether an impression was reported"""
    weight: Doubles
    """(rows,) number of impressions represented; 0 if it was not shown"""
    clicked: Flags
    """(rows,)"""
    bought: Flags
    """(rows,)"""
    shown_micros: Ints
    """(rows,) time of the first impression; 0 without one"""
    clicked_micros: Ints
    """(rows,) time of the first click; 0 without one"""
    bought_micros: Ints
    """(rows,) time of the first purchase; 0 without one"""

    def __len__(self) -> int:
        return len(self.answer)

    def part(self, rows: Flags) -> "Feedback":
        """Return only these rows, in their order, with the same codes."""
        return part(self, rows)

    def until(self, micros: int) -> "Feedback":
        """Return the answers before this time, with what happened before it: what a shopper does
        later with an earlier answer is not known then."""
        known = self.part(self.micros < micros)
        shown = known.shown & (known.shown_micros < micros)
        return replace(
            known,
            shown=shown,
            weight=np.where(shown, known.weight, 0.0),
            clicked=known.clicked & (known.clicked_micros < micros),
            bought=known.bought & (known.bought_micros < micros),
        )

    @property
    def impressions(self) -> "Feedback":
        return self.part(self.shown)


_COLUMNS = tuple(
    field.name for field in fields(Feedback) if field.name not in ("part_names", "versions")
)


def feedback_of(answers: Iterable[LoggedAnswer]) -> Feedback:
    """Return the answers, in any order, as columns."""
    found = sorted(answers, key=lambda one: (one.answer_micros, one.answer_id))
    versions = sorted({one.model_version for one in found})
    names = sorted({name for answer in found for name in answer.parts})
    counts = [len(one.product_ids) for one in found]
    outcomes = [one.outcomes.get(item, _NOTHING) for one in found for item in one.product_ids]
    rank = _whole([np.arange(1, count + 1) for count in counts], np.int64)
    position = np.array([one.position for one in outcomes], np.int64)
    shown = np.array([one.shown for one in outcomes], np.bool_)
    parts = np.zeros((len(rank), len(names)))
    for column, name in enumerate(names):
        parts[:, column] = _whole(
            [one.parts.get(name, np.zeros(count)) for one, count in zip(found, counts, strict=True)]
        )

    def repeated(values: Sequence[int]) -> Ints:
        return np.repeat(np.array(values, np.int64), counts)

    return Feedback(
        part_names=tuple(names),
        versions=tuple(versions),
        answer=repeated(range(len(found))),
        micros=repeated([one.answer_micros for one in found]),
        version=repeated([versions.index(one.model_version) for one in found]),
        parts=parts,
        raw_score=_whole([one.raw_scores for one in found]),
        rank=rank,
        place=np.where(position > 0, position, rank),
        propensity=_whole([one.propensities for one in found]),
        shown=shown,
        weight=np.where(shown, np.array([one.weight for one in outcomes], np.float64), 0.0),
        clicked=np.array([one.clicked for one in outcomes], np.bool_),
        bought=np.array([one.bought for one in outcomes], np.bool_),
        shown_micros=np.array([one.shown_micros for one in outcomes], np.int64),
        clicked_micros=np.array([one.clicked_micros for one in outcomes], np.int64),
        bought_micros=np.array([one.bought_micros for one in outcomes], np.int64),
    )


def _whole(pieces: Sequence[npt.NDArray[Any]], kind: type = np.float64) -> npt.NDArray[Any]:
    return np.concatenate([np.zeros(0, kind), *pieces])


_NOTHING = ShownOutcome(shown=False, weight=0.0, position=0, clicked=False, bought=False)


def joined(batches: Sequence[Feedback]) -> Feedback:
    """Join batches with disjoint answers, each later than those of the batch before."""
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
