"""A reference is made of photos, promoted and compared with, on the real server of models."""

import io
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from PIL import Image

from embedder.settings import EmbedderSettings
from embedder.wiring import bind, decoders, fetcher, inference_engine
from servicekit.errors import ServiceError
from servicekit.rpc import server
from servicekit.status import from_rpc_error, from_status
from sightline.common.v1 import job_pb2, job_service_pb2, job_service_pb2_grpc
from sightline.vision.v1 import inspection_service_pb2 as pb
from tests.engines import free_port
from tests.fakes.pieces import piece
from tests.stores import Stores
from tests.triton import triton_kept_up
from tests.waiting import SECONDS, until
from tests.wire.test_embedder import LITE0
from tests.wire.vision_shop import VisionShop, seeing

pytestmark = pytest.mark.full

Reference, Answer = pb.InspectionReference, pb.InspectResponse
PHOTOS = 24


@asynccontextmanager
async def serving(stores: Stores, tmp_path: Path) -> AsyncIterator[VisionShop]:
    """Run vision, and an embedder with a real server that loads the model of maps on demand."""
    port = free_port()
    settings = EmbedderSettings(
        port=0, triton_target=f"127.0.0.1:{port}", models=(LITE0,), fit_backbone=LITE0
    )
    decoding, fetch = decoders(settings), fetcher(settings)
    async with (
        triton_kept_up(port, tmp_path / "triton.log", [LITE0]),
        inference_engine(settings) as triton,
    ):
        await until(triton.version)
        offered, _, sources = bind(settings, triton, decoding, fetch)
        running = await server.start(offered, settings, "e")
        try:
            async with seeing(stores, tmp_path, embedder=f"127.0.0.1:{running.port}") as shop:
                yield shop
        finally:
            await running.stop()
            await sources.close()
    decoding.close()


async def refused(call: Awaitable[object]) -> ServiceError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


async def test_a_reference_is_fitted_promoted_compared_with_and_deleted(
    stores: Stores, tmp_path: Path
) -> None:
    async with serving(stores, tmp_path) as shop:
        await _too_few(shop.stub)
        await _two_things(shop.stub)
        await _whole_life(shop)


async def _add(
    service: Any,
    name: str,
    photos: Sequence[bytes],
) -> int:
    for start in range(0, len(photos), 16):
        answer = await service.AddReferencePhotos(
            pb.AddReferencePhotosRequest(reference_id=name, images=photos[start : start + 16]),
            timeout=SECONDS,
        )
        assert not [each for each in answer.statuses if each.code]
    return answer.photo_count


async def _too_few(service: Any) -> None:
    few = [piece(seed) for seed in range(9)]
    assert await _add(service, "few", few) == 9
    assert await _add(service, "few", few[:3]) == 9
    (bad,) = (
        await service.AddReferencePhotos(
            pb.AddReferencePhotosRequest(reference_id="few", images=[b"no photo"]), timeout=SECONDS
        )
    ).statuses
    assert from_status(bad).reason == "IMAGE_UNDECODABLE"
    error = await refused(service.FitReference(pb.FitReferenceRequest(reference_id="few")))
    assert (error.reason, error.metadata["photos"]) == ("REFERENCE_TOO_FEW_PHOTOS", "9")
    (draft,) = (await service.ListReferences(pb.ListReferencesRequest())).references
    assert (draft.state, draft.photo_count) == (Reference.STATE_DRAFT, 9)
    deleted = await service.DeleteReference(pb.DeleteReferenceRequest(reference_id="few"))
    assert deleted.deleted_count == 1


async def _two_things(service: Any) -> None:
    shapes = ("label", "ball")
    await _add(service, "two", [piece(seed, shape=shapes[seed % 2]) for seed in range(12)])
    error = await refused(
        service.FitReference(pb.FitReferenceRequest(reference_id="two"), timeout=SECONDS)
    )
    assert (error.reason, error.metadata["groups"]) == ("REFERENCE_MIXED", "6,6")


async def _whole_life(shop: VisionShop) -> None:
    service = shop.stub
    await _add(service, "bottle", [piece(seed) for seed in range(PHOTOS)])
    asked = pb.InspectRequest(reference_id="bottle", image=piece(100))
    assert (await refused(service.Inspect(asked))).reason == "REFERENCE_NOT_FOUND"
    fitting = pb.FitReferenceRequest(reference_id="bottle", product_id="wine-1")

    fitted = await service.FitReference(fitting, timeout=SECONDS)

    assert (fitted.state, fitted.photo_count) == (Reference.STATE_CANDIDATE, PHOTOS)
    assert fitted.least_false_alarm_rate == pytest.approx(1 / 25)
    assert fitted.separation > 0.9
    assert fitted.size_bytes < 2**20
    assert await service.FitReference(fitting, timeout=SECONDS) == fitted
    assert not fitted.HasField("evaluation")
    early = await service.Inspect(
        pb.InspectRequest(reference_id="bottle", version=fitted.version, image=piece(100)),
        timeout=SECONDS,
    )
    assert early.version == fitted.version

    promoted = await service.PromoteReference(
        pb.PromoteReferenceRequest(reference_id="bottle"), timeout=SECONDS
    )
    assert (promoted.version, promoted.state) == (fitted.version, Reference.STATE_SERVING)
    good = await service.Inspect(asked, timeout=SECONDS)
    assert (good.verdict, good.product_id) == (Answer.VERDICT_LIKE, "wine-1")
    assert (good.score < good.threshold, len(good.parts)) == (True, 0)
    await _unlike(service)
    await _rare(service)
    await _hostile(service)
    await _second(shop, promoted)
    gone = pb.DeleteReferenceRequest(reference_id="bottle", version=fitted.version)
    assert (await service.DeleteReference(gone)).deleted_count == 1
    await service.DeleteReference(pb.DeleteReferenceRequest(reference_id="bottle"))
    assert (await refused(service.Inspect(asked))).reason == "REFERENCE_NOT_FOUND"


