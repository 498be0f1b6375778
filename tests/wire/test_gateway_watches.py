"""Watches at the gateway: passed on to the service of cameras, for the roles that may, and
charged."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass

from servicekit.admission import quotas
from servicekit.admission.access import PeerName
from servicekit.admission.quotas import Quotas
from servicekit.errors import Code
from servicekit.rpc import owned
from servicekit.status import from_rpc_error
from sightline.common.v1 import job_service_pb2
from sightline.vision.v1 import watch_pb2, webhook_service_pb2
from sightline.vision.v1 import watch_service_pb2 as pb
from tests.fakes.gateway_wire import running
from tests.fakes.gateway_wire_vision import Watching
from tests.fakes.quotas import Usage
from tests.wire.gateway_calls import refused, suite

__all__ = ["suite"]  # fixtures

CAMERA, OWNER = "a" * 40, "b" * 40


async def test_watches_and_frames_are_those_of_the_service_of_cameras(suite):
    watch = watch_pb2.Watch(watch_id="shelf", etag="e0")
    assert await suite.watches.CreateWatch(pb.CreateWatchRequest(watch=watch)) == watch
    assert await suite.watches.UpdateWatch(pb.UpdateWatchRequest(watch=watch)) == watch
    frames = [watch_pb2.WatchFrame(image=b"jpeg")] * 2
    answer = await suite.watches.SendFrames(pb.SendFramesRequest(watch_id="shelf", frames=frames))
    assert answer.embedded_count == 6
    (sent,) = suite.vision.script.requests("SendFrames")
    assert (sent.catalog_id, sent.watch_id, list(sent.frames)) == ("default", "shelf", frames)
    photo = await suite.watches.GetAlertPhoto(pb.GetAlertPhotoRequest(image_id="f" * 64))
    assert photo.content == b"a frame"


async def test_alerts_are_listed_by_signed_tokens_and_streamed(suite):
    page = await suite.watches.ListAlerts(pb.ListAlertsRequest())
    assert page.next_page_token not in ("", "place")
    await suite.watches.ListAlerts(pb.ListAlertsRequest(page_token=page.next_page_token))
    assert suite.vision.script.requests("ListAlerts")[1].page_token == "place"
    error = await refused(suite.watches.ListAlerts(pb.ListAlertsRequest(page_token="place")))
    assert error.reason == "PAGE_TOKEN_INVALID"
    stream = suite.watches.WatchAlerts(pb.WatchAlertsRequest(resume_token="t0"))
    found = [(answer.alert.sequence, answer.resume_token) async for answer in stream]
    assert found == [(0, "t0"), (1, "t1"), (2, "t2")]


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """Return a file of keys of a camera and of an operator."""
    file = tmp_path / "keys.toml"
    names = (("camera", CAMERA, "watch"), ("owner", OWNER, "operate"))
    file.write_text(
        "".join(
            f'[[keys]]\nname = "{name}"\nsha256 = "{sha256(key.encode()).hexdigest()}"\n'
            f'roles = ["{role}"]\ncatalogs = ["*"]\n'
            for name, key, role in names
        )
    )
    return file


def _as(token: str) -> dict[str, list[tuple[str, str]]]:
    return {"metadata": [("authorization", f"Bearer {token}")]}


async def test_a_cameras_token_sends_frames_and_changes_nothing(keys):
    async with running(keys_file=keys) as suite:
        frames = pb.SendFramesRequest(
            watch_id="shelf", frames=[watch_pb2.WatchFrame(image=b"jpeg")]
        )
        await suite.watches.SendFrames(frames, **_as(CAMERA))
        for token in (CAMERA, OWNER):
            await suite.watches.ListWatches(pb.ListWatchesRequest(), **_as(token))
        delete = pb.DeleteWatchRequest(watch_id="shelf")
        assert (await refused(suite.watches.DeleteWatch(delete, **_as(CAMERA)))).reason == (
            "ROLE_MISSING"
        )
        assert (await suite.watches.DeleteWatch(delete, **_as(OWNER))).deleted


async def test_frames_are_charged_as_those_before_them_and_then_for_what_they_took(
    suite, monkeypatch
):
    usage = Usage()
    monkeypatch.setattr(Quotas, "enter", lambda *_, **__: quotas.account.set(usage))
    for _ in range(2):
        frames = [watch_pb2.WatchFrame(image=b"jpeg")] * 2
        await suite.watches.SendFrames(pb.SendFramesRequest(watch_id="shelf", frames=frames))
    assert usage.reserved[0] == pytest.approx(0.02 + 2 * 0.055)
    assert usage.reserved[1] == pytest.approx(0.02 + 2 * Watching.FRAME_SECONDS, abs=0.2)
    spent = [each for _, each in usage.spent]
    took = [sum(each) for each in zip(usage.reserved, spent, strict=True)]
    assert took == [pytest.approx(2 * Watching.FRAME_SECONDS, abs=0.2)] * 2


async def test_an_owner_that_is_down_is_named(suite):
    await suite.vision.down()
    for call, request in (
        (suite.watches.GetWatch, pb.GetWatchRequest(watch_id="shelf")),
        (suite.watches.ListAlerts, pb.ListAlertsRequest()),
    ):
        assert (await refused(call(request))).reason == "VISION_UNAVAILABLE"


async def test_an_owner_that_does_not_know_a_call_says_so(suite, monkeypatch):
    monkeypatch.setattr(Watching, "GetWatch", _unknown)
    async with running() as older:
        error = await refused(older.watches.GetWatch(pb.GetWatchRequest(watch_id="shelf")))
        assert error.code is Code.UNIMPLEMENTED


async def test_an_answer_that_cannot_be_read_is_an_error_of_the_suite(monkeypatch):
    monkeypatch.setattr(Watching, "ListAlerts", _damaged)
    async with running() as suite:
        error = await refused(suite.watches.ListAlerts(pb.ListAlertsRequest()))
        assert error.code is Code.INTERNAL


async def test_what_the_gateway_does_not_read_it_forwards_byte_by_byte(monkeypatch):
    newer = watch_pb2.Watch(watch_id="shelf").SerializeToString() + b"\xba\x3e\x05newer"

    async def answer(self, request, context):
        return newer

    monkeypatch.setattr(Watching, "GetWatch", answer)
    async with running() as suite:
        found = await suite.watches.GetWatch(pb.GetWatchRequest(watch_id="shelf"))
        assert found.SerializeToString() == newer


async def _damaged(self, request, context):
    return b"\xff\xff\xff"


async def _unknown(self, request, context):
    raise NotImplementedError


async def test_without_the_service_of_cameras_its_calls_say_how_to_start_it():
    async with running(vision_target="") as suite:
        calls = [
            suite.watches.ListWatches(pb.ListWatchesRequest()),
            suite.watches.SendFrames(
                pb.SendFramesRequest(watch_id="shelf", frames=[{"image": b"x"}])
            ),
            suite.watches.WatchAlerts(pb.WatchAlertsRequest()).read(),
            suite.webhooks.ListWebhooks(webhook_service_pb2.ListWebhooksRequest()),
        ]
        for call in calls:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await call
            error = from_rpc_error(raised.value)
            assert (error.code, error.reason) == (Code.UNIMPLEMENTED, "VISION_ABSENT")
            assert "make up VISION=1" in error.message
        assert suite.vision.script.requests("ListWatches") == []


async def test_every_unary_call_that_it_owns_says_so_and_jobs_are_listed_without_it():
    async with running(vision_target="") as suite:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{suite.port}") as channel:
            owned_by_it = list(owned.methods_of(PeerName.VISION))
            assert {"Inspect", "SendFrames"} <= {each.name for each in owned_by_it}
            for method in owned_by_it:
                if method.server_streaming:
                    continue
                request = GetMessageClass(method.input_type)
                call = channel.unary_unary(
                    f"/{owned.path_of(method)}", request_serializer=request.SerializeToString
                )
                with pytest.raises(grpc.aio.AioRpcError) as raised:
                    await call(request())
                assert from_rpc_error(raised.value).reason == "VISION_ABSENT", method.full_name
        listed = await suite.jobs.ListJobs(job_service_pb2.ListJobsRequest())
        assert {each.job_id for each in listed.jobs} == {"retriever/2", "ranker/1"}
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await suite.jobs.GetJob(job_service_pb2.GetJobRequest(job_id="vision/1"))
        assert from_rpc_error(raised.value).reason == "JOB_NOT_FOUND"
