"""A keeper of experiments without a ranker."""

from dataclasses import dataclass, field

from gateway.model.messages import Experiment
from servicekit.errors import ServiceError


@dataclass
class Keeper:
    """A ranker that keeps what it is given, or fails."""

    fails: ServiceError | None = None
    kept: dict[str, list[Experiment]] = field(default_factory=dict)
    calls: int = 0

    async def register(self, catalog_id: str, experiments: list[Experiment]) -> None:
        self.calls += 1
        if self.fails is not None:
            raise self.fails
        self.kept[catalog_id] = experiments

    async def experiments(self, catalog_id: str) -> list[Experiment]:
        return self.kept.get(catalog_id, [])
