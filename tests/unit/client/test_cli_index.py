"""Index generations on the command line and in the client."""

import json

import pytest
from google.rpc import code_pb2
from typer.testing import CliRunner, Result

from sightline.common.v1 import job_pb2
from sightline.retriever.v1 import index_service_pb2 as pb
from sightline_client import (
    FailedPrecondition,
    GenerationState,
    IndexKind,
    IndexMetric,
    IndexParameters,
    SightlineClient,
)
from sightline_client.cli import app
from sightline_client.cli.work import upgrade
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status


class Line:
    """The command line on a gateway."""

    def __init__(self, gateway: FakeGateway) -> None:
        self.gateway = gateway

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["index", *arguments, "--target", self.gateway.target])


@pytest.fixture
def line(gateway: FakeGateway) -> Line:
    return Line(gateway)


@pytest.fixture
def newer(gateway: FakeGateway) -> FakeGateway:
    """Return a suite whose embedder's default version differs from the index's."""
    gateway.status.embedder_space_version = "v2"
    return gateway


def flat(text: str) -> str:
    return " ".join(text.split())


def calls(gateway: FakeGateway) -> list[str]:
    reads = ("GetStatus", "ListGenerations", "WatchJob", "GetJob")
    return [
        name for name, requests in gateway.requests.items() for _ in requests if name not in reads
    ]


# The client


