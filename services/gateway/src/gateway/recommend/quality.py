"""Refuses answers that are poorer than their callers, or their scenes, take."""

from collections.abc import Collection, Sequence

from gateway.model.answer import Result
from gateway.model.branch import Branch
from gateway.model.causes import Cause
from gateway.model.errors import AnswerDegraded
from gateway.model.messages import Degradation
from gateway.model.quality import Quality
from gateway.ranking.quality import quality_of
from gateway.state.run import Run


def check_quality(run: Run, lost: Sequence[Degradation], named: Collection[Branch]) -> Quality:
    """How good an answer can be, of what these branches named. Raises AnswerDegraded."""
    found = quality_of(
        lost, named, run.plan.scene.used, from_snapshot=bool(run.trace.snapshot_micros)
    )
    least = run.query.min_answer_quality or run.plan.scene.min_answer_quality
    if found < least:
        causes = sorted({Cause(each.cause).name for each in lost})
        raise AnswerDegraded(found.word, Quality(least).word, causes)
    return found


def page_quality(run: Run, lost: Sequence[Degradation], results: Sequence[Result]) -> Quality:
    """How good a page is. Raises AnswerDegraded."""
    return check_quality(run, lost, {each for item in results for each in item.answered.branches})
