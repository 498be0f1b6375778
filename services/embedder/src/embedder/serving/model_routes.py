"""Routes to models by space and version."""

import asyncio
import time
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from embedder.domain.errors import (
    ClassifierUnavailable,
    EmbedderUnavailable,
    SpaceUnavailable,
    SpaceVersionUnavailable,
)
from embedder.domain.models import VISUAL, Description, SpaceStatus, Tensors
from embedder.serving.fitted_models import FittedModels
from embedder.serving.model import KEPT, ServedModel, VersionedVectors
from servicekit.errors import ServiceError

AT_ONCE = 2
"""Inferences of one call that wait or run at a time."""
FEW_SECONDS = 3.0
"""Maximum age in seconds of the list of fitted models, which other processes may promote."""


class TimeLeft:
    """Remaining time of a limit in seconds."""

    def __init__(self, seconds: float | None) -> None:
        """`seconds` None: no limit."""
        self._end = None if seconds is None else time.monotonic() + seconds

    def left(self) -> float | None:
        """Return the seconds left, at least 0; None: no limit."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())


@dataclass(frozen=True, slots=True)
class VersionRoute:
    """The model and version that items are embedded with."""

    version: str
    """The requested version; empty: any."""
    served: ServedModel
    described: Description

    @property
    def key(self) -> Hashable:
        """Cache key of its vectors, different for each route."""
        return (self.version, self.described.model, *self.described.hashes.values())

    async def embed(self, inputs: Tensors) -> VersionedVectors:
        """Return a vector for each of any number of rows. Raises as ServedModel.embed.

        Rows of more than one inference take AT_ONCE inferences at a time, so that those of other
        callers run between them.
        """
        most = self.described.max_batch
        rows = len(next(iter(inputs.values())))
        if rows <= most:
            return await self.served.embed(inputs, self.described, self.version)
        parts = [
            {name: values[start : start + most] for name, values in inputs.items()}
            for start in range(0, rows, most)
        ]
        turn = asyncio.Semaphore(AT_ONCE)

        async def embedded(part: Tensors) -> VersionedVectors:
            async with turn:
                return await self.served.embed(part, self.described, self.version)

        return _joined(await asyncio.gather(*map(embedded, parts)))


class ServedSpaces:
    """Models by space. A failing model affects its own version only."""

    def __init__(
        self, fixed: Mapping[str, Sequence[ServedModel]], fitted: FittedModels | None = None
    ) -> None:
        """Serve `fixed` models by space, the default one first, and `fitted` ones.

        Fitted models belong to the space `visual`; None: no fitted models.
        """
        self._fixed = fixed
        self._fitted = fitted

    def models(self) -> Sequence[ServedModel]:
        """Return all known models, including fitted ones of all catalogs."""
        fixed = [model for models in self._fixed.values() for model in models]
        return [*fixed, *(self._fitted.all() if self._fitted else ())]

    def check(self, space: str) -> None:
        """Raise SpaceUnavailable if no model serves the space."""
        if not self._fixed.get(space):
            raise SpaceUnavailable(f"no model serves the space {space!r}: see ListSpaces")

    async def route(self, space: str, version: str, catalog: str) -> VersionRoute:
        """Return the route to a version of a space; without a version, to its default one.

        Raises SpaceUnavailable, SpaceVersionUnavailable and as ServedModel.description; if an
        unreachable model may have the version, that model's error.
        """
        self.check(space)
        served = await self._of(space, version, catalog) if version else self._fixed[space][0]
        return VersionRoute(version, served, await served.description())

    async def text_map(self, visual: VersionRoute) -> VersionRoute | None:
        """Return the route from a text model's vectors into a visual space; None without a text
        map."""
        served = None if self._fitted is None else self._fitted.text_map(visual.served.model)
        return None if served is None else VersionRoute("", served, await served.description())

    async def classifier(self, catalog: str) -> str:
        """Return the version of a catalog's newest fitted space with a head.

        Raises ClassifierUnavailable.
        """
        if self._fitted is not None:
            await self._fitted.look(FEW_SECONDS)
            for model in self._fitted.of(catalog):
                if model.known and model.known.categories and (versions := model.serving()):
                    return versions[0]
        raise ClassifierUnavailable("no fitted space with categories serves this catalog")

    async def states(self, catalog: str, seconds: float | None = None) -> list[SpaceStatus]:
        """Return the states of all versions within `seconds` (None: no limit): by the space's name,
        its default version first, then the catalog's fitted ones, newest first."""
        budget = TimeLeft(seconds)
        if self._fitted is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._fitted.look(KEPT)
        models = [model for space in sorted(self._fixed) for model in self._served(space, catalog)]
        defaults = [models[0] for models in self._fixed.values() if models]
        states = await asyncio.gather(*(model.state(budget.left()) for model in models))
        return [
            replace(
                state,
                default=model in defaults,
                takes_texts=state.takes_texts or self._takes_texts(model),
            )
            for model, state in zip(models, states, strict=True)
        ]

    async def _of(self, space: str, version: str, catalog: str) -> ServedModel:
        if found := self._naming(space, version, catalog):
            return found
        unknown = await asyncio.gather(
            *(model.refresh() for model in self._fixed[space]), self._look(space)
        )
        if found := self._naming(space, version, catalog):
            return found
        for error in unknown:
            if error is not None:
                raise error
        served = self._served(space, catalog)
        raise SpaceVersionUnavailable(space, [v for model in served for v in model.serving()])

    async def _look(self, space: str) -> ServiceError | None:
        return await self._fitted.look(KEPT) if self._fitted and space == VISUAL else None

    def _served(self, space: str, catalog: str) -> Sequence[ServedModel]:
        fitted = self._fitted.of(catalog) if self._fitted and space == VISUAL else ()
        return [*self._fixed[space], *fitted]

    def _naming(self, space: str, version: str, catalog: str) -> ServedModel | None:
        served = self._served(space, catalog)
        return next((model for model in served if version in model.versions()), None)

    def _takes_texts(self, model: ServedModel) -> bool:
        return self._fitted is not None and self._fitted.text_map(model.model) is not None


def _joined(answers: Sequence[VersionedVectors]) -> VersionedVectors:
    first = answers[0]
    if any(other.version != first.version for other in answers):
        raise EmbedderUnavailable("the model was replaced during the call")
    categories = [each.categories for each in answers if each.categories is not None]
    return VersionedVectors(
        first.version,
        np.concatenate([each.vectors for each in answers]),
        np.concatenate(categories) if categories else None,
    )
