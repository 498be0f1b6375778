"""A keeper of experiments without a ranker."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.model.experiment import ExperimentFile, RunningExperiment, running
from servicekit.errors import ServiceError
from sightline_core.shoppers import Shopper


@dataclass
class Keeper:
    """Registry of experiments that keeps its entries, or fails."""

    fails: ServiceError | None = None
    kept: dict[str, Sequence[ExperimentFile]] = field(default_factory=dict)
    refusing: set[Shopper] = field(default_factory=set)
    calls: int = 0
    asked: int = 0

    async def register(self, catalog_id: str, experiments: Sequence[ExperimentFile]) -> None:
        self.calls += 1
        if self.fails is not None:
            raise self.fails
        self.kept[catalog_id] = experiments

    async def experiments(self, catalog_id: str) -> Sequence[RunningExperiment]:
        return [running(each) for each in self.kept.get(catalog_id, [])]

    async def in_experiments(self, catalog_id: str, shopper: Shopper) -> bool:
        self.asked += 1
        if self.fails is not None:
            raise self.fails
        return shopper not in self.refusing
