"""References and inspected pieces, in the client and on the command line."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import code_pb2
from grpc_status import rpc_status
from typer.testing import CliRunner, Result

from sightline.common.v1 import job_pb2, job_service_pb2_grpc
from sightline.gateway.v1 import inspection_service_pb2_grpc
from sightline.vision.v1 import inspection_service_pb2 as pb
from sightline_client import (
    Box,
    PieceVerdict,
    ReferenceState,
    ReferenceVerdict,
    SightlineClient,
    Uri,
    VerdictDoubt,
)
from sightline_client.cli import app
from tests.fakes.gateway_messages import status

VERSION = "1f0c2a7b93d4e5f6"
REFUSED = "PROMOTION_REFUSED"


class FakeInspection(inspection_service_pb2_grpc.InspectionServiceServicer):
    """A gateway's InspectionService with canned answers."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.answer = pb.InspectResponse(
            verdict=pb.InspectResponse.VERDICT_UNLIKE,
            score=2.5,
            threshold=1.5,
            threshold_low=1.25,
            p_value=0.05,
            false_alarm_rate=0.05,
            parts=[pb.AnomalousPart(score=2.5)],
            heat_map_png=b"png",
            reference_id="bottle",
            version=VERSION,
        )
        self.answer.parts[0].box.right = self.answer.parts[0].box.bottom = 0.5
        self.reference = pb.InspectionReference(
            reference_id="bottle",
            version=VERSION,
            state=pb.InspectionReference.STATE_CANDIDATE,
            photo_count=24,
            least_false_alarm_rate=0.04,
            separation=0.99,
        )
        self.statuses: list[Any] = []
        self.job = job_pb2.Job(
            job_id="retriever/7",
            kind="fit_reference",
            state=job_pb2.Job.STATE_SUCCEEDED,
            results=[job_pb2.JobResult(name="version", value=VERSION)],
        )
        self.refusal = ""
        """Why promotions are refused without force."""

    def AddReferencePhotos(self, request: Any, context: Any) -> pb.AddReferencePhotosResponse:
        self.requests.append(request)
        sent = sum(
            len(each.images)
            for each in self.requests
            if isinstance(each, pb.AddReferencePhotosRequest)
        )
        found = [status(0, "")] * len(request.images)
        found[: len(self.statuses)] = self.statuses[: len(found)]
        return pb.AddReferencePhotosResponse(statuses=found, photo_count=sent)

    def FitReference(self, request: Any, context: Any) -> pb.InspectionReference:
        self.requests.append(request)
        return self.reference

    def StartReferenceFit(self, request: Any, context: Any) -> job_pb2.Job:
        self.requests.append(request)
        return self.job

    def PromoteReference(self, request: Any, context: Any) -> pb.InspectionReference:
        self.requests.append(request)
        if self.refusal and not request.force:
            why = status(code_pb2.FAILED_PRECONDITION, self.refusal, reason=REFUSED)
            context.abort_with_status(rpc_status.to_status(why))
        self.reference.state = pb.InspectionReference.STATE_SERVING
        return self.reference

    def ListReferences(self, request: Any, context: Any) -> pb.ListReferencesResponse:
        return pb.ListReferencesResponse(references=[self.reference])

    def DeleteReference(self, request: Any, context: Any) -> pb.DeleteReferenceResponse:
        self.requests.append(request)
        return pb.DeleteReferenceResponse(deleted_count=2)

    def Inspect(self, request: Any, context: Any) -> pb.InspectResponse:
        self.requests.append(request)
        return self.answer


class FakeJobs(job_service_pb2_grpc.JobServiceServicer):
    """A gateway's JobService that knows one job."""

    def __init__(self, inspection: FakeInspection) -> None:
        self.inspection = inspection

    def GetJob(self, request: Any, context: Any) -> job_pb2.Job:
        return self.inspection.job

    def WatchJob(self, request: Any, context: Any) -> Iterator[job_pb2.Job]:
        yield self.inspection.job


@pytest.fixture
def inspection() -> FakeInspection:
    return FakeInspection()


