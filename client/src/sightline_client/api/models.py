"""Ranking models: trained, measured and brought into service."""

from sightline.ranker.v1 import model_service_pb2, online_report_pb2
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, requests, to_wire
from sightline_client.values.evaluation import Evaluation
from sightline_client.values.online import OnlineReport
from sightline_client.values.operations import Job, Model
from sightline_client.values.trainings import TrainingRecipe

_PAGE = 200


class ModelCalls(Connected):
    """Ranking models: trained, measured and brought into service."""

    async def train_model(
        self,
        recipe: TrainingRecipe | None = None,
        *,
        seed: int = 0,
        search_trials: int | None = None,
        search_seconds: float | None = None,
        ablation: bool | None = None,
        incremental: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Starts a training job over all events and products; follow it with ``watch_job``. The
        same ``request_id`` answers the same job.

        ``recipe`` is what differs from the installation's settings; ``search_trials`` recipes are
        tried on a validation split first, as long as ``search_seconds`` allow; ``ablation`` finds
        out what each part adds, and turns off what adds nothing. None = as the settings say.
        ``incremental`` goes on from the model that serves, by its recipe."""
        with to_wire.sendable("request"):
            request = model_service_pb2.TrainModelRequest(
                catalog_id=self.catalog,
                request_id=requests.own_id(request_id),
                seed=seed,
                recipe=None if recipe is None else to_wire.recipe(recipe),
                search_trials=search_trials,
                search_seconds=search_seconds,
                ablation=ablation,
                incremental=incremental,
            )
        return from_wire.job(await self._call(self.calls.admin.TrainModel, request, timeout))

    async def list_models(self, *, timeout: float | None = None) -> tuple[Model, ...]:
        """Every ranking model, newest first; ``timeout`` is that of one page."""
        request = model_service_pb2.ListModelsRequest(catalog_id=self.catalog, page_size=_PAGE)
        pages = self._pages(self.calls.admin.ListModels, request, timeout)
        return tuple([from_wire.model(each) async for page in pages for each in page.models])

    async def evaluate_model(
        self, model_version: str = "", *, request_id: str = "", timeout: float | None = None
    ) -> Job:
        """Starts a job that measures a model on events that were held out, beside the model that
        serves and classic baselines; no version = the newest. Follow it with ``watch_job``, then
        ``get_evaluation``. NotFound (MODEL_NOT_FOUND). The same ``request_id`` answers the same
        job."""
        with to_wire.sendable("request"):
            request = model_service_pb2.EvaluateModelRequest(
                catalog_id=self.catalog,
                request_id=requests.own_id(request_id),
                model_version=model_version,
            )
        return from_wire.job(await self._call(self.calls.admin.EvaluateModel, request, timeout))

    async def get_evaluation(
        self, model_version: str = "", *, timeout: float | None = None
    ) -> Evaluation:
        """What the newest evaluation of a model found; no version = the newest model. NotFound
        (MODEL_NOT_FOUND, EVALUATION_NOT_FOUND)."""
        with to_wire.sendable("request"):
            request = model_service_pb2.GetEvaluationRequest(
                catalog_id=self.catalog, model_version=model_version
            )
        return from_wire.evaluation(
            await self._call(self.calls.admin.GetEvaluation, request, timeout)
        )

    async def promote_model(
        self, model_version: str, *, force: bool = False, timeout: float | None = None
    ) -> Model:
        """Makes a model the serving one. FailedPrecondition (MODEL_UNPROVEN) unless its evaluation
        passed against the model that serves now, or ``force``; NotFound (MODEL_NOT_FOUND)."""
        with to_wire.sendable("request"):
            request = model_service_pb2.PromoteModelRequest(
                catalog_id=self.catalog, model_version=model_version, force=force
            )
        return from_wire.model(await self._call(self.calls.admin.PromoteModel, request, timeout))

    async def publish_model(
        self,
        model_version: str = "",
        *,
        rewrite: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Starts a job that publishes a model's products into the index's `collaborative` space; no
        version = the model that serves. NotFound (MODEL_NOT_FOUND). The same ``request_id`` answers
        the same job; ``rewrite``: also where the model is published already."""
        with to_wire.sendable("request"):
            request = model_service_pb2.PublishModelRequest(
                catalog_id=self.catalog,
                request_id=requests.own_id(request_id),
                model_version=model_version,
                rewrite=rewrite,
            )
        return from_wire.job(await self._call(self.calls.admin.PublishModel, request, timeout))

    async def rollback_model(self, *, timeout: float | None = None) -> Model:
        """Makes the model that served before the present one the serving one again; NotFound
        (MODEL_NOT_FOUND) when there was none. Never tried again by itself."""
        request = model_service_pb2.RollbackModelRequest(catalog_id=self.catalog)
        return from_wire.model(await self._call(self.calls.admin.RollbackModel, request, timeout))

    async def demote_model(self, *, timeout: float | None = None) -> Model:
        """Takes the serving model out of service, and returns it: answers come from similarity,
        popularity and novelty until one is promoted. NotFound (MODEL_NOT_FOUND) when none serves.
        Never tried again by itself."""
        request = model_service_pb2.DemoteModelRequest(catalog_id=self.catalog)
        return from_wire.model(await self._call(self.calls.admin.DemoteModel, request, timeout))

    async def online_report(
        self, *, days: int = 7, conversion_days: int = 7, timeout: float | None = None
    ) -> OnlineReport:
        """How the answers of the last ``days`` fared with shoppers: clicks, purchases up to
        ``conversion_days`` later and hides by model version, scene and arm, what other orders would
        have earned, and what drifted."""
        with to_wire.sendable("request"):
            request = online_report_pb2.GetOnlineReportRequest(
                catalog_id=self.catalog, days=days, conversion_days=conversion_days
            )
        found = await self._call(self.calls.admin.GetOnlineReport, request, timeout)
        return from_wire.online_report(found)
