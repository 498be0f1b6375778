"""Quality of an answer compared with one without failures: values and rule. Pure."""

from collections.abc import Collection, Sequence
from enum import IntEnum
from typing import Annotated

from pydantic import BeforeValidator

from gateway.model.errors import AnswerDegraded
from sightline_core.branch import Branch
from sightline_core.degradations import Degradation, DegradationCause


class Quality(IntEnum):
    """Quality of an answer, by the numbers of AnswerQuality; greater is better."""

    ANY = 0
    """Only as a minimum: any quality is accepted."""
    SNAPSHOT = 1
    FALLBACK = 2
    REDUCED = 3
    FULL = 4

    @property
    def word(self) -> str:
        """The name in scenes and metrics."""
        return self.name.lower()


def _by_word(given: object) -> object:
    words = {each.word: each for each in Quality}
    if isinstance(given, Quality):
        return given
    if isinstance(given, str) and given in words:
        return words[given]
    raise ValueError(f"is one of {list(words)}")


NamedQuality = Annotated[Quality, BeforeValidator(_by_word)]
"""Quality as named in a scene's file."""

_FALLBACKS = frozenset({Branch.POPULAR, Branch.NEW})


def quality_of(
    degradations: Collection[Degradation],
    named: Collection[Branch],
    wanted: Collection[Branch] = (),
    *,
    from_snapshot: bool,
) -> Quality:
    """Return the quality of an answer whose products these branches named.

    New products count as a fallback unless the scene uses them (`wanted`). Lost later pages do not
    make a page poorer.
    """
    if from_snapshot:
        return Quality.SNAPSHOT
    dropped = DegradationCause.ANSWER_RECORD_DROPPED
    lost = {each.stage for each in degradations if each.cause != dropped}
    if not lost:
        return Quality.FULL
    if _FALLBACKS.difference(wanted).issuperset(named) and not lost.isdisjoint(Branch):
        return Quality.FALLBACK
    return Quality.REDUCED


def check_quality(found: Quality, least: int, degradations: Sequence[Degradation]) -> Quality:
    """Return the quality. Raise AnswerDegraded below the minimum of request or scene."""
    if found < least:
        causes = sorted({DegradationCause(each.cause).name for each in degradations})
        raise AnswerDegraded(found.word, Quality(least).word, causes)
    return found
