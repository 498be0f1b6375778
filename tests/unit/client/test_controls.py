"""Controls of requests, and their outcomes."""

import math
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner, Result

from sightline.gateway.v1 import control_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_client import Control, ControlKind, ControlResult, F
from sightline_client.cli import app
from sightline_client.cli.show import tables
from sightline_client.convert import from_wire, to_wire
from sightline_client.errors import InvalidRequest
from tests.fakes.gateway import FakeGateway


def test_a_control_says_what_its_value_says() -> None:
    day = datetime(2026, 12, 1, tzinfo=UTC)
    value = Control(
        "own", ControlKind.BOOST, filter=F.brand == "A", boost=0.5, start_time=day, daily_budget=9
    )
    message = to_wire.control(value)
    assert message.start_time.seconds == int(day.timestamp())
    assert not message.HasField("end_time")
    message.ClearField("start_time")
    assert message == control_pb2.Control(
        name="own",
        kind=control_pb2.Control.KIND_BOOST,
        filter=to_wire.filter_(F.brand == "A"),
        boost=0.5,
        daily_budget=9,
    )
    with pytest.raises(InvalidRequest):
        to_wire.control(Control("x", ControlKind.PIN, ["a"], start_time=datetime(2026, 1, 1)))  # noqa: DTZ001


def test_what_became_of_controls_is_shown_where_they_did_not_act() -> None:
    message = rec.RecommendResponse()
    kept_out = control_pb2.ControlOutcome.OUTCOME_OUT_OF_STOCK
    message.control_outcomes.add(control="hero", product_id="p[1]", outcome=kept_out, scene="home")
    message.control_outcomes.add(control="own", outcome=1)
    answer = from_wire.recommendations(message)
    assert [each.outcome for each in answer.control_outcomes] == [
        *(ControlResult.OUT_OF_STOCK, ControlResult.APPLIED)
    ]
    (note,) = tables._notes(answer)
    assert note.plain == "Control home: hero: p[1] out of stock"


def call(gateway: FakeGateway, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["recommend", *arguments, "--target", gateway.target])


def test_controls_of_the_command_line_reach_the_request(gateway: FakeGateway) -> None:
    asked = ["--pin", "a=b=2", "--boost", "c=0.5", "--bury", "d", "--bury", "e"]
    assert call(gateway, *asked).exit_code == 0
    controls = gateway.requests["Recommend"][-1].controls
    assert [(c.name, list(c.product_ids), c.place, c.boost) for c in controls] == [
        ("pin-0", ["a=b"], 2, 0.0),
        ("boost-0", ["c"], 0, 0.5),
        ("bury", ["d", "e"], 0, 0.0),
    ]
    call(gateway, "--boost", "c=nan")
    assert math.isnan(gateway.requests["Recommend"][-1].controls[0].boost)


@pytest.mark.parametrize(
    "asked", [("--pin", "a"), ("--pin", "a=x"), ("--pin", "=1"), ("--boost", "a"), ("--boost", "=")]
)
def test_a_pin_without_a_place_is_wrong_usage(gateway: FakeGateway, asked: tuple[str, ...]) -> None:
    result = call(gateway, *asked)
    assert (result.exit_code, asked[0] in result.output) == (2, True)
