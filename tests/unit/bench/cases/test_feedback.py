"""The tables and goals of the bench of feedback for given measurements."""

import pytest

from bench.cases import feedback
from bench.cases.feedback import AGAIN, IMPORTED, KINDS, TOGETHER, Waited, nominates, result
from bench.harness.model import GoalVerdict
from examples.wines.loading import LoadingFailed
from sightline.common.v1.answer_pb2 import ScorePart
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_client import Recommendations
from sightline_client.convert import from_wire


def found(milliseconds: float, counted: float, *, first: bool) -> list[GoalVerdict]:
    waited = {name: Waited([milliseconds], [1.0], [first]) for name in KINDS}
    waited |= {name: Waited([counted], [1.0], [False]) for name in (AGAIN, TOGETHER, IMPORTED)}
    return [goal.verdict for goal in result(waited).goals]


def test_goals_say_whether_answers_show_events_and_in_time() -> None:
    met, missed = GoalVerdict.MET, GoalVerdict.MISSED
    assert found(50, 900, first=True) == [met, met, met, met]
    assert found(150, 1100, first=False) == [missed, missed, missed, missed]


def page(**parts: float) -> Recommendations:
    """Return an answer with the product "new", which has these parts."""
    row = rec.RecommendedProduct(rank=1)
    row.product.product_id = "new"
    row.parts.extend(ScorePart(name=name, value=value) for name, value in parts.items())
    return from_wire.recommendations(rec.RecommendResponse(results=[row]))


def test_a_new_product_counts_only_if_it_is_on_the_page_by_its_features() -> None:
    assert nominates("new", page(popularity=0.5, content=0.1))
    assert nominates("new", page(taste=0.1))
    assert nominates("new", page(popularity=0.5, session=-0.1))
    assert nominates("new", page(popularity=0.5, content=-0.1))
    assert not nominates("new", page(popularity=0.5, content=0.0))
    assert not nominates("old", page(content=0.1))


async def test_a_product_that_does_not_come_fails_the_bench_or_counts_as_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feedback, "PATIENCE", 0.01)
    waited = Waited()

    async def written() -> None:
        pass

    async def ask() -> Recommendations:
        return page()

    with pytest.raises(LoadingFailed):
        await feedback._wait(written, ask, lambda _: False, waited)
    assert not waited.milliseconds
    await feedback._wait(written, ask, lambda _: False, waited, fails=False)
    assert waited.milliseconds[0] >= 10
    assert waited.first == [False]
