"""Ranking models: training, evaluation and promotion."""

from datetime import datetime

from sightline.ranker.v1 import exposure_report_pb2, model_service_pb2, online_report_pb2
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, reading, requests, to_wire
from sightline_client.values.evaluation import Evaluation
from sightline_client.values.fairness import ExposureReport
from sightline_client.values.online import OnlineReport
from sightline_client.values.operations import Job, Model
from sightline_client.values.trainings import TrainingRecipe

_PAGE = 200


class ModelCalls(Connected):
    """Calls about ranking models: training, evaluation and promotion."""

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
        """Start a training job over all events and products; follow it with ``watch_job``.

        If nothing has changed since a model was trained alike, the job trains nothing: its results
        are that ``model_version`` and ``nothing_new``, "true".

        Args:
            recipe: What differs from the installation's settings.
            seed: Of the random numbers; the same seed and data give the same model.
            search_trials: Recipes to try on a validation split first; None = as the settings say.
            search_seconds: Limit for the search; None = as the settings say.
            ablation: Measure what each part adds and turn off parts that add nothing; None = as the
                settings say.
            incremental: Continue from the serving model, by its recipe.
            request_id: The same id returns the same job.
        """
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
        """Return every ranking model, newest first. ``timeout`` is that of one page."""
        request = model_service_pb2.ListModelsRequest(catalog_id=self.catalog, page_size=_PAGE)
        pages = self._pages(self.calls.admin.ListModels, request, timeout)
        return tuple([from_wire.model(each) async for page in pages for each in page.models])

    async def next_training(self, *, timeout: float | None = None) -> datetime | None:
        """Return when the next nightly training begins; ``None`` = none is scheduled."""
        request = model_service_pb2.ListModelsRequest(catalog_id=self.catalog, page_size=1)
        answer = await self._call(self.calls.admin.ListModels, request, timeout)
        if not answer.HasField("next_training_time"):
            return None
        return reading.time(answer.next_training_time)

    async def evaluate_model(
        self, model_version: str = "", *, request_id: str = "", timeout: float | None = None
    ) -> Job:
        """Start a job that measures a model on held-out events, beside the serving model and
        classic baselines; follow it with ``watch_job``, then call ``get_evaluation``.
        ``model_version`` "" = the newest. The same ``request_id`` returns the same job. NotFound
        (MODEL_NOT_FOUND)."""
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
        """Return the newest evaluation of a model; ``model_version`` "" = the newest model.
        NotFound (MODEL_NOT_FOUND, EVALUATION_NOT_FOUND)."""
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
        """Make a model the serving one. FailedPrecondition (MODEL_UNPROVEN) unless its evaluation
        passed against the present serving model, or ``force``; NotFound (MODEL_NOT_FOUND)."""
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
        """Start a job that publishes a model's products into the index's `collaborative` space;
        ``model_version`` "" = the serving model. ``rewrite``: also if the model is published
        already. The same ``request_id`` returns the same job. NotFound (MODEL_NOT_FOUND)."""
        with to_wire.sendable("request"):
            request = model_service_pb2.PublishModelRequest(
                catalog_id=self.catalog,
                request_id=requests.own_id(request_id),
                model_version=model_version,
                rewrite=rewrite,
            )
        return from_wire.job(await self._call(self.calls.admin.PublishModel, request, timeout))

    async def rollback_model(self, *, timeout: float | None = None) -> Model:
        """Promote the previously serving model again. NotFound (MODEL_NOT_FOUND) when there was
        none. Never retried automatically."""
        request = model_service_pb2.RollbackModelRequest(catalog_id=self.catalog)
        return from_wire.model(await self._call(self.calls.admin.RollbackModel, request, timeout))

    async def demote_model(self, *, timeout: float | None = None) -> Model:
        """Take the serving model out of service and return it. Until another is promoted, answers
        come from similarity, popularity and novelty. NotFound (MODEL_NOT_FOUND) when none serves.
        Never retried automatically."""
        request = model_service_pb2.DemoteModelRequest(catalog_id=self.catalog)
        return from_wire.model(await self._call(self.calls.admin.DemoteModel, request, timeout))

    async def online_report(
        self, *, days: int = 7, conversion_days: int = 7, timeout: float | None = None
    ) -> OnlineReport:
        """Report on the answers of the last ``days``: clicks, purchases up to ``conversion_days``
        later and hides by model version, scene and arm, estimates for other orders, and drift."""
        with to_wire.sendable("request"):
            request = online_report_pb2.GetOnlineReportRequest(
                catalog_id=self.catalog, days=days, conversion_days=conversion_days
            )
        found = await self._call(self.calls.admin.GetOnlineReport, request, timeout)
        return from_wire.online_report(found)

    async def exposure_report(
        self,
        *,
        by: str = "brand",
        scene: str = "",
        days: int = 7,
        shoppers_by: str = "",
        timeout: float | None = None,
    ) -> ExposureReport:
        """Report how much exposure groups of products got in the answers of the last ``days``.

        Args:
            by: "brand", "category", "popularity" (deciles), "newness" or "attribute.KEY".
            scene: Answers of this scene; "" = of all.
            shoppers_by: Also report what shoppers with each value of this attribute got.
        """
        with to_wire.sendable("request"):
            request = exposure_report_pb2.GetExposureReportRequest(
                catalog_id=self.catalog, by=by, scene=scene, days=days, shoppers_by=shoppers_by
            )
        found = await self._call(self.calls.admin.GetExposureReport, request, timeout)
        return from_wire.exposure_report(found)