@pytest.fixture
def target(inspection: FakeInspection) -> Iterator[str]:
    server = grpc.server(
        ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", 32 * 2**20)]
    )
    inspection_service_pb2_grpc.add_InspectionServiceServicer_to_server(inspection, server)
    job_service_pb2_grpc.add_JobServiceServicer_to_server(FakeJobs(inspection), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def typed(target: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["inspect", *arguments, "--target", target])


async def test_photos_are_added_in_bounded_requests(
    target: str, inspection: FakeInspection
) -> None:
    inspection.statuses = [
        status(code_pb2.INVALID_ARGUMENT, "no photo", reason="IMAGE_UNDECODABLE")
    ]
    async with SightlineClient(target) as client:
        added = await client.add_reference_photos("bottle", [b"x"] * 20)
        large = await client.add_reference_photos("bottle", [b"x" * 10 * 2**20] * 3)
        with pytest.raises(TypeError, match="files"):
            await client.add_reference_photos("bottle", [Uri("https://a.example/b.jpg")])
    assert [len(each.images) for each in inspection.requests] == [16, 4, 2, 1]
    assert (added.photo_count, [place for place, _ in added.failures]) == (20, [0, 16])
    assert [place for place, _ in large.failures] == [0, 2]


async def test_a_piece_is_a_plain_value(target: str, inspection: FakeInspection) -> None:
    async with SightlineClient(target) as client:
        found = await client.inspect(b"x", product_id="p", false_alarm_rate=0.1, heat_map=True)
        assert (found.verdict, found.doubt) == (PieceVerdict.UNLIKE, None)
        assert (found.threshold, found.threshold_high) == (1.5, None)
        assert found.parts[0].box == Box(0, 0, 0.5, 0.5)
        inspection.answer.verdict = pb.InspectResponse.VERDICT_CANNOT_SAY
        inspection.answer.doubt = pb.InspectResponse.DOUBT_TOO_FEW_PHOTOS
        doubted = await client.inspect(Uri("https://a.example/b.jpg"), reference_id="bottle")
        assert doubted.doubt is VerdictDoubt.TOO_FEW_PHOTOS
    first, second = inspection.requests
    assert (first.product_id, first.include_heat_map) == ("p", True)
    assert first.false_alarm_rate == pytest.approx(0.1)
    assert (second.reference_id, second.HasField("false_alarm_rate")) == ("bottle", False)
    assert second.image_uri == "https://a.example/b.jpg"


async def test_references_are_plain_values(target: str, inspection: FakeInspection) -> None:
    async with SightlineClient(target) as client:
        (listed,) = await client.list_references()
        assert (listed.state, listed.photo_count) == (ReferenceState.CANDIDATE, 24)
        assert listed.evaluation is None
        inspection.reference.evaluation.verdict = pb.ReferenceEvaluation.VERDICT_BETTER
        promoted = await client.promote_reference("bottle", force=True)
        assert promoted.state is ReferenceState.SERVING
        assert promoted.evaluation is not None
        assert promoted.evaluation.verdict is ReferenceVerdict.BETTER
        assert promoted.evaluation.fitted.threshold is None
        job = await client.start_reference_fit("bottle", product_id="p", request_id="r1")
        assert (job.job_id, job.results) == ("retriever/7", {"version": VERSION})
        assert (await client.fit_reference("bottle")).version == VERSION
        assert await client.delete_reference("bottle") == 2


def test_a_folder_becomes_a_reference(
    target: str, inspection: FakeInspection, tmp_path: Path
) -> None:
    for name in ("b.jpg", "a.PNG", "notes.txt"):
        (tmp_path / name).write_bytes(name.encode())
    inspection.statuses = [
        status(code_pb2.INVALID_ARGUMENT, "no photo", reason="IMAGE_UNDECODABLE")
    ]
    made = typed(target, "fit", "bottle", str(tmp_path), "--promote", "--product", "p")
    assert made.exit_code == 0, made.output
    adding, fitting, promotion = inspection.requests
    assert list(adding.images) == [b"a.PNG", b"b.jpg"]
    assert (fitting.product_id, promotion.version) == ("p", VERSION)
    assert ("not used" in made.output, "a.PNG" in made.output) == (True, True)
    assert "serving" in made.output


def test_a_reference_that_is_worse_is_fitted_and_refused(
    target: str, inspection: FakeInspection, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    inspection.refusal = "the version is worse"
    found = inspection.reference.evaluation
    found.verdict, found.compared_version = pb.ReferenceEvaluation.VERDICT_WORSE, "0" * 16
    found.fitted.separation, found.compared.separation = 0.5, 0.95
    found.compared.false_alarms, found.compared.threshold, found.photo_count = 0.125, 1.5, 20
    found.gain_low, found.gain_high = -0.5, -0.25
    fit = ("fit", "bottle", str(tmp_path), "--promote")
    made = typed(target, *fit)
    assert made.exit_code == 1
    assert "PROMOTION_REFUSED" in made.stderr
    shown = " ".join(made.stdout.split())
    assert f"version {'0' * 16}, which served at the fit: worse" in shown
    assert "-0.50 to -0.25, on 20 photos" in shown
    assert ("0.95 0.12 1.50 (– to –)" in shown, "0.50 – – (– to –)" in shown) == (True, True)
    assert typed(target, *fit, "--force").exit_code == 0
    promoted = typed(target, "promote", "bottle", "--force")
    assert ("serving" in promoted.stdout, inspection.requests[-1].force) == (True, True)


def test_a_fit_that_fails_ends_with_1_and_says_why(
    target: str, inspection: FakeInspection, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    inspection.job.state = job_pb2.Job.STATE_FAILED
    inspection.job.error.CopyFrom(
        status(code_pb2.FAILED_PRECONDITION, "two things", reason="REFERENCE_MIXED")
    )
    made = typed(target, "fit", "bottle", str(tmp_path))
    assert made.exit_code == 1
    assert "two things" in made.output


def test_a_fit_need_not_be_waited_for(
    target: str, inspection: FakeInspection, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    fit = ("fit", "bottle", str(tmp_path), "--no-wait")
    made = typed(target, *fit, "--json")
    assert json.loads(made.stdout)["jobId"] == "retriever/7"
    assert inspection.requests[-1].request_id
    assert typed(target, *fit, "--promote").exit_code == 2


def test_without_photos_no_reference_is_made(target: str, inspection: FakeInspection) -> None:
    assert typed(target, "fit", "bottle").exit_code == 2
    assert inspection.requests == []


def test_a_reference_without_verdicts_is_said_so(
    target: str, inspection: FakeInspection, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    inspection.reference.separation = 0.5
    made = typed(target, "fit", "bottle", str(tmp_path))
    assert "too unlike one another" in " ".join(made.output.split())


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "unlike the good pieces, at a false-alarm rate of 0.05"),
        ({"verdict": 1}, "like the good pieces"),
        ({"verdict": 3, "doubt": 1}, "too few photos"),
        ({"verdict": 3, "doubt": 2}, "too unlike one another"),
        ({"verdict": 9}, "update it"),
    ],
)
def test_each_verdict_is_said(
    target: str, inspection: FakeInspection, tmp_path: Path, fields: dict[str, int], said: str
) -> None:
    for name, value in fields.items():
        setattr(inspection.answer, name, value)
    photo, drawn = tmp_path / "a.jpg", tmp_path / "map.png"
    photo.write_bytes(b"x")
    shown = typed(target, "photo", str(photo), "--reference", "bottle", "--heat-map", str(drawn))
    assert shown.exit_code == 0, shown.output
    assert said in " ".join(shown.output.split())
    assert drawn.read_bytes() == b"png"


def test_a_piece_is_shown_to_programs(
    target: str, inspection: FakeInspection, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    asked = ("photo", str(tmp_path / "a.jpg"), "--product", "p", "--json")
    assert json.loads(typed(target, *asked).stdout)["verdict"] == "VERDICT_UNLIKE"
    assert typed(target, *asked, "--reference", "bottle").exit_code == 2


def test_references_are_listed_promoted_and_deleted(
    target: str, inspection: FakeInspection
) -> None:
    assert VERSION in typed(target, "list").stdout
    assert "serving" in typed(target, "promote", "bottle", "--version", VERSION).stdout
    assert "2 deleted" in typed(target, "delete", "bottle").stdout
    promotion, deletion = inspection.requests
    assert (promotion.version, deletion.version) == (VERSION, "")
