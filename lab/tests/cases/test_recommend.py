"""The requests of the bench, and the sums of its figures."""

import pytest

from lab.cases import recommend
from lab.cases.recommend import RequestCase
from sightline.common.v1 import answer_pb2
from tests.fakes import gateway_messages


def test_a_stage_that_ran_twice_is_added_up_within_its_request() -> None:
    answer = gateway_messages.answer()
    second = answer.stage_timings.add(stage="embed")
    second.total.FromMilliseconds(3)
    case = RequestCase("a shop", "photo", 1)
    recommend.note(case, answer)
    assert dict(case.stages) == {"embed": [15.0]}


def test_degraded_answers_are_counted_and_warned_of() -> None:
    answer = gateway_messages.answer()
    answer.degradations.add(
        stage="collaborative", cause=answer_pb2.Degradation.CAUSE_RANKER_UNAVAILABLE
    )
    floor = RequestCase("a shop", "empty call", 1, latencies=[2.0], seconds=1)
    case = RequestCase("a shop", "photo", 1, latencies=[10.0], seconds=1)
    recommend.note(case, answer)
    result = recommend.result([floor, case])
    assert result.warnings == (
        "degraded answers, a shop, photo at 1: {'CAUSE_RANKER_UNAVAILABLE': 1}",
    )


def test_what_was_not_measured_is_said() -> None:
    floor = RequestCase("a shop", "empty call", 1, latencies=[2.0], seconds=1)
    assert recommend.result([floor], ["photos: NOT MEASURED"]).warnings == ("photos: NOT MEASURED",)


def test_ratios_are_to_the_empty_call_of_as_many_clients() -> None:
    cases = [
        RequestCase("a shop", "empty call", 1, latencies=[2.0], seconds=1),
        RequestCase("a shop", "photo", 1, latencies=[10.0], seconds=1),
        RequestCase("a shop", "empty call", 8, latencies=[5.0], seconds=1),
        RequestCase("a shop", "photo", 8, latencies=[100.0], seconds=1),
    ]
    table = recommend.result(cases).tables[0]
    assert [row[-1] for row in table.rows] == ["1.0", "5.0", "1.0", "20.0"]


@pytest.mark.parametrize("clients", recommend.CLIENTS)
def test_every_number_of_clients_has_its_rounds(clients: int) -> None:
    assert recommend.A_ROUND[clients] * recommend.ROUNDS >= 300
