"""The doctor names each problem, and a command that helps."""

import asyncio
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import grpc
import pytest
from typer.testing import CliRunner

from sightline.gateway.v1 import admin_service_pb2
from sightline.ranker.v1 import model_service_pb2
from sightline_client.cli import app
from sightline_client.cli.commands import doctor
from sightline_client.cli.commands.doctor import (
    LEAST_FREE,
    findings,
    of_events,
    of_machine,
    of_model,
    unreachable,
)
from sightline_client.cli.work import local_suite
from sightline_client.cli.work.local_suite import LocalSuite
from sightline_client.client import SightlineClient
from sightline_client.convert import from_wire
from sightline_client.errors import Failure, Unavailable
from sightline_client.values.answers import Freshness
from sightline_client.values.operations import (
    ComponentStatus,
    EmbedderSpace,
    Metric,
    Model,
    Status,
)
from sightline_client.version import VERSION
from tests.engines import free_port
from tests.fakes.gateway import FakeGateway

WELL = replace(
    from_wire.status(FakeGateway().status), failed_images=0, failed_texts=0, embedder_spaces=()
)


def problems(status: Status, version: str = VERSION) -> list[str]:
    return [each.problem for each in findings(status, version) if each.wrong]


def test_nothing_is_wrong_with_a_suite_that_is_well() -> None:
    assert problems(WELL) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"failed_images": 2}, "2 photos or texts could not be embedded"),
        ({"advice": ("too many rows",)}, "too many rows"),
        (
            {"embedder_spaces": (EmbedderSpace("text", "", "minilm", 0, False, True),)},
            "the model minilm of the space text does not answer",
        ),
    ],
)
def test_what_is_wrong_is_said(changed: dict[str, object], words: str) -> None:
    assert problems(replace(WELL, **changed)) == [words]


@pytest.mark.parametrize(("lacking", "wrong"), [(0, []), (40, [False]), (60, [True])])
def test_events_of_no_product_are_told(lacking: int, wrong: list[bool]) -> None:
    model = from_wire.model(model_service_pb2.Model(model_version="m"))
    metrics = (Metric("unmatched_events", float(lacking), 5),) if lacking else ()
    found = list(of_events([replace(model, event_count=100, metrics=metrics)]))
    assert [each.wrong for each in found] == wrong
    assert all(f"{lacking} of 100 events" in each.problem for each in found)


def test_a_part_that_does_not_answer_a_lag_and_an_old_client_are_wrong() -> None:
    lost = ComponentStatus(
        "milvus", Unavailable(Failure(grpc.StatusCode.UNAVAILABLE, "gone")), None
    )
    late = Freshness("", timedelta(minutes=5), None, 3)
    found = problems(replace(WELL, components=(lost,), freshness=late), "0.1.0")
    assert [words.partition(":")[0].partition(",")[0] for words in found] == [
        "milvus does not answer",
        "the gateway is 0.1.0",
        "the index is 300 s behind the catalog",
    ]


def test_services_of_another_release_than_the_gateway_s_are_wrong() -> None:
    parts = tuple(
        ComponentStatus(name, None, None, version)
        for name, version in (("gateway", VERSION), ("ranker", "0.1.0"), ("milvus", ""))
    )
    assert problems(replace(WELL, components=parts), "") == [
        f"the gateway is {VERSION}, the ranker 0.1.0"
    ]
    same = tuple(replace(part, version="0.1.0") for part in parts)
    assert problems(replace(WELL, components=same), "") == [
        f"the gateway is 0.1.0, this client {VERSION}"
    ]


def test_an_empty_shop_without_a_model_is_no_fault_and_has_next_steps() -> None:
    (found,) = findings(replace(WELL, products=0, model_version=""), VERSION)
    assert not found.wrong
    assert "products import" in found.fix
    bare, *_ = findings(replace(WELL, indexed_images=0, pending_images=0), VERSION)
    assert (bare.wrong, bare.problem.partition(":")[0]) == (False, "no product has a photo")


NIGHT = datetime(2026, 12, 1, 3, tzinfo=UTC)


def unproven(returned: int) -> Model:
    metrics = [model_service_pb2.ModelMetric(name="ndcg@10", sample_count=returned)]
    return from_wire.model(
        model_service_pb2.Model(model_version="m", metrics=metrics if returned else [])
    )


@pytest.mark.parametrize(
    ("models", "problem"),
    [
        ([], "ranking model: none yet; answers are those without one"),
        ([unproven(0)], "ranking model: none yet; 0 of 100 returning shoppers"),
        ([unproven(37)], "ranking model: none yet; 37 of 100 returning shoppers"),
        ([unproven(250)], "ranking model: none yet; with 250 returning shoppers the newest one"),
    ],
)
def test_what_a_model_lacks_is_told_with_the_next_try(models: list[Model], problem: str) -> None:
    (found,) = of_model(models, NIGHT)
    assert not found.wrong
    assert found.problem.startswith(problem)
    assert "the next try is tonight (03:00 UTC)" in found.fix
    assert "train" not in found.fix
    (found,) = of_model(models, None)
    assert "`sightline models train --promote`" in found.fix, "nothing else tries"
    serves = replace(unproven(37), promoted=True)
    assert list(of_model([*models, serves], NIGHT)) == []