async def _second(shop: VisionShop, first: pb.InspectionReference) -> None:
    """Fit a second version by a job, after a fit that is given up; compare it with the first."""
    service = shop.stub
    await _add(service, "bottle", [piece(seed) for seed in range(12, 12 + PHOTOS)])
    fitting = pb.FitReferenceRequest(reference_id="bottle", product_id="wine-1")
    given_up = service.FitReference(fitting, timeout=SECONDS)
    await until(shop.parts.references._fitting.locked)
    beside = await refused(service.FitReference(fitting, timeout=SECONDS))
    assert beside.reason == "FIT_IN_PROGRESS"
    assert "another reference" in beside.message
    given_up.cancel()
    asked = pb.StartReferenceFitRequest(reference_id="bottle", product_id="wine-1")
    job = await service.StartReferenceFit(asked, timeout=SECONDS)
    assert job.job_id.startswith("vision/")
    jobs = job_service_pb2_grpc.JobServiceStub(shop.channel)
    async with shop.worker():
        watched = job_service_pb2.WatchJobRequest(job_id=job.job_id)
        steps = [each async for each in jobs.WatchJob(watched, timeout=SECONDS)]
    last = steps[-1]
    assert (last.state, last.catalog_id) == (job_pb2.Job.STATE_SUCCEEDED, "default")
    assert last.total == PHOTOS + 60
    results = {each.name: each.value for each in last.results}
    assert results["reference_id"] == "bottle"
    assert results["verdict"] in {"BETTER", "INCONCLUSIVE"}
    listed = await service.ListReferences(pb.ListReferencesRequest(reference_id="bottle"))
    second = listed.references[0]
    assert second.version == results["version"]
    evaluation = second.evaluation
    assert (evaluation.compared_version, evaluation.photo_count) == (first.version, 12)
    assert evaluation.verdict != pb.ReferenceEvaluation.VERDICT_WORSE
    assert evaluation.fitted.separation > 0.9
    assert evaluation.fitted.HasField("threshold")
    promotion = pb.PromoteReferenceRequest(reference_id="bottle")
    assert (await service.PromoteReference(promotion, timeout=SECONDS)).evaluation == evaluation
    back = pb.PromoteReferenceRequest(reference_id="bottle", version=first.version)
    assert (await service.PromoteReference(back, timeout=SECONDS)).version == first.version


async def _unlike(service: Any) -> None:
    """Inspect a stained piece, by the id of its product."""
    found = await service.Inspect(
        pb.InspectRequest(
            product_id="wine-1", image=piece(101, stained=True), include_heat_map=True
        ),
        timeout=SECONDS,
    )
    assert found.verdict == Answer.VERDICT_UNLIKE
    assert found.p_value == pytest.approx(1 / 25)
    assert found.score > found.threshold
    box = found.parts[0].box
    assert box.left < 0.5 < box.right
    assert box.top < 0.49 < box.bottom
    assert found.parts[0].score == found.score
    picture = Image.open(io.BytesIO(found.heat_map_png))
    assert picture.width / picture.height == pytest.approx(240 / 300, abs=0.01)
    stages = [each.stage for each in found.stage_timings]
    assert {"infer", "compare"} <= set(stages)


async def _rare(service: Any) -> None:
    """Ask for fewer false alarms than so few photos can promise."""
    asked = pb.InspectRequest(
        reference_id="bottle", image=piece(101, stained=True), false_alarm_rate=0.01
    )
    found = await service.Inspect(asked, timeout=SECONDS)
    assert found.verdict == Answer.VERDICT_CANNOT_SAY
    assert found.doubt == Answer.DOUBT_TOO_FEW_PHOTOS
    assert not found.HasField("threshold")


async def _hostile(service: Any) -> None:
    for fields, reason in (
        ({"reference_id": "../bottle", "image": piece(1)}, "REQUEST_INVALID"),
        ({"reference_id": "bottle"}, "REQUEST_INVALID"),
        ({"image": piece(1)}, "REQUEST_INVALID"),
        ({"reference_id": "bottle", "image": piece(1), "false_alarm_rate": 0}, "REQUEST_INVALID"),
        ({"reference_id": "bottle", "image": b"text"}, "IMAGE_UNDECODABLE"),
        ({"reference_id": "none", "image": piece(1)}, "REFERENCE_NOT_FOUND"),
        ({"product_id": "none", "image": piece(1)}, "REFERENCE_NOT_FOUND"),
    ):
        error = await refused(service.Inspect(pb.InspectRequest(**fields), timeout=SECONDS))
        assert error.reason == reason, fields


async def test_without_an_embedder_references_are_listed_and_nothing_is_compared(
    stores: Stores, tmp_path: Path
) -> None:
    async with seeing(stores, tmp_path) as shop:
        assert not (await shop.stub.ListReferences(pb.ListReferencesRequest())).references
        asked = pb.AddReferencePhotosRequest(reference_id="bottle", images=[piece(1)])
        answer = await shop.stub.AddReferencePhotos(asked, timeout=SECONDS)
        assert [from_status(each).reason for each in answer.statuses] == ["EMBEDDER_UNAVAILABLE"]