async def test_a_generation_is_reported_as_plain_values(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    parameters = IndexParameters(IndexKind.HNSW, m=8, ef=64)
    made = await client.create_generation(
        name="two", space_version="v2", metric=IndexMetric.L2, parameters=parameters
    )
    assert (made.name, made.state, made.metric) == (
        "two",
        GenerationState.BUILDING,
        IndexMetric.L2,
    )
    assert made.parameters == parameters
    assert made.verification is None
    assert (await client.backfill_generation("two")).kind == "train"
    await client.verify_generation("two", sample_size=3, k=5, min_recall=0.5)
    sent = gateway.requests["VerifyGeneration"][0]
    assert (sent.sample_size, sent.k, sent.min_recall) == (3, 5, 0.5)
    assert sent.request_id
    active = await client.activate_generation("two")
    assert active.verification is not None
    assert active.verification.filtered_recall is None
    first, second = await client.list_generations(space="visual")
    assert (first.previous, second.active, first.failed_count) == (True, True, None)
    assert (await client.rollback_generation()).name == "visual-v1-1"
    assert (await client.drop_generation("two")).state is GenerationState.DROPPED
    assert len(await client.list_generations()) == 1
    assert len(await client.list_generations(include_dropped=True)) == 2


async def test_what_a_newer_suite_says_is_unknown(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    odd = gateway.generations["visual-v1-1"]
    odd.state, odd.metric, odd.parameters.kind = 77, 78, 79  # type: ignore[assignment]
    (found,) = await client.list_generations()
    assert found.state is GenerationState.UNKNOWN
    assert (found.metric, found.parameters.kind) == (IndexMetric.UNKNOWN, IndexKind.UNKNOWN)


async def test_creating_and_rolling_back_are_tried_once(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    away = status(code_pb2.UNAVAILABLE, "away", reason="RETRIEVER_UNAVAILABLE")
    for method in ("CreateGeneration", "RollbackGeneration"):
        gateway.fail(method, away)
    with pytest.raises(Exception, match="away"):
        await client.create_generation(name="two")
    with pytest.raises(Exception, match="away"):
        await client.rollback_generation()
    assert len(gateway.requests["CreateGeneration"]) == 1
    assert len(gateway.requests["RollbackGeneration"]) == 1
    gateway.fail("ActivateGeneration", away)
    with pytest.raises(FailedPrecondition):
        await client.activate_generation("visual-v1-1")  # it was tried again
    assert len(gateway.requests["ActivateGeneration"]) == 2


# One command for each call


def test_generations_are_listed_with_their_state(line: Line, gateway: FakeGateway) -> None:
    gateway.generations["visual-v1-1"].verification.CopyFrom(gateway.verification)
    text = flat(line("list").stdout)
    for words in ("visual-v1-1", "active", "flat cosine", "passed", "99", "?"):
        assert words in text
    found = json.loads(line("list", "--json").stdout)
    assert found["generations"][0]["spaceVersion"] == "v1"


def test_a_generation_is_created_filled_proved_and_made_active(
    line: Line, gateway: FakeGateway
) -> None:
    hnsw = ("--kind", "hnsw", "--m", "8", "--metric", "ip", "--partitions", "16")
    assert line("create", "--name", "two", "--version", "v2", *hnsw).exit_code == 0
    sent = gateway.requests["CreateGeneration"][0]
    assert (sent.parameters.kind, sent.parameters.m) == (pb.IndexParameters.KIND_HNSW, 8)
    assert (sent.metric, sent.parameters.partitions) == (pb.METRIC_IP, 16)
    assert line("backfill", "two").exit_code == 0
    shown = line("verify", "two", "--k", "7")
    assert shown.exit_code == 0
    assert "recall at 100" in shown.stdout
    assert "It passed." in shown.stdout
    assert "active" in line("activate", "two").stdout
    assert "visual-v1-1" in line("rollback").stdout
    assert json.loads(line("drop", "two", "--json").stdout)["state"] == "STATE_DROPPED"


def test_words_that_mean_nothing_are_wrong_usage(line: Line) -> None:
    assert line("create", "--metric", "x").exit_code == 2
    assert line("create", "--kind", "unknown").exit_code == 2
    assert line("upgrade", "--space", "text").exit_code == 2


def test_a_verification_that_fails_ends_with_1_and_says_why(
    line: Line, gateway: FakeGateway
) -> None:
    gateway.verification = pb.Verification(findings=["plain recall at 100 is 0.5"], k=100)
    result = line("verify", "visual-v1-1")
    assert result.exit_code == 1
    assert "Wrong: plain recall at 100 is 0.5" in flat(result.stdout)
    refused = line("activate", "visual-v1-1")
    assert refused.exit_code == 1
    assert "GENERATION_NOT_VERIFIED" in refused.stderr
    assert line("activate", "visual-v1-1", "--force").exit_code == 0


# The whole of it


def test_an_upgrade_goes_through_every_step_and_prints_when_each_was(
    line: Line, newer: FakeGateway
) -> None:
    result = line("upgrade")
    assert result.exit_code == 0, result.output
    assert calls(newer) == [
        "CreateGeneration",
        "BackfillGeneration",
        "VerifyGeneration",
        "ActivateGeneration",
    ]
    text = flat(result.stdout)
    assert "recall at 100" in text
    steps = [text.index(f" {step} ") for step in ("create", "backfill", "verify", "activate")]
    assert steps == sorted(steps)
    assert "visual-v2-1 instead of visual-v1-1" in text
    assert "sightline index rollback" in text
    assert newer.generations["visual-v2-1"].active


def test_an_upgrade_keeps_how_the_active_generation_is_searched(
    line: Line, newer: FakeGateway
) -> None:
    active = newer.generations["visual-v1-1"]
    active.metric = pb.METRIC_IP
    active.parameters.kind = pb.IndexParameters.KIND_HNSW
    active.parameters.m = 24
    assert line("upgrade").exit_code == 0
    made = newer.generations["visual-v2-1"]
    assert (made.metric, made.parameters) == (active.metric, active.parameters)


def test_a_version_may_be_named_by_its_model(line: Line, gateway: FakeGateway) -> None:
    gateway.status.embedder_spaces.add(space="visual", version="v1", model="lite0")
    gateway.status.embedder_spaces.add(space="text", version="t1", model="lite2")
    gateway.status.embedder_spaces.add(space="visual", version="v7", model="lite2")
    assert line("upgrade", "--version", "lite2").exit_code == 0
    assert gateway.generations["visual-v7-1"].active


def test_an_upgrade_that_is_done_changes_nothing(line: Line, newer: FakeGateway) -> None:
    line("upgrade")
    before = calls(newer)
    result = line("upgrade", "--json")
    facts = json.loads(result.stdout)
    assert (facts["generation"], facts["active"]) == ("visual-v2-1", True)
    assert calls(newer) == before


@pytest.mark.parametrize(
    "stopped", ["BackfillGeneration", "VerifyGeneration", "ActivateGeneration"]
)
def test_an_upgrade_that_was_cut_off_goes_on_where_it_was(
    line: Line, newer: FakeGateway, stopped: str
) -> None:
    newer.fail(stopped, status(code_pb2.INTERNAL, "cut off", reason="INTERNAL"))
    cut = line("upgrade")
    assert cut.exit_code == 1
    assert "did not finish" in flat(cut.stdout)
    assert line("upgrade").exit_code == 0
    assert len(newer.requests["CreateGeneration"]) == 1
    assert newer.generations["visual-v2-1"].active


def test_an_upgrade_stops_where_the_verification_fails(line: Line, newer: FakeGateway) -> None:
    newer.verification = pb.Verification(findings=["it is poor"], k=100)
    result = line("upgrade")
    assert result.exit_code == 1
    assert "Wrong: it is poor" in flat(result.stdout)
    assert "sightline index activate visual-v2-1 --force" in flat(result.stdout)
    assert "ActivateGeneration" not in calls(newer)


def test_an_upgrade_stops_where_its_backfill_was_cancelled(line: Line, newer: FakeGateway) -> None:
    newer.job_states[-1].state = job_pb2.Job.STATE_CANCELLED
    result = line("upgrade")
    assert result.exit_code == 1
    assert "ended as CANCELLED" in flat(result.stdout + result.stderr)
    assert "VerifyGeneration" not in calls(newer)


def test_a_version_that_the_suite_is_about_to_see_is_waited_for(
    line: Line, newer: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upgrade, "LOOK_SECONDS", 0.01)
    unseen = status(code_pb2.FAILED_PRECONDITION, "not yet", reason="SPACE_UNAVAILABLE")
    newer.fail("CreateGeneration", unseen, unseen)
    assert line("upgrade", "--version", "v3").exit_code == 0
    assert newer.generations["visual-v3-1"].active
    monkeypatch.setattr(upgrade, "OFFER_SECONDS", 0.0)
    newer.fail("CreateGeneration", *[unseen] * 50)
    assert "SPACE_UNAVAILABLE" in line("upgrade", "--version", "v4").stderr
