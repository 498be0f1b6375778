"""Spaces on the command line and in the client."""

import json

import pytest
from google.rpc import code_pb2
from typer.testing import CliRunner, Result

from sightline.common.v1 import job_pb2
from sightline_client import FailedPrecondition, SightlineClient, SpaceState, SpaceVerdict
from sightline_client.cli import app
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import FITTED, status

VERSION, MODEL = FITTED.version, FITTED.model


class Line:
    """The command line on a gateway."""

    def __init__(self, gateway: FakeGateway) -> None:
        self.gateway = gateway

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["spaces", *arguments, "--target", self.gateway.target])


@pytest.fixture
def line(gateway: FakeGateway) -> Line:
    gateway.job_states[-1].results.add(name="space_version", value=VERSION)
    return Line(gateway)


def flat(text: str) -> str:
    return " ".join(text.split())


async def test_spaces_are_reported_as_plain_values(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    job = await client.fit_space(backbone="lite2", seed=7, shopper_photo_tags=["phone"])
    assert job.job_id
    (asked,) = gateway.requests["FitSpace"]
    assert (asked.backbone, asked.seed, list(asked.shopper_photo_tags)) == ("lite2", 7, ["phone"])
    assert asked.request_id

    assert [each.model for each in await client.list_spaces()] == ["efficientnet_lite0"]
    shelf, fitted = await client.list_spaces(include_all=True)
    assert (shelf.default, shelf.evaluation, shelf.fitted) == (True, None, False)
    assert (fitted.state, fitted.fitted, fitted.dimension) == (SpaceState.CANDIDATE, True, 80)
    assert fitted.evaluation is not None
    assert fitted.evaluation.verdict is SpaceVerdict.INCONCLUSIVE
    nearest, seen = fitted.evaluation.figures
    assert (nearest.name, round(nearest.baseline or 0, 3)) == ("1-NN", 0.647)
    assert (seen.baseline, seen.gain_low) == (None, None)
    with pytest.raises(FailedPrecondition, match="not proven"):
        await client.promote_space(VERSION)
    promoted = await client.promote_space(VERSION, force=True)
    assert (promoted.state, promoted.forced) == (SpaceState.SERVING, True)
    assert (await client.retire_space(MODEL)).state is SpaceState.RETIRED


def test_a_fit_is_followed_to_its_end_and_says_how_to_go_on(line: Line) -> None:
    result = line("fit", "--backbone", "lite2", "--dimension", "80", "--shopper-tag", "phone")
    assert result.exit_code == 0, result.output
    (asked,) = line.gateway.requests["FitSpace"]
    assert (asked.max_dimension, asked.max_photos) == (80, 50_000)
    assert f"sightline spaces show {VERSION}" in flat(result.stdout)
    assert "PromoteSpace" not in line.gateway.requests


def test_a_space_that_is_not_better_is_fitted_and_refused(line: Line) -> None:
    result = line("fit", "--promote")
    assert result.exit_code == 1
    assert "PROMOTION_REFUSED" in result.stderr
    forced = line("fit", "--promote", "--force")
    assert forced.exit_code == 0, forced.output
    assert f"sightline index upgrade --version {VERSION}" in flat(forced.stdout)


def test_a_fit_that_fails_ends_with_1_and_says_why(line: Line) -> None:
    job = line.gateway.job_states[-1]
    job.state = job_pb2.Job.STATE_FAILED
    job.error.CopyFrom(status(code_pb2.FAILED_PRECONDITION, "3 photos", reason="FIT_INVALID"))
    result = line("fit")
    assert result.exit_code == 1
    assert "3 photos" in result.output
    assert "spaces show" not in result.output


def test_a_fit_need_not_be_waited_for(line: Line) -> None:
    result = line("fit", "--no-wait", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["jobId"]
    assert line("fit", "--no-wait", "--promote").exit_code == 2
    assert line("fit", "--force").exit_code == 2
    assert line("fit", "--dimension", "8").exit_code == 2


def test_spaces_are_listed_and_shown_with_their_evidence(line: Line) -> None:
    assert MODEL not in line("list").stdout
    listed = flat(line("list", "--all").stdout)
    assert "candidate" in listed
    assert "inconclusive" in listed
    shown = flat(line("show", MODEL).stdout)
    for words in (
        "INCONCLUSIVE",
        "too few photos",
        "0.819",
        "+0.172",
        "-0.010",
        "efficientnet_lite0",
    ):
        assert words in shown
    assert json.loads(line("show", VERSION, "--json").stdout)["model"] == MODEL
    missing = line("show", "none")
    assert missing.exit_code == 1
    assert "spaces list --all" in flat(missing.stderr)


def test_a_space_is_promoted_and_retired(line: Line) -> None:
    refused = line("promote", VERSION)
    assert refused.exit_code == 1
    assert "PROMOTION_REFUSED" in refused.stderr
    assert "serving, forced" in flat(line("promote", VERSION, "--force").stdout)
    assert json.loads(line("retire", MODEL, "--json").stdout)["state"] == "SPACE_STATE_RETIRED"
