"""ModelService on the wire."""

# ruff: noqa: N802, ARG002 (gRPC names the methods and hands them a context)

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from ranker.feedback import health
from ranker.model import Model, ModelNotFound, ModelRecord, ModelUnproven
from ranker.models import publish
from ranker.models.promotion import require_proof
from ranker.record.activity import ActivityRecord
from ranker.record.evaluations import EvaluationRecord
from ranker.record.models import ModelRegistry
from ranker.record.online import OnlineRecord
from ranker.servicer import online, trainings
from ranker.servicer.evaluations import VERDICTS, evaluation_message
from ranker.servicer.jobs import job_message
from ranker.servicer.requests import (
    DEFAULT_PAGE,
    LARGEST_PAGE,
    Context,
    page_place,
    page_token,
    timestamp,
)
from servicekit.errors import FieldViolation
from servicekit.jobs import Jobs
from servicekit.requests import RequestInvalid, enter, page_size
from servicekit.telemetry import get_logger
from sightline.common.v1 import job_pb2
from sightline.ranker.v1 import evaluation_pb2, model_service_pb2_grpc, online_report_pb2
from sightline.ranker.v1 import model_service_pb2 as pb

TRAIN, EVALUATE = "train", "evaluate"
MOST_REQUEST_ID = 128

LoadModel = Callable[[str, str, str], Model]
"""(catalog, version, SHA-256 of the manifest) to model, blocking; ModelCorrupt when it is bad."""


