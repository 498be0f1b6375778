"""Requests publications of models, which the worker runs beside its other jobs because they may
wait for the retriever."""

from collections.abc import Collection
from dataclasses import dataclass, field

from ranker.learning import publish
from ranker.record.models import ModelRegistry
from servicekit.jobs.queue import Jobs


@dataclass(eq=False)
class Publisher:
    """Requests a publication of each serving model, once for each promotion."""

    jobs: Jobs
    registry: ModelRegistry
    catalogs: Collection[str]
    _asked: set[str] = field(init=False, default_factory=set)

    async def follow(self) -> None:
        """Request publications of the serving models in the record. Reading the record, instead of
        acting in PromoteModel, misses no promotion if a process dies."""
        for catalog_id, model in (await self.registry.promoted(list(self.catalogs))).items():
            if model is None:
                continue
            key = f"serving {model.version} since {model.promoted_micros}"
            if f"{catalog_id} {key}" not in self._asked:
                plan = publish.PublishPlan(model.version)
                await self.jobs.create(publish.PUBLISH, catalog_id, plan, key)
                self._asked.add(f"{catalog_id} {key}")
