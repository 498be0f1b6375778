"""Ranking models: trained, measured and brought into service.

Made from api/models.py by generate_sync.py: change that one and run it.
"""

from sightline_client._generated.base import SyncConnected
from sightline_client.values.evaluation import Evaluation
from sightline_client.values.online import OnlineReport
from sightline_client.values.operations import Job, Model
from sightline_client.values.trainings import TrainingRecipe


class SyncModelCalls(SyncConnected):
    """Ranking models: trained, measured and brought into service."""

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
        """Starts a training job over all events and products; follow it with ``watch_job``. The
        same ``request_id`` answers the same job.

        ``recipe`` is what differs from the installation's settings; ``search_trials`` recipes are
        tried on a validation split first, as long as ``search_seconds`` allow; ``ablation`` finds
        out what each part adds, and turns off what adds nothing. None = as the settings say.
        ``incremental`` goes on from the model that serves, by its recipe."""
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
        """Every ranking model, newest first; ``timeout`` is that of one page."""
        return self._loop.run(self._client.list_models(timeout=timeout))

    def evaluate_model(
        self, model_version: str = "", *, request_id: str = "", timeout: float | None = None
    ) -> Job:
        """Starts a job that measures a model on events that were held out, beside the model that
        serves and classic baselines; no version = the newest. Follow it with ``watch_job``, then
        ``get_evaluation``. NotFound (MODEL_NOT_FOUND). The same ``request_id`` answers the same
        job."""
        return self._loop.run(
            self._client.evaluate_model(model_version, request_id=request_id, timeout=timeout)
        )

    def get_evaluation(
        self, model_version: str = "", *, timeout: float | None = None
    ) -> Evaluation:
        """What the newest evaluation of a model found; no version = the newest model. NotFound
        (MODEL_NOT_FOUND, EVALUATION_NOT_FOUND)."""
        return self._loop.run(self._client.get_evaluation(model_version, timeout=timeout))

    def promote_model(
        self, model_version: str, *, force: bool = False, timeout: float | None = None
    ) -> Model:
        """Makes a model the serving one. FailedPrecondition (MODEL_UNPROVEN) unless its evaluation
        passed against the model that serves now, or ``force``; NotFound (MODEL_NOT_FOUND)."""
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
        """Starts a job that publishes a model's products into the index's `collaborative` space; no
        version = the model that serves. NotFound (MODEL_NOT_FOUND). The same ``request_id`` answers
        the same job; ``rewrite``: also where the model is published already."""
        return self._loop.run(
            self._client.publish_model(
                model_version, rewrite=rewrite, request_id=request_id, timeout=timeout
            )
        )

    def rollback_model(self, *, timeout: float | None = None) -> Model:
        """Makes the model that served before the present one the serving one again; NotFound
        (MODEL_NOT_FOUND) when there was none. Never tried again by itself."""
        return self._loop.run(self._client.rollback_model(timeout=timeout))

    def demote_model(self, *, timeout: float | None = None) -> Model:
        """Takes the serving model out of service, and returns it: answers come from similarity,
        popularity and novelty until one is promoted. NotFound (MODEL_NOT_FOUND) when none serves.
        Never tried again by itself."""
        return self._loop.run(self._client.demote_model(timeout=timeout))

    def online_report(
        self, *, days: int = 7, conversion_days: int = 7, timeout: float | None = None
    ) -> OnlineReport:
        """How the answers of the last ``days`` fared with shoppers: clicks, purchases up to
        ``conversion_days`` later and hides by model version, scene and arm, what other orders would
        have earned, and what drifted."""
        return self._loop.run(
            self._client.online_report(days=days, conversion_days=conversion_days, timeout=timeout)
        )
