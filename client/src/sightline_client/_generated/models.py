"""Ranking models: training, evaluation and promotion.

Made from api/models.py by generate_sync.py: change that one and run it.
"""

from datetime import datetime

from sightline_client._generated.base import SyncConnected
from sightline_client.values.evaluation import Evaluation
from sightline_client.values.fairness import ExposureReport
from sightline_client.values.online import OnlineReport
from sightline_client.values.operations import Job, Model
from sightline_client.values.trainings import TrainingRecipe


class SyncModelCalls(SyncConnected):
    """Ranking models: training, evaluation and promotion."""

    def train_model(
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
        return self._loop.run(
            self._client.train_model(
                recipe,
                seed=seed,
                search_trials=search_trials,
                search_seconds=search_seconds,
                ablation=ablation,
                incremental=incremental,
                request_id=request_id,
                timeout=timeout,
            )
        )

    def list_models(self, *, timeout: float | None = None) -> tuple[Model, ...]:
        """Return every ranking model, newest first. ``timeout`` is that of one page."""
        return self._loop.run(self._client.list_models(timeout=timeout))

    def next_training(self, *, timeout: float | None = None) -> datetime | None:
        """Return when the next nightly training begins; ``None`` = none is scheduled."""
        return self._loop.run(self._client.next_training(timeout=timeout))

    def evaluate_model(
        self, model_version: str = "", *, request_id: str = "", timeout: float | None = None
    ) -> Job:
        """Start a job that measures a model on held-out events, beside the serving model and
        classic baselines; follow it with ``watch_job``, then call ``get_evaluation``.
        ``model_version`` "" = the newest. The same ``request_id`` returns the same job. NotFound
        (MODEL_NOT_FOUND)."""
        return self._loop.run(
            self._client.evaluate_model(model_version, request_id=request_id, timeout=timeout)
        )

    def get_evaluation(
        self, model_version: str = "", *, timeout: float | None = None
    ) -> Evaluation:
        """Return the newest evaluation of a model; ``model_version`` "" = the newest model.
        NotFound (MODEL_NOT_FOUND, EVALUATION_NOT_FOUND)."""
        return self._loop.run(self._client.get_evaluation(model_version, timeout=timeout))

    def promote_model(
        self, model_version: str, *, force: bool = False, timeout: float | None = None
    ) -> Model:
        """Make a model the serving one. FailedPrecondition (MODEL_UNPROVEN) unless its evaluation
        passed against the present serving model, or ``force``; NotFound (MODEL_NOT_FOUND)."""
        return self._loop.run(
            self._client.promote_model(model_version, force=force, timeout=timeout)
        )

    def publish_model(
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
        return self._loop.run(
            self._client.publish_model(
                model_version, rewrite=rewrite, request_id=request_id, timeout=timeout
            )
        )

    def rollback_model(self, *, timeout: float | None = None) -> Model:
        """Promote the previously serving model again. NotFound (MODEL_NOT_FOUND) when there was
        none. Never retried automatically."""
        return self._loop.run(self._client.rollback_model(timeout=timeout))

    def demote_model(self, *, timeout: float | None = None) -> Model:
        """Take the serving model out of service and return it. Until another is promoted, answers
        come from similarity, popularity and novelty. NotFound (MODEL_NOT_FOUND) when none serves.
        Never retried automatically."""
        return self._loop.run(self._client.demote_model(timeout=timeout))

    def online_report(
        self, *, days: int = 7, conversion_days: int = 7, timeout: float | None = None
    ) -> OnlineReport:
        """Report on the answers of the last ``days``: clicks, purchases up to ``conversion_days``
        later and hides by model version, scene and arm, estimates for other orders, and drift."""
        return self._loop.run(
            self._client.online_report(days=days, conversion_days=conversion_days, timeout=timeout)
        )

    def exposure_report(
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
        return self._loop.run(
            self._client.exposure_report(
                by=by, scene=scene, days=days, shoppers_by=shoppers_by, timeout=timeout
            )
        )
