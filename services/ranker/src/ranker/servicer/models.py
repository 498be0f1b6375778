"""ModelService on the wire."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from ranker.adapters.model_store import ModelStore
from ranker.domain.errors import ModelNotFound, ModelUnproven
from ranker.domain.model import EVALUATE, TRAIN, EvaluatePlan, ModelRecord
from ranker.domain.nights import following
from ranker.learning import publish
from ranker.learning.feedback import health
from ranker.learning.promotion import require_proof
from ranker.record.models import ModelRegistry
from ranker.record.online import OnlineRecord
from ranker.record.online_days import OnlineDaysRecord
from ranker.servicer.exposure import ReportExposure
from ranker.servicer.messages import message_of
from ranker.servicer.model_messages import describe, params_of, period, report_message
from ranker.servicer.requests import DEFAULT_PAGE, LARGEST_PAGE, check_request_id, job_message
from servicekit.clock import now_micros
from servicekit.jobs.queue import Jobs
from servicekit.rpc.requests import Pages, enter
from servicekit.rpc.server import Context
from servicekit.telemetry import get_logger
from sightline.common.v1 import job_pb2
from sightline.ranker.v1 import (
    evaluation_pb2,
    exposure_report_pb2,
    online_report_pb2,
)
from sightline.ranker.v1 import model_service_pb2 as pb

_MODELS = Pages[ModelRecord](
    *(DEFAULT_PAGE, LARGEST_PAGE), lambda model: (model.trained_micros, model.version), (int, str)
)


@dataclass(eq=False)
class ModelServicer:
    catalogs: Collection[str]
    jobs: Jobs
    registry: ModelRegistry
    store: ModelStore
    online: OnlineRecord
    online_days: OnlineDaysRecord
    exposure: ReportExposure
    refresh: Callable[[], Awaitable[object]]
    """Makes this process serve the promoted model; other processes notice it themselves."""
    night_hour: int | None = None
    """Hour of the day (UTC) of nightly trainings; None without them."""

    async def TrainModel(self, request: pb.TrainModelRequest, context: Context) -> job_pb2.Job:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        check_request_id(request.request_id)
        params = params_of(request)
        return job_message(await self.jobs.create(TRAIN, catalog_id, params, request.request_id))

    async def ListModels(
        self,
        request: pb.ListModelsRequest,
        context: Context,
    ) -> pb.ListModelsResponse:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        page, token = await _MODELS.read(
            *((f"models of {catalog_id}",), request.page_size, request.page_token),
            lambda place, limit: self.registry.list(catalog_id, limit=limit, before=place or None),
        )
        answer = pb.ListModelsResponse(models=map(_message, page), next_page_token=token)
        if self.night_hour is not None:
            night = following(self.night_hour, now_micros())
            answer.next_training_time.FromMicroseconds(night)
        return answer

    async def EvaluateModel(
        self, request: pb.EvaluateModelRequest, context: Context
    ) -> job_pb2.Job:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        check_request_id(request.request_id)
        version = (await self._named(catalog_id, request.model_version)).version
        plan = EvaluatePlan(version)
        return job_message(await self.jobs.create(EVALUATE, catalog_id, plan, request.request_id))

    async def GetEvaluation(
        self, request: pb.GetEvaluationRequest, context: Context
    ) -> evaluation_pb2.Evaluation:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        version = (await self._named(catalog_id, request.model_version)).version
        report = await self.registry.report(catalog_id, version)
        return message_of(evaluation_pb2.Evaluation, report, model_version=version)

    async def PromoteModel(self, request: pb.PromoteModelRequest, context: Context) -> pb.Model:
        """Check the model's evaluation and files, then make it the serving one."""
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        since = await self.registry.changes(catalog_id)
        model = await self.registry.get(catalog_id, request.model_version)
        serving = await self.registry.serving(catalog_id)
        forced = False
        try:
            require_proof(model, serving)
        except ModelUnproven:
            if not request.force:
                raise
            forced = True
        await self._check(model)
        await self.registry.promote(
            *(catalog_id, model.version, now_micros()),
            forced=forced,
            anew=forced,
            verdict=model.verdict,
            since=None if forced else since,
        )
        get_logger().info(
            "model promoted",
            catalog_id=catalog_id,
            model_version=model.version,
            forced=forced,
            verdict=model.verdict,
        )
        await self.refresh()
        return _message(await self.registry.get(catalog_id, model.version))

    async def RollbackModel(self, request: pb.RollbackModelRequest, context: Context) -> pb.Model:
        """Check the previous model's files, then make it the serving one again."""
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        model, promotion = await self.registry.before(catalog_id)
        await self._check(model)
        await self.registry.roll_back(catalog_id, promotion, now_micros())
        await self.refresh()
        return _message(await self.registry.get(catalog_id, model.version))

    async def DemoteModel(self, request: pb.DemoteModelRequest, context: Context) -> pb.Model:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        version = await self.registry.demote(catalog_id, now_micros())
        get_logger().info("model demoted", catalog_id=catalog_id, model_version=version)
        await self.refresh()
        return _message(await self.registry.get(catalog_id, version))

    async def PublishModel(self, request: pb.PublishModelRequest, context: Context) -> job_pb2.Job:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        check_request_id(request.request_id)
        if request.model_version:
            version = (await self.registry.get(catalog_id, request.model_version)).version
        else:
            serving = await self.registry.serving(catalog_id)
            if serving is None:
                raise ModelNotFound("no model serves: name a version, or promote a model")
            version = serving.version
        plan = publish.PublishPlan(version, request.rewrite)
        job = await self.jobs.create(publish.PUBLISH, catalog_id, plan, request.request_id)
        return job_message(job)

    async def _named(self, catalog_id: str, version: str) -> ModelRecord:
        """Return the model of this version, or the newest if it is empty. Raise ModelNotFound."""
        if version:
            return await self.registry.get(catalog_id, version)
        newest = await self.registry.list(catalog_id, limit=1, before=None)
        if not newest:
            raise ModelNotFound("this catalog has no model: train one")
        return newest[0]

    async def _check(self, model: ModelRecord) -> None:
        """Raise ModelCorrupt if the files are damaged, ModelNotFound if they were pruned."""
        if model.pruned_micros is not None:
            raise ModelNotFound("the files of this model were pruned: train anew")
        await asyncio.to_thread(self.store.read, *model.key)

    async def GetOnlineReport(
        self, request: online_report_pb2.GetOnlineReportRequest, context: Context
    ) -> online_report_pb2.OnlineReport:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        asked = period(request, now_micros())
        kept = await self.online.kept(catalog_id)
        looked = None if kept is None else health.from_json(kept[1])
        days = await self.online_days.days(catalog_id, asked) if request.by_day else ()
        return report_message(asked, await self.online.counts(catalog_id, asked), looked, days)

    async def GetExposureReport(
        self, request: exposure_report_pb2.GetExposureReportRequest, context: Context
    ) -> exposure_report_pb2.ExposureReport:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        return await self.exposure(catalog_id, request, now_micros())


def _state(model: ModelRecord) -> pb.Model.State.ValueType:
    if model.serving:
        return pb.Model.STATE_PROMOTED
    return pb.Model.STATE_READY if model.pruned_micros is None else pb.Model.STATE_PRUNED


def _message(model: ModelRecord) -> pb.Model:
    message = message_of(pb.Model, model, state=_state(model))
    describe(message, model)
    return message
