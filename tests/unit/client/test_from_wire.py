"""Messages become values, also those of a newer suite."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from google.rpc import code_pb2
from rich.console import Console, RenderableType

from sightline.common.v1 import answer_pb2, event_pb2, job_pb2, product_pb2
from sightline.gateway.v1 import admin_service_pb2, recommendation_service_pb2
from sightline_client import (
    Availability,
    Cause,
    EventType,
    JobState,
    NotFound,
    RecommendedProduct,
    ScoreNote,
    ScoreNoteCause,
)
from sightline_client.cli.show import listings, shelves, tables
from sightline_client.convert import from_wire
from tests.fakes import gateway_messages


def test_an_answer_keeps_every_figure() -> None:
    value = from_wire.recommendations(gateway_messages.answer())
    result = value.results[0]
    assert (result.rank, result.raw_score) == (1, 1.25)
    assert sum(part.value for part in result.parts) == result.raw_score
    assert result.reasons[0].parameters == {"signal": "0"}
    assert result.product.price is not None
    assert str(result.product.price) == "12.50 EUR"
    assert result.product.create_time == datetime.fromtimestamp(1_600_000_000, UTC)
    assert [a.value for a in result.product.attributes] == ["Italy", 13.5, True]
    assert value.degradations[0].cause is Cause.RANKER_UNAVAILABLE
    assert value.stage_timings[0].total == timedelta(milliseconds=12)
    assert value.stage_timings[0].network is None
    assert value.stage_timings[0].work == timedelta(milliseconds=10)
    assert value.freshness is not None
    assert value.freshness.time == datetime.fromtimestamp(1_600_000_000, UTC)
    assert value.freshness.lag == timedelta(seconds=1.5)
    assert value.versions.spaces[0].generation == "g1"
    assert (value.hidden_count, value.missing_product_ids) == (2, ("gone",))
    assert value.experiment_arms == ("order/b",)


def test_a_calibrated_score_names_its_event_and_an_unknown_one_is_none() -> None:
    def first(**fields: Any) -> RecommendedProduct:
        item = recommendation_service_pb2.RecommendedProduct(**fields)
        answer = recommendation_service_pb2.RecommendResponse(results=[item])
        return from_wire.recommendations(answer).results[0]

    clicked = first(score=0.0, score_event=event_pb2.EVENT_TYPE_CLICK)
    assert (clicked.score, clicked.score_event) == (0.0, EventType.CLICK)
    assert (first().score, first().score_event) == (None, None)
    assert first(score=0.5, score_event=cast(Any, 99)).score_event is None


def test_what_was_not_sent_is_none_and_not_zero() -> None:
    empty = from_wire.recommendations(recommendation_service_pb2.RecommendResponse())
    assert empty.freshness is None
    assert from_wire.product(product_pb2.Product()).price is None
    status = from_wire.status(admin_service_pb2.GetStatusResponse(products=-1))
    assert (status.products, status.visual_space, status.freshness) == (None, None, None)
    assert not status.healthy


def test_enum_values_of_a_newer_suite_are_unknown_and_no_error() -> None:
    newer = cast(Any, 99)
    job = from_wire.job(job_pb2.Job(state=newer))
    assert job.state is JobState.UNKNOWN
    assert not job.ended
    product = from_wire.product(product_pb2.Product(availability=newer))
    assert product.availability is Availability.UNSPECIFIED
    answer = recommendation_service_pb2.RecommendResponse(
        degradations=[answer_pb2.Degradation(cause=newer)]
    )
    assert from_wire.recommendations(answer).degradations[0].cause is Cause.UNKNOWN


def test_every_value_of_the_contracts_enums_has_a_name_here() -> None:
    def names(enum: Any, prefix: str) -> set[str]:
        return {name.removeprefix(prefix) for name in enum.keys()} - {"UNSPECIFIED"}  # noqa: SIM118

    assert names(answer_pb2.Degradation.Cause, "CAUSE_") == set(Cause) - {"UNKNOWN"}
    assert names(job_pb2.Job.State, "STATE_") == set(JobState) - {"UNKNOWN"}
    assert names(event_pb2.EventType, "EVENT_TYPE_") == set(EventType)
    assert names(product_pb2.Availability, "AVAILABILITY_") == set(Availability) - {"UNSPECIFIED"}


def test_a_failed_job_says_why() -> None:
    why = gateway_messages.status(code_pb2.NOT_FOUND, "no events", reason="NO_EVENTS")
    job = from_wire.job(job_pb2.Job(state=job_pb2.Job.STATE_FAILED, error=why))
    assert job.ended
    assert isinstance(job.error, NotFound)
    assert job.error.reason == "NO_EVENTS"


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED", "CANCELLED"])
def test_ended_jobs_are_ended(state: str) -> None:
    message = job_pb2.Job(state=job_pb2.Job.State.Value(f"STATE_{state}"))
    assert from_wire.job(message).ended


def test_a_suite_with_one_part_down_is_not_healthy() -> None:
    down = admin_service_pb2.ComponentStatus(
        component="ranker", status=gateway_messages.status(code_pb2.UNAVAILABLE, "refused")
    )
    up = admin_service_pb2.ComponentStatus(component="gateway")
    assert from_wire.status(admin_service_pb2.GetStatusResponse(components=[up])).healthy
    assert not from_wire.status(admin_service_pb2.GetStatusResponse(components=[up, down])).healthy


def test_notes_about_scores_say_part_cause_and_number_and_expected_values_may_lack() -> None:
    message = recommendation_service_pb2.RecommendResponse()
    message.score_notes.add(part="margin", cause=2, product_count=1200)
    message.score_notes.add(part="objective", cause=cast(Any, 99))
    message.results.add().expected_value = 1.5
    message.results.add().moves.add(cause=8, places=2)
    answer = from_wire.recommendations(message)
    assert answer.score_notes == (
        ScoreNote("margin", ScoreNoteCause.COST_ABOVE_PRICE, 1200),
        ScoreNote("objective", ScoreNoteCause.UNKNOWN, 0),
    )
    assert [each.expected_value for each in answer.results] == [1.5, None]
    assert answer.results[1].moves[0].cause == "OBJECTIVE"
    note = tables.score_note(answer.score_notes[0])
    assert (
        note.plain
        == "Score margin: the cost is above the price: the margin is 0 (1,200 candidates)"
    )


def test_lists_and_values_have_notes_about_their_scores_which_the_command_shows() -> None:
    note = answer_pb2.ScoreNote(part="margin", cause=answer_pb2.ScoreNote.CAUSE_OTHER_CURRENCY)
    page = recommendation_service_pb2.ListResponse(score_notes=[note])
    listed = from_wire.listing(page)
    ranked = from_wire.recommended_values(
        recommendation_service_pb2.RecommendValuesResponse(score_notes=[note])
    )
    shelf = recommendation_service_pb2.ShelfAnswer(shelf_id="all", list=page)
    shelved = from_wire.shelves(
        recommendation_service_pb2.RecommendShelvesResponse(shelves=[shelf])
    )
    expected = (ScoreNote("margin", ScoreNoteCause.OTHER_CURRENCY, 0),)
    assert listed.score_notes == ranked.score_notes == expected
    for shown in (listings.listed(listed), shelves.values(ranked), shelves.shelves(shelved)):
        assert "Score margin:" in printed(shown)


def printed(shown: RenderableType) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(shown)
    return capture.get()
