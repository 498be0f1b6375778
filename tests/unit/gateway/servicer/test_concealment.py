"""What reveals costs is removed from answers for callers who may not read costs."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf.message_factory import GetMessageClass

from gateway.servicer import concealment
from servicekit.admission import access
from servicekit.admission.access import Caller, Role
from servicekit.rpc.server import Binding
from sightline.common.v1 import answer_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["RecommendationService"]
NOTE = answer_pb2.ScoreNote
READER, OPERATOR = Caller("shop", frozenset(Role) - {Role.OPERATE}), Caller("it", frozenset(Role))


def told(margin: float, objective: str) -> pb.RecommendResponse:
    """Return an answer to a scene that weighs margins, or orders by an objective."""
    product = pb.RecommendedProduct(
        rank=1,
        raw_score=0.1 + margin + 0.2,
        score=0.3 + margin,
        expected_value=margin,
        parts=[
            {"name": "taste", "value": 0.1},
            {"name": "margin", "value": margin},
            {"name": "stock", "value": 0.2},
        ],
    )
    return pb.RecommendResponse(
        results=[product],
        versions={"objective": objective},
        score_notes=[
            NOTE(part="margin", cause=NOTE.CAUSE_COST_ABOVE_PRICE, product_count=1),
            NOTE(part="objective", cause=NOTE.CAUSE_NUMBER_MISSING, product_count=1),
            NOTE(part="stock", cause=NOTE.CAUSE_NUMBER_MISSING, product_count=1),
        ],
    )


async def served(name: str, answer: Any, caller: Caller) -> Any:
    servicer = SimpleNamespace(**dict.fromkeys([each.name for each in SERVICE.methods]))

    async def call(request: Any, context: Any) -> Any:
        return answer

    setattr(servicer, name, call)
    binding = concealment.serve(Binding(lambda *_: None, servicer, SERVICE.full_name))
    held = access.caller.set(caller)
    try:
        return await getattr(binding.servicer, name)(None, None)
    finally:
        access.caller.reset(held)


async def test_an_answer_that_weighs_margins_is_the_same_for_all_costs() -> None:
    one, other = [await served("Recommend", told(m, "margin"), READER) for m in (0.125, 0.7)]
    assert one == other
    (found,) = one.results
    assert [part.name for part in found.parts] == ["taste", "stock"]
    assert found.raw_score == pytest.approx(0.3)
    assert not found.HasField("expected_value")
    assert [note.part for note in one.score_notes] == ["stock"]


async def test_operators_see_what_reveals_costs() -> None:
    assert await served("Recommend", told(0.5, "margin"), OPERATOR) == told(0.5, "margin")


async def test_expected_values_of_other_objectives_stay() -> None:
    found = await served("Recommend", told(0.5, "revenue"), READER)
    assert found.results[0].expected_value == 0.5
    assert [note.part for note in found.score_notes] == ["objective", "stock"]


def scored(kind: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the paths to all parts of scores in a message."""
    for field in kind.fields:
        inner = field.message_type
        if inner is None or inner.full_name in above:
            continue
        if inner.full_name == concealment.PART:
            yield (field.name,)
        else:
            for path in scored(inner, (*above, inner.full_name)):
                yield (field.name, *path)


def first(message: Any, name: str) -> Any:
    field = message.DESCRIPTOR.fields_by_name[name]
    return getattr(message, name).add() if field.is_repeated else getattr(message, name)


PLACES = [(method.name, path) for method in SERVICE.methods for path in scored(method.output_type)]


@pytest.mark.parametrize(("name", "path"), PLACES, ids=str)
async def test_the_part_of_margins_is_removed_wherever_an_answer_has_parts(
    name: str, path: tuple[str, ...]
) -> None:
    answer = GetMessageClass(SERVICE.methods_by_name[name].output_type)()
    holder = answer
    for each in path[:-1]:
        holder = first(holder, each)
    getattr(holder, path[-1]).add(name="margin", value=0.5)
    found = await served(name, answer, READER)
    assert "margin" not in str(found)


def test_parts_are_found_in_every_answer_that_has_them() -> None:
    assert {name for name, _ in PLACES} >= {
        *("Recommend", "List", "RecommendValues", "RecommendShelves"),
        *("ExplainRecommendation", "ReplayRecommendation"),
    }
