"""The models of fitted spaces in the model server's repository."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence

from embedder.domain.errors import EmbedderUnavailable
from embedder.domain.manifest import NAME, TEXT_SUFFIX
from embedder.domain.models import VISUAL
from embedder.ports import Repository
from embedder.serving.model import ServedModel
from servicekit.errors import ServiceError


class FittedModels:
    """Models of fitted spaces. A catalog's models are those fitted on its photos."""

    def __init__(
        self,
        repository: Repository,
        serve: Callable[[str, str], ServedModel],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`serve` returns the model of a name in a space."""
        self._repository = repository
        self._serve = serve
        self._clock = clock
        self._reading = asyncio.Lock()
        self._read_at = -math.inf
        self._models: dict[str, ServedModel] = {}
        self._unread: ServiceError | None = None

    async def look(self, older_than: float) -> ServiceError | None:
        """Read the repository again unless it was read within `older_than` seconds.

        Returns why an unknown fitted model may exist, or None. Known models remain while the server
        does not answer.
        """
        async with self._reading:
            if self._clock() >= self._read_at + older_than:
                await self._look()
        silent = [model for model in self._models.values() if model.known is None]
        silence = await asyncio.gather(*(model.refresh() for model in silent))
        # Only an unavailable model may still have the version; the others failed permanently.
        unknown = (error for error in silence if isinstance(error, EmbedderUnavailable))
        return self._unread or next(unknown, None)

    def of(self, catalog: str) -> Sequence[ServedModel]:
        """Return the models of a catalog's fitted spaces, the newest first."""
        mine = [
            (-model.known.create_time, name, model)
            for name, model in self._models.items()
            if NAME.fullmatch(name) and model.known and model.known.catalog == catalog
        ]
        return [model for _, _, model in sorted(mine, key=lambda each: each[:2])]

    def all(self) -> Sequence[ServedModel]:
        """Return the models of all catalogs, text maps included."""
        return list(self._models.values())

    def text_map(self, model: str) -> ServedModel | None:
        """Return the text map of a model of a fitted space, if it has one."""
        return self._models.get(model + TEXT_SUFFIX)

    async def _look(self) -> None:
        try:
            names = await self._repository.loaded()
        except ServiceError as error:
            # After a first read, unknown models are assumed not to exist.
            self._unread = error if self._read_at == -math.inf else None
            return
        self._unread, self._read_at = None, self._clock()
        found = [name for name in names if NAME.fullmatch(name.removesuffix(TEXT_SUFFIX))]
        for name in self._models.keys() - set(found):
            self._models.pop(name).forget()
        for name in found:
            if name not in self._models:
                self._models[name] = self._serve(name, VISUAL)
