"""Values become messages by the names of their fields."""

import pytest

from ranker.domain.events import EventType
from ranker.domain.features import Money
from ranker.domain.model import ModelVerdict
from ranker.domain.report import ProductionAs, Protocol, System, SystemKind
from ranker.servicer.messages import message_of
from ranker.serving.profiles.texts import ATTRIBUTE, KINDS
from sightline.common.v1 import event_pb2
from sightline.ranker.v1 import evaluation_pb2, profile_service_pb2, recipe_pb2


@pytest.mark.parametrize(
    ("message", "field", "values"),
    [
        (evaluation_pb2.Evaluation, "verdict", ModelVerdict),
        (evaluation_pb2.EvaluationTrial, "protocol", Protocol),
        (evaluation_pb2.EvaluatedSystem, "kind", SystemKind),
        (profile_service_pb2.Affinity, "kind", (ATTRIBUTE, *KINDS.values())),
        (event_pb2.Event, "type", EventType),
        (recipe_pb2.PartAddition, "verdict", ("adds", "nothing", "too_few")),
    ],
)
def test_every_name_of_an_enum_has_its_own_number(message, field, values) -> None:
    numbers = [getattr(message_of(message, {field: one}), field) for one in values]
    assert all(numbers)
    assert len(set(numbers)) == len([*values])


def test_a_form_of_production_that_is_none_is_left_unspecified() -> None:
    forms = [
        message_of(evaluation_pb2.Evaluation, None, production_form=one).production_form
        for one in ProductionAs
    ]
    assert forms == [0, 1, 2]


def test_values_within_values_times_and_amounts() -> None:
    made = message_of(event_pb2.Event, {"unit_price": Money(1_500_000, "EUR"), "value": None})
    assert (made.unit_price.units, made.unit_price.nanos) == (1, 500_000_000)
    assert not made.HasField("value")
    trial = message_of(
        evaluation_pb2.EvaluationTrial,
        {"split_time": 3_000_001},
        systems=[System("a", SystemKind.BASELINE, (), ())],
    )
    assert (trial.split_time.seconds, trial.split_time.nanos) == (3, 1000)
    assert trial.systems[0].kind == evaluation_pb2.EvaluatedSystem.KIND_BASELINE


def test_a_field_that_a_message_does_not_have_is_an_error() -> None:
    with pytest.raises(ValueError, match="nowhere"):
        message_of(evaluation_pb2.Evaluation, None, nowhere=1)
