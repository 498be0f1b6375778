"""The values of sightline_core.answer, by the name under which the gateway knows them."""

from sightline_core.answer import (
    FUSED,
    AnsweredProduct,
    AnswerOrder,
    AnswerRecord,
    AnswerResult,
    Score,
)

__all__ = ["FUSED", "AnswerOrder", "AnswerRecord", "AnswerResult", "AnsweredProduct", "Score"]
