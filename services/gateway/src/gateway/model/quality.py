"""How good an answer is, against what would be answered with nothing lost."""

from enum import IntEnum
from typing import Annotated

from pydantic import BeforeValidator

from gateway.model.messages import AnswerQuality


class Quality(IntEnum):
    """By the numbers of AnswerQuality; better ones are greater."""

    ANY = AnswerQuality.ANSWER_QUALITY_UNSPECIFIED
    """Of no answer: whatever there is will do."""
    SNAPSHOT = AnswerQuality.ANSWER_QUALITY_SNAPSHOT
    FALLBACK = AnswerQuality.ANSWER_QUALITY_FALLBACK
    REDUCED = AnswerQuality.ANSWER_QUALITY_REDUCED
    FULL = AnswerQuality.ANSWER_QUALITY_FULL

    @property
    def word(self) -> str:
        """As scenes and metrics name it."""
        return self.name.lower()


def _by_word(given: object) -> object:
    words = {each.word: each for each in Quality}
    if isinstance(given, Quality):
        return given
    if isinstance(given, str) and given in words:
        return words[given]
    raise ValueError(f"is one of {list(words)}")


NamedQuality = Annotated[Quality, BeforeValidator(_by_word)]
"""A quality as a scene's file names it."""