class ModelServicer(model_service_pb2_grpc.ModelServiceServicer):
    """Trains, lists, promotes models and rolls them back."""

    def __init__(
        self,
        catalogs: Sequence[str],
        *,
        jobs: Jobs,
        registry: ModelRegistry,
        evaluations: EvaluationRecord,
        load: LoadModel,
        online: OnlineRecord,
        activity: ActivityRecord,
        refresh: Callable[[], Awaitable[None]],
        now_micros: Callable[[], int],
    ) -> None:
        """`refresh` makes this process serve what is promoted; the others notice by themselves."""
        self._catalogs = catalogs
        self._jobs = jobs
        self._registry = registry
        self._evaluations = evaluations
        self._load = load
        self._online = online
        self._activity = activity
        self._refresh = refresh
        self._now = now_micros

    async def TrainModel(
        self,
        request: pb.TrainModelRequest,
        context: Context,
    ) -> job_pb2.Job:
        """Start a training job, or find the one that this request started."""
        catalog_id = enter(request.catalog_id, request.request_id, self._catalogs)
        _check_request_id(request.request_id)
        params = trainings.params_of(request)
        return job_message(await self._jobs.create(TRAIN, catalog_id, params, request.request_id))

    async def ListModels(
        self,
        request: pb.ListModelsRequest,
        context: Context,
    ) -> pb.ListModelsResponse:
        """Models, newest first."""
        catalog_id = enter(request.catalog_id, request.request_id, self._catalogs)
        size = page_size(request.page_size, DEFAULT_PAGE, LARGEST_PAGE)
        place = page_place(f"models of {catalog_id}", request.page_token, (int, str))
        found = await self._registry.list(
            catalog_id, limit=size + 1, before=(int(place[0]), str(place[1])) if place else None
        )
        page = found[:size]
        token = ""
        if len(found) > size:
            place = (page[-1].trained_micros, page[-1].version)
            token = page_token(f"models of {catalog_id}", place)
        return pb.ListModelsResponse(models=map(_message, page), next_page_token=token)

    async def EvaluateModel(
        self,
        request: pb.EvaluateModelRequest,
        context: Context,
    ) -> job_pb2.Job:
        """Start a job that measures a model, or find the one that this request started."""
        catalog_id = enter(request.catalog_id, request.request_id, self._catalogs)
        _check_request_id(request.request_id)
        version = (await self._named(catalog_id, request.model_version)).version
        params = {"model_version": version}
        return job_message(
            await self._jobs.create(EVALUATE, catalog_id, params, request.request_id)
        )

    async def GetEvaluation(
        self,
        request: pb.GetEvaluationRequest,
        context: Context,
    ) -> evaluation_pb2.Evaluation:
        """What the newest evaluation of a model found."""
        catalog_id = enter(request.catalog_id, request.request_id, self._catalogs)
        version = (await self._named(catalog_id, request.model_version)).version
        return evaluation_message(await self._evaluations.get(catalog_id, version), version)

    async def PromoteModel(
        self,
        request: pb.PromoteModelRequest,
        context: Context,
    ) -> pb.Model:
        """Look for proof and check the model's files, then make it the serving one."""
        catalog_id = enter(request.catalog_id, request.request_id, self._catalogs)
        model = await self._registry.get(catalog_id, request.model_version)
        serving = (await self._registry.promoted((catalog_id,))).get(catalog_id)
        forced = False
        try:
            require_proof(model, serving)
        except ModelUnproven:
            if not request.force:
                raise
            forced = True
        await self._check(catalog_id, model)
        await self._registry.promote(
            catalog_id, model.version, self._now(), forced=forced, verdict=model.verdict
        )
        get_logger().info(
            "model promoted",
            catalog_id=catalog_id,
            model_version=model.version,
            forced=forced,
            verdict=model.verdict,
        )
        await self._refresh()
        return _message(await self._registry.get(catalog_id, model.version))

    async def RollbackModel(
        self,
        request: pb.RollbackModelRequest,
        context: Context,
    ) -> pb.Model:
        """Check the files of the model before, then make it the serving one again."""
        catalog_id = enter(request.catalog_id, request.request_id, self._catalogs)
        model, promotion = await self._registry.before(catalog_id)
        await self._check(catalog_id, model)
        await self._registry.roll_back(catalog_id, promotion, self._now())
        await self._refresh()
        return _message(await self._registry.get(catalog_id, model.version))

    async def PublishModel(
        self,
        request: pb.PublishModelRequest,
        context: Context,
    ) -> job_pb2.Job:
        """Start a job that publishes a model, or find the one that this request started."""
        catalog_id = enter(request.catalog_id, request.request_id, self._catalogs)
        _check_request_id(request.request_id)
        if request.model_version:
            version = (await self._registry.get(catalog_id, request.model_version)).version
        else:
            serving = (await self._registry.promoted((catalog_id,))).get(catalog_id)
            if serving is None:
                raise ModelNotFound("no model serves: name one, or promote one")
            version = serving.version
        params = publish.params(version, rewrite=request.rewrite)
        job = await self._jobs.create(publish.PUBLISH, catalog_id, params, request.request_id)
        return job_message(job)

    async def _named(self, catalog_id: str, version: str) -> ModelRecord:
        """The model of this version, the newest for none; ModelNotFound."""
        if version:
            return await self._registry.get(catalog_id, version)
        newest = await self._registry.list(catalog_id, limit=1, before=None)
        if not newest:
            raise ModelNotFound("this catalog has no model: train one")
        return newest[0]

    async def _check(self, catalog_id: str, model: ModelRecord) -> None:
        """ModelCorrupt, or ModelNotFound when the files were pruned."""
        if model.pruned_micros is not None:
            raise ModelNotFound("the files of this model were pruned: train anew")
        await asyncio.to_thread(self._load, catalog_id, model.version, model.manifest_sha256)

    async def GetOnlineReport(
        self,
        request: online_report_pb2.GetOnlineReportRequest,
        context: Context,
    ) -> online_report_pb2.OnlineReport:
        """How answers fared with shoppers."""
        catalog_id = enter(request.catalog_id, request.request_id, self._catalogs)
        asked = online.period(request, self._now())
        kept = await self._activity.kept(catalog_id)
        looked = None if kept is None else health.from_json(kept[1])
        return online.report(asked, await self._online.counts(catalog_id, asked), looked)


def _check_request_id(request_id: str) -> None:
    """Raises RequestInvalid."""
    if len(request_id) > MOST_REQUEST_ID:
        problem = f"is longer than {MOST_REQUEST_ID} characters"
        raise RequestInvalid(FieldViolation("request_id", problem))


def _state(model: ModelRecord) -> pb.Model.State.ValueType:
    if model.serving:
        return pb.Model.STATE_PROMOTED
    return pb.Model.STATE_READY if model.pruned_micros is None else pb.Model.STATE_PRUNED


def _message(model: ModelRecord) -> pb.Model:
    message = pb.Model(
        model_version=model.version,
        state=_state(model),
        verdict_summary=model.verdict_summary,
        forced=model.forced,
        train_time=timestamp(model.trained_micros),
        event_count=model.event_count,
        shopper_count=model.shopper_count,
        product_count=model.product_count,
        first_event_time=timestamp(model.first_event_micros),
        last_event_time=timestamp(model.last_event_micros),
        metrics=[
            pb.ModelMetric(name=one.name, value=one.value, sample_count=one.sample_count)
            for one in model.metrics
        ],
    )
    if model.verdict is not None:
        message.verdict = VERDICTS[model.verdict]
    if model.promoted_micros is not None:
        message.promote_time.CopyFrom(timestamp(model.promoted_micros))
    trainings.tell(message, model)
    return message
