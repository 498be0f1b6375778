"""The doctor names what is wrong, and a command that helps."""

from dataclasses import replace
from datetime import timedelta

import grpc
import pytest

from sightline_client import from_wire
from sightline_client.answers import Freshness
from sightline_client.cli.doctor import LEAST_FREE, findings
from sightline_client.errors import Failure, Unavailable
from sightline_client.operations import ComponentStatus, Status
from sightline_client.version import VERSION
from tests.fakes.gateway import FakeGateway

WELL = replace(from_wire.status(FakeGateway().status), failed_images=0, failed_texts=0)


def problems(status: Status, version: str = VERSION, free: int = LEAST_FREE) -> list[str]:
    return [each.problem for each in findings(status, version, free) if each.wrong]


def test_nothing_is_wrong_with_a_suite_that_is_well() -> None:
    assert problems(WELL) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"failed_images": 2}, "2 photos or texts could not be embedded"),
        ({"advice": ("too many rows",)}, "too many rows"),
    ],
)
def test_what_is_wrong_is_said(changed: dict[str, object], words: str) -> None:
    assert problems(replace(WELL, **changed)) == [words]


def test_a_part_that_does_not_answer_a_lag_an_old_client_and_a_full_disk_are_wrong() -> None:
    lost = ComponentStatus(
        "milvus", Unavailable(Failure(grpc.StatusCode.UNAVAILABLE, "gone")), None
    )
    late = Freshness("", timedelta(minutes=5), None, 3)
    found = problems(replace(WELL, components=(lost,), freshness=late), "0.1.0", 10)
    assert [words.partition(":")[0].partition(",")[0] for words in found] == [
        "milvus does not answer",
        "the gateway is 0.1.0",
        "0.0 GiB are free on this disk",
        "the index is 300 s behind the catalog",
    ]


def test_an_empty_shop_without_a_model_is_no_fault_and_has_next_steps() -> None:
    new = replace(WELL, products=0, model_version="")
    found = list(findings(new, VERSION, LEAST_FREE))
    assert [each.wrong for each in found] == [False, False]
    assert "products import" in found[0].fix
    assert "models train --promote" in found[1].fix
