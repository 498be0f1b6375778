"""The demo shows insufficient evidence, and reports it as insufficient."""

import pytest
from google.rpc import code_pb2

from examples.wines.demo.evidence import evidence
from examples.wines.demo.model import DemoFailed
from sightline.ranker.v1 import evaluation_pb2
from sightline_client import FailedPrecondition, SightlineClient
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status

UNPROVEN = status(code_pb2.FAILED_PRECONDITION, "too little", reason="MODEL_UNPROVEN")


async def test_the_verdict_its_reason_and_the_refusal_are_shown() -> None:
    with FakeGateway() as fake:
        fake.fail("PromoteModel", UNPROVEN)
        async with SightlineClient(fake.target) as client:
            scene = await evidence(client, "lfm-1")
    assert "INCONCLUSIVE. Only 56 shoppers could be asked." in scene.findings[0]
    assert "MODEL_UNPROVEN" in scene.findings[1]
    (request,) = fake.requests["PromoteModel"]
    assert not request.force
    figures, differences = scene.figures
    assert figures.rows[0][:2] == ("candidate", "0.400 [0.300, 0.500]")
    assert differences.rows[1] == ("popularity", "+0.1150", "+0.0450 to +0.2080", "0.1160")


async def test_a_model_that_is_promoted_without_evidence_fails_the_demo() -> None:
    with FakeGateway() as fake:
        async with SightlineClient(fake.target) as client:
            with pytest.raises(DemoFailed, match="without force"):
                await evidence(client, "lfm-1")


async def test_a_refusal_for_another_reason_is_no_lack_of_evidence() -> None:
    with FakeGateway() as fake:
        fake.fail("PromoteModel", status(code_pb2.FAILED_PRECONDITION, "x", reason="MODEL_CORRUPT"))
        async with SightlineClient(fake.target) as client:
            with pytest.raises(FailedPrecondition):
                await evidence(client, "lfm-1")


async def test_people_whose_few_ratings_refute_a_model_do_not_fail_the_demo() -> None:
    with FakeGateway() as fake:
        fake.fail("PromoteModel", UNPROVEN)
        fake.evaluation.verdict = evaluation_pb2.Evaluation.VERDICT_FAILED
        async with SightlineClient(fake.target) as client:
            scene = await evidence(client, "lfm-1")
    assert "The verdict is FAILED." in scene.findings[0]


async def test_a_verdict_that_so_few_people_cannot_carry_fails_the_demo() -> None:
    with FakeGateway() as fake:
        fake.evaluation.verdict = evaluation_pb2.Evaluation.VERDICT_PASSED
        async with SightlineClient(fake.target) as client:
            with pytest.raises(DemoFailed, match="verdict is PASSED"):
                await evidence(client, "lfm-1")