def test_the_doctor_asks_for_models_and_the_next_training() -> None:
    with FakeGateway() as fake:
        night = fake.next_training_time
        night.FromDatetime(NIGHT)
        result = CliRunner().invoke(app, ["doctor", "--target", fake.target])
        assert "ranking model" not in result.output, "m0 serves"
        fake.serves = False
        result = CliRunner().invoke(app, ["doctor", "--target", fake.target])
    words = " ".join(result.output.split())
    assert "ranking model: none yet; 7 of 100 returning shoppers" in words
    assert (
        "Next: nothing to do: when there are events, the next try is tonight (03:00 UTC)" in words
    )


def test_an_engine_of_a_suite_that_has_just_started_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = list[int]()

    async def answers(client: object) -> object:
        asked.append(len(asked))
        found = admin_service_pb2.GetStatusResponse()
        found.components.add(component="milvus").status.code = 14 if len(asked) < 3 else 0
        return found, VERSION

    monkeypatch.setattr(doctor, "STARTING_SECONDS", 10.0)
    monkeypatch.setattr(doctor, "status_and_version", answers)
    monkeypatch.setattr(doctor.asyncio, "sleep", no_sleep)
    found, _ = asyncio.run(doctor._settled(cast(SightlineClient, None)))
    assert (len(asked), found.components[0].status.code) == (3, 0)
    monkeypatch.setattr(doctor, "STARTING_SECONDS", 0.0)
    asked.clear()
    found, _ = asyncio.run(doctor._settled(cast(SightlineClient, None)))
    assert (len(asked), found.components[0].status.code) == (1, 14), "it is down"


async def no_sleep(_: float) -> None:
    pass


# What is on this machine


@pytest.fixture
def port() -> Iterator[int]:
    """Yield a port on which a program listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def local(data: Path, *, running: bool, **ports: int) -> LocalSuite:
    return LocalSuite(
        data, {name: {"grpc": port} for name, port in ports.items()}, "make up", running
    )


def test_a_program_of_a_running_suite_that_listens_nowhere_is_named(
    tmp_path: Path, port: int
) -> None:
    free = free_port()
    suite = local(tmp_path, running=True, gateway=port, ranker=free)
    (found,) = of_machine(suite, LEAST_FREE)
    assert found.problem == f"ranker does not listen on port {free}"
    assert "`make down`, then `make up`" in found.fix
    assert list(unreachable(f"127.0.0.1:{free}", suite)) == []


def test_a_port_that_another_program_has_is_named_with_ports_that_are_free(
    tmp_path: Path, port: int
) -> None:
    suite = local(tmp_path, running=False, gateway=free_port(), retriever=port)
    (found,) = of_machine(suite, LEAST_FREE)
    assert f"another program has its port {port} (retriever)" in found.problem
    assert f"`make up PORT_BASE={suite.other_base()}`" in found.fix
    assert not local_suite.listens("127.0.0.1", suite.other_base())
    assert list(unreachable("127.0.0.1:1", suite)) == []


def test_a_full_disk_is_wrong(tmp_path: Path, port: int) -> None:
    suite = local(tmp_path, running=True, gateway=port)
    assert list(of_machine(suite, LEAST_FREE)) == []
    (found,) = of_machine(suite, LEAST_FREE - 1)
    assert found.problem.startswith(f"2.0 GiB are free on the disk of {tmp_path}")


def test_no_gateway_is_distinguished_from_another_program_in_its_place(
    tmp_path: Path, port: int
) -> None:
    (taken,) = unreachable(f"127.0.0.1:{port}", None)
    assert "is not a gateway, or hangs" in taken.problem
    (silent,) = unreachable(f"127.0.0.1:{free_port()}", None)
    assert silent.problem.startswith("nothing listens at")
    (away,) = unreachable("127.0.0.1:1", local(tmp_path, running=False, gateway=free_port()))
    assert away.problem == f"no suite runs in {tmp_path}"


def test_a_suite_on_this_machine_is_known_by_what_make_up_wrote(tmp_path: Path) -> None:
    facts = {"ports": {"gateway": {"grpc": 9300}}, "socket": "none", "again": "make up X=1"}
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "suite.json").write_text(json.dumps(facts))
    where = {"DATA": str(tmp_path)}
    found = local_suite.suite("127.0.0.1:9300", where)
    assert found == LocalSuite(tmp_path, {"gateway": {"grpc": 9300}}, "make up X=1", False)
    assert local_suite.suite("127.0.0.1:9400", where) is None
    assert local_suite.suite("shop.example:9300", where) is None
    (tmp_path / "run" / "suite.json").write_text('{"port_base": "9300"}')  # of an older release
    assert local_suite.suite("127.0.0.1:9300", where) is None


def test_a_gateway_that_is_away_is_a_finding_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA", str(tmp_path))
    target = f"127.0.0.1:{free_port()}"
    result = CliRunner().invoke(app, ["doctor", "--target", target])
    assert result.exit_code == 1
    assert "1 problem found." in result.output
    assert f"nothing listens at {target}" in result.output
    assert "Fix: start the suite: `make up`" in result.output
