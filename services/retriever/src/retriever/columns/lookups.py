"""What conditions say of texts that many products share: each is looked at once, and kept."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from retriever.columns.table import Flags
from servicekit import deadlines
from sightline_rules.facts import Facts, passes
from sightline_rules.filters import Comparison, Existence, Membership

Leaf: TypeAlias = Comparison | Membership | Existence
Codes: TypeAlias = npt.NDArray[np.signedinteger[Any]]
Answers: TypeAlias = npt.NDArray[np.int8]
"""By code, whether a text passes: 1 or 0; UNKNOWN = nobody asked yet."""

UNKNOWN = -1
MOST_LEAVES = 256
"""Conditions whose answers are kept."""
MOST_BYTES = 32 * 2**20
"""Of answers that are kept."""
MOST_COUNTED = 100_000
"""Places × conditions of which it is counted what is to be looked up."""


class Lookups:
    """The answers that are kept: those of the conditions that were used last.

    Several threads may use them at once: all find the same of a text, and what one of them does
    not keep is found again.
    """

    def __init__(self) -> None:
        self._answers: OrderedDict[Hashable, Answers] = OrderedDict()

    def of(self, key: Hashable, size: int) -> Answers:
        """What is known of the first `size` texts, to be filled in."""
        known = self._answers.get(key)
        if known is not None and len(known) >= size:
            return known
        more = np.full(size, UNKNOWN, np.int8)
        if known is not None:
            more[: len(known)] = known
        return more

    def keep(self, key: Hashable, answers: Answers) -> None:
        """Keep them, and forget those that are longest unused."""
        self._answers.pop(key, None)
        self._answers[key] = answers
        while len(self._answers) > MOST_LEAVES or self._bytes() > MOST_BYTES:
            self._answers.popitem(last=False)

    def _bytes(self) -> int:
        return sum(answers.nbytes for answers in tuple(self._answers.values()))


class Texts:
    """The texts of some places, by code, and what conditions say of them."""

    def __init__(
        self,
        leaves: Iterable[Leaf],
        texts: Sequence[str],
        codes: Codes,
        facts: Callable[[str], Facts],
        lookups: Lookups,
    ) -> None:
        """`texts` by code; there may be more by and by. `facts`: what a text says of a product."""
        size = int(codes.max(initial=-1)) + 1
        self._texts, self._codes, self._facts, self._lookups = texts, codes, facts, lookups
        self._asked = {key_of(leaf): (leaf, lookups.of(key_of(leaf), size)) for leaf in leaves}

    @property
    def steps(self) -> int:
        """What there is to look up: for each condition some 64 characters."""
        most = len(self._codes) * len(self._asked)
        if most > MOST_COUNTED:
            return most
        texts = (self._texts[code] for code in self._due())
        return len(self._asked) * sum(1 + len(text) // 64 for text in texts)

    def look_up(self) -> None:
        """Ask all conditions of one text after the other: so each is read, and folded, once.

        Raises DeadlineExceeded when nobody waits any more.
        """
        for code in self._due():
            deadlines.check()
            facts = self._facts(self._texts[code])
            for leaf, answers in self._asked.values():
                if answers[code] == UNKNOWN:
                    answers[code] = passes(leaf, facts)
        for key, (_, answers) in self._asked.items():
            self._lookups.keep(key, answers)

    def flags(self, leaf: Leaf) -> Flags:
        """By place, whether it passes one of the conditions. After `look_up`."""
        _, answers = self._asked[key_of(leaf)]
        return np.equal(answers[self._codes], 1)

    def _due(self) -> list[int]:
        """Codes of texts of which not every condition was asked."""
        due = np.zeros(len(self._codes), np.bool_)
        for _, answers in self._asked.values():
            due |= answers[self._codes] == UNKNOWN
        codes: list[int] = np.unique(self._codes[due]).tolist()
        return codes


def key_of(leaf: Leaf) -> Hashable:
    """The condition and the types of its values: to a dictionary 1.0 and True are one."""
    match leaf:
        case Membership(_, values):
            return leaf, tuple(map(type, values))
        case Comparison(_, _, value):
            return leaf, type(value)
        case Existence():
            return leaf
