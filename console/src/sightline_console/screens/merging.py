"""Two texts of two authors, side by side, and the one that is made of them."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MOST_LINES = 600
"""Number of lines above which two texts are not compared line by line."""
MOST_HUNKS = 40
THEIRS, MINE, BOTH = "theirs", "mine", "both"


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines that both texts have, or that differ."""

    theirs: tuple[str, ...]
    mine: tuple[str, ...]

    @property
    def is_same(self) -> bool:
        """True if both texts have them."""
        return self.theirs == self.mine

    def chosen(self, choice: str) -> tuple[str, ...]:
        """Return the lines of a choice; the usual one is that of the person at the screen."""
        lines = {THEIRS: self.theirs, BOTH: (*self.theirs, *self.mine)}
        return lines.get(choice, self.mine)


def hunks(theirs: str, mine: str) -> list[Hunk]:
    """Compare two texts line by line, but too long or too different ones as a whole."""
    one, other = theirs.split("\n"), mine.split("\n")
    if max(len(one), len(other)) > MOST_LINES:
        return [Hunk(tuple(one), tuple(other))]
    found = _compared(one, other)
    many = sum(not each.is_same for each in found) > MOST_HUNKS
    return [Hunk(tuple(one), tuple(other))] if many else found


def _compared(one: Sequence[str], other: Sequence[str]) -> list[Hunk]:
    matcher = difflib.SequenceMatcher(None, one, other)
    return [Hunk(tuple(one[i:j]), tuple(other[k:m])) for _tag, i, j, k, m in matcher.get_opcodes()]


def merged(theirs: str, mine: str, choices: Mapping[int, str]) -> str:
    """Return the text of the choices, each by the number of its hunk."""
    found = hunks(theirs, mine)
    return "\n".join(
        line for at, each in enumerate(found) for line in each.chosen(choices.get(at, MINE))
    )
