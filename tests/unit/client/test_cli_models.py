"""Models by the command line: training, promotion and publication, their output and exit codes."""

import json

import pytest
from google.rpc import code_pb2

from sightline.common.v1 import job_pb2
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status
from tests.unit.client.command_line import Line, flat, line

__all__ = ["line"]  # fixtures


def test_training_is_followed_and_promoted(line: Line, gateway: FakeGateway) -> None:
    result = line("models", "train", "--seed", "7", "--promote")
    assert result.exit_code == 0, result.output
    assert "Model m1 is serving" in result.stdout
    assert gateway.requests["TrainModel"][0].seed == 7
    assert gateway.requests["PromoteModel"][0].model_version == "m1"


def too_little(gateway: FakeGateway) -> job_pb2.Job:
    ended = gateway.job_states[-1]
    ended.state = job_pb2.Job.STATE_FAILED
    ended.error.CopyFrom(
        status(code_pb2.FAILED_PRECONDITION, "too few", reason="TRAINING_DATA_INSUFFICIENT")
    )
    return ended


def test_too_little_to_learn_from_ends_well_where_a_promotion_was_asked_for(
    line: Line, gateway: FakeGateway
) -> None:
    too_little(gateway)
    result = line("models", "train", "--promote")
    assert result.exit_code == 0
    said = flat(result.stderr)
    assert "No model was trained: too few." in said
    assert "Serving now: model m0." in said
    assert "sightline events import FILE" in said
    assert not gateway.requests["PromoteModel"]


def test_a_model_without_evidence_is_kept_and_what_is_missing_is_said(
    line: Line, gateway: FakeGateway
) -> None:
    unproven = status(
        code_pb2.FAILED_PRECONDITION, "the evidence is INCONCLUSIVE", reason="MODEL_UNPROVEN"
    )
    gateway.fail("PromoteModel", unproven)
    result = line("models", "train", "--promote")
    assert result.exit_code == 0
    said = flat(result.stderr)
    assert "Model m1 is trained and kept, and does not serve yet." in said
    assert "Evidence: the evidence is INCONCLUSIVE" in said
    assert "Serving now: model m0." in said
    assert "Train again with more events" in said
    assert "sightline models promote m1 --force" in said


@pytest.mark.parametrize("options", [(), ("--promote",)])
def test_training_that_fails_or_is_cancelled_is_reported_once(
    line: Line, gateway: FakeGateway, options: tuple[str, ...]
) -> None:
    ended = too_little(gateway)
    ended.error.CopyFrom(status(code_pb2.ABORTED, "NaN", reason="TRAINING_DIVERGED"))
    result = line("models", "train", *options)
    assert result.exit_code == 1
    assert flat(result.stderr) == "Job ranker/1 ended as FAILED: TRAINING_DIVERGED: NaN"
    ended.state = job_pb2.Job.STATE_CANCELLED
    ended.ClearField("error")
    result = line("models", "train", *options)
    assert result.exit_code == 1
    assert flat(result.stderr) == "Job ranker/1 ended as CANCELLED"
    assert "is serving" not in result.stdout


def test_training_may_be_only_started(line: Line, gateway: FakeGateway) -> None:
    assert line("models", "train", "--no-wait").exit_code == 0
    assert not gateway.requests["WatchJob"]
    assert line("models", "train", "--no-wait", "--promote").exit_code == 2


def test_models_are_listed_promoted_and_rolled_back(line: Line, gateway: FakeGateway) -> None:
    assert "m0 serves" in flat(line("models", "list").stdout)
    assert "ndcg@10 0.500 (n=7)" in flat(line("models", "list").stdout)
    assert "m7 serves" in flat(line("models", "promote", "m7").stdout)
    assert json.loads(line("models", "rollback", "--json").stdout)["modelVersion"] == "m0"
    gateway.fail("RollbackModel", status(code_pb2.UNAVAILABLE, "lost"))
    assert line("models", "rollback").exit_code == 1
    assert len(gateway.requests["RollbackModel"]) == 2, "going back twice is two models back"


def test_a_model_is_demoted_once(line: Line, gateway: FakeGateway) -> None:
    assert "Model m7 no longer serves; no model does." in flat(line("models", "demote").stdout)
    gateway.fail("DemoteModel", status(code_pb2.UNAVAILABLE, "lost"))
    assert line("models", "demote").exit_code == 1
    assert len(gateway.requests["DemoteModel"]) == 2, "never tried again by itself"


def test_a_model_is_published_and_the_job_followed(line: Line, gateway: FakeGateway) -> None:
    gateway.fail("PublishModel", status(code_pb2.UNAVAILABLE, "lost"))
    result = line("models", "publish", "m7", "--rewrite")
    assert result.exit_code == 0
    assert "SUCCEEDED" in flat(result.stdout)
    first, second = gateway.requests["PublishModel"]
    assert (first.model_version, first.rewrite) == ("m7", True)
    assert first == second
    assert first.request_id, "a try again must not start a second job"
    ended = gateway.job_states[-1]
    ended.state = job_pb2.Job.STATE_FAILED
    assert line("models", "publish").exit_code == 1
    assert gateway.requests["PublishModel"][-1].model_version == ""
