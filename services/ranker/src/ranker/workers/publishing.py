"""Asks for publications of models, which the worker does beside its other jobs: they may have to
wait for the retriever."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ranker.events.record.models import ModelRegistry
from ranker.learning import publish
from servicekit.jobs import Jobs


@dataclass(eq=False)
class Publisher:
    """Asks for a publication of each serving model, once for each time that it came to serve."""

    jobs: Jobs
    registry: ModelRegistry
    catalogs: Sequence[str]
    _asked: set[str] = field(init=False, default_factory=set)

    async def follow(self) -> None:
        """Look what serves: in the record and not in the call that promotes, so that nothing is
        missed when either dies."""
        for catalog_id, model in (await self.registry.promoted(self.catalogs)).items():
            key = f"serving {model.version} since {model.promoted_micros}"
            if f"{catalog_id} {key}" not in self._asked:
                params = publish.params(model.version)
                await self.jobs.create(publish.PUBLISH, catalog_id, params, key)
                self._asked.add(f"{catalog_id} {key}")
