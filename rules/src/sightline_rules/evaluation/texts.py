"""Results of conditions on shared texts: each text is compared once, and the result cached."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from threading import Lock
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sightline_rules.evaluation.judging import judge_of, key_of
from sightline_rules.evaluation.work import Flags, Work
from sightline_rules.filters import Leaf
from sightline_rules.kinds import FieldKind

Codes: TypeAlias = npt.NDArray[np.signedinteger[Any]]
Answers: TypeAlias = npt.NDArray[np.int8]
"""By code, whether a text passes: 1 or 0; UNKNOWN: not compared yet."""

UNKNOWN = -1
MOST_LEAVES = 256
"""Conditions whose answers are cached."""
MOST_BYTES = 32 * 2**20
"""Bytes of cached answers."""
MOST_COUNTED = 20_000
"""Places × conditions up to which `Texts.steps` counts the texts that are due."""
_BLOCK = 64
"""Texts whose answers are stored at once."""
_SPARSE = 64
"""Texts for each row from which on rows are looked at, in place of all texts."""


class Lookups:
    """Cache of answers, by condition; the least recently used ones go first.

    Safe for several threads: all find the same answer, and one that is lost is found again.
    """

    def __init__(self) -> None:
        self._answers: OrderedDict[Hashable, Answers] = OrderedDict()
        self._changes = Lock()

    def of(self, key: Hashable, size: int) -> Answers:
        """Return the answers about the first `size` texts, to be filled in."""
        known = self._answers.get(key)
        if known is not None and len(known) >= size:
            return known
        more = np.full(size, UNKNOWN, np.int8)
        if known is not None:
            more[: len(known)] = known
        return more

    def keep(self, key: Hashable, answers: Answers) -> None:
        """Cache answers, and drop the least recently used ones."""
        with self._changes:
            self._answers.pop(key, None)
            self._answers[key] = answers
            while len(self._answers) > MOST_LEAVES or self._bytes() > MOST_BYTES:
                self._answers.popitem(last=False)

    def _bytes(self) -> int:
        return sum(answers.nbytes for answers in self._answers.values())


class Texts:
    """Texts of some places, by code, and the answers of conditions about them."""

    def __init__(
        self,
        leaves: Sequence[Leaf],
        texts: Sequence[str],
        codes: Codes,
        *,
        kind: FieldKind,
        fact: Callable[[str], Any],
        lookups: Lookups,
    ) -> None:
        """Set the texts to judge. `texts`: by code, may grow. `fact`: converts a text."""
        size = int(codes.max(initial=-1)) + 1
        self._texts, self._codes, self._lookups = texts, codes, lookups
        self._kind, self._fact = kind, fact
        self._asked = {key_of(leaf): (leaf, lookups.of(key_of(leaf), size)) for leaf in leaves}
        self._due = _due(codes, size, [answers for _, answers in self._asked.values()])

    @property
    def steps(self) -> int:
        """Return the work: for each condition the texts that are due, in units of 64 characters,
        and the answers that are read, of which 64 are one."""
        read, due = len(self._codes) // 64, len(self._due)
        if due * len(self._asked) <= MOST_COUNTED:
            due = sum(1 + len(self._texts[code]) // 64 for code in self._due.tolist())
        return len(self._asked) * (read + due)

    def look_up(self) -> Work[None]:
        """Compare each text that is due with all conditions, so that it is read and folded once."""
        due, texts, fact = self._due, self._texts, self._fact
        missing = [pair for pair in self._asked.values() if (pair[1][due] == UNKNOWN).any()]
        if missing:
            judge = judge_of(self._kind, [leaf for leaf, _ in missing])
            for start in range(0, len(due), _BLOCK):
                some, judged = due[start : start + _BLOCK], []
                for code in some.tolist():
                    judged.append(judge(fact(texts[code])))
                    yield
                block = np.array(judged, np.int8)
                for place, (_, answers) in enumerate(missing):
                    answers[some] = block[:, place]
        for key, (_, answers) in self._asked.items():
            self._lookups.keep(key, answers)

    def flags(self, leaf: Leaf) -> Flags:
        """Return by place whether it passes one of the conditions. Call `look_up` first."""
        _, answers = self._asked[key_of(leaf)]
        return np.take(np.equal(answers, 1), self._codes)


def _due(codes: Codes, size: int, asked: Sequence[Answers]) -> Codes:
    """Return the codes, below `size`, of texts that some condition was not compared with."""
    if size > _SPARSE * len(codes):
        return np.unique(codes[np.logical_or.reduce([each[codes] == UNKNOWN for each in asked])])
    # np.unique takes five times as long for a million codes.
    unknown = np.logical_or.reduce([answers[:size] == UNKNOWN for answers in asked])
    if unknown.any():
        there = np.zeros(size, np.bool_)
        there[codes] = True
        unknown &= there
    return np.flatnonzero(unknown)
