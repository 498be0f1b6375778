"""Metadata of the fitted spaces in a folder."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

import numpy as np
from pydantic import TypeAdapter

from embedder.adapters import space_store
from embedder.adapters.space_store import SpaceStore
from embedder.domain.errors import ClassifierUnavailable, HeatMapUnavailable
from embedder.domain.fitted import FittedSpace
from embedder.domain.manifest import (
    CATEGORIES,
    MAP_FILE,
    MATCH_COSINES,
    ServingState,
    SpaceDamaged,
    SpaceManifest,
)
from embedder.ports import MatchCosines, Repository
from servicekit.telemetry import get_logger
from servicekit.whole_files import sha256_of

T = TypeVar("T")

log = get_logger()

_PATHS = TypeAdapter(list[list[str]])
"""Content of CATEGORIES."""
_COSINES = TypeAdapter(list[list[list[float]]])
"""Content of MATCH_COSINES."""


class SpaceMetadata:
    """Metadata of fitted spaces: manifests, categories and maps."""

    def __init__(self, store: SpaceStore | None, repository: Repository) -> None:
        """`store` None: no fitted spaces. `repository`: the model server's."""
        self._store = store
        self._repository = repository
        self._known: dict[tuple[object, str], Any] = {}
        """Content of models' files, by reader and model: a name identifies its files."""

    async def spaces(self, catalog: str) -> Sequence[tuple[SpaceManifest, ServingState]]:
        return [] if self._store is None else await asyncio.to_thread(_spaces, self._store, catalog)

    async def loaded(self) -> Collection[str]:
        """Return the models that are served, without trials before a promotion.

        See ports.Repository.
        """
        served = await self._repository.loaded()
        if self._store is None:
            return served
        return set(served) - await asyncio.to_thread(_out_of_service, self._store)

    async def serving(self) -> Collection[str]:
        """Return the names of the models that should be served, including text maps."""
        return set() if self._store is None else await asyncio.to_thread(_in_service, self._store)

    async def categories(self, model: str) -> Sequence[tuple[str, ...]]:
        """Return the categories of a model, cached. See ports.Names."""
        if self._store is None:
            raise ClassifierUnavailable("set EMBEDDER_SPACES to a folder of spaces")
        return await self._content(_names, self._store, model)

    async def match_cosines(self, model: str) -> MatchCosines:
        """Return the cosines of good matches of a model, cached. See ports.Names."""
        return () if self._store is None else await self._content(_cosines, self._store, model)

    async def fitted_map(self, model: str) -> tuple[str, FittedSpace]:
        """Return the map of a model, cached. See ports.Names."""
        if self._store is None:
            raise HeatMapUnavailable("set EMBEDDER_SPACES to a folder of spaces")
        return await self._content(_map, self._store, model)

    async def _content(
        self, read: Callable[[SpaceStore, str], T], store: SpaceStore, model: str
    ) -> T:
        if (read, model) not in self._known:
            self._known[read, model] = await asyncio.to_thread(read, store, model)
        found: T = self._known[read, model]
        return found


def _spaces(store: SpaceStore, catalog: str) -> Sequence[tuple[SpaceManifest, ServingState]]:
    try:
        return list(store.spaces(catalog))
    except OSError:
        return []


def _out_of_service(store: SpaceStore) -> set[str]:
    """Return the names of the models of candidates and retired spaces, and of unsigned ones."""
    found = store.untrusted()
    for standing in (ServingState.CANDIDATE, ServingState.RETIRED):
        with contextlib.suppress(OSError):
            found |= {path.name for path in store.folder("", standing).iterdir()}
    return found


def _in_service(store: SpaceStore) -> set[str]:
    """Return the names of the models in Triton's repository, without trials."""
    try:
        found = {path.name for path in store.folder("", ServingState.SERVING).iterdir()}
    except OSError:
        return set()
    return found - _out_of_service(store)


def _names(store: SpaceStore, model: str) -> Sequence[tuple[str, ...]]:
    try:
        path = store.folder(model, ServingState.SERVING) / CATEGORIES
        return tuple(map(tuple, _PATHS.validate_json(path.read_bytes())))
    except (OSError, ValueError) as error:
        raise ClassifierUnavailable(f"{model}/{CATEGORIES} can't be read") from error


def _cosines(store: SpaceStore, model: str) -> MatchCosines:
    path = store.folder(model, ServingState.SERVING) / MATCH_COSINES
    try:
        return _COSINES.validate_json(path.read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        log.warning("cosines of good matches ignored", model=model, reason=str(error))
        return ()


def _map(store: SpaceStore, model: str) -> tuple[str, FittedSpace]:
    folder = store.folder(model, ServingState.SERVING)
    try:
        manifest = space_store.read(folder)
        if MAP_FILE not in manifest.files:
            raise HeatMapUnavailable(
                f"{model} was fitted by a release before 0.14: fit the space again"
            )
        if sha256_of(folder / MAP_FILE) != manifest.files[MAP_FILE]:
            raise HeatMapUnavailable(f"{model}/{MAP_FILE} was changed")
        with np.load(folder / MAP_FILE, allow_pickle=False) as arrays:
            return manifest.backbone, FittedSpace(
                arrays["means"], arrays["scales"], arrays["projection"]
            )
    except (OSError, ValueError, KeyError, SpaceDamaged) as error:
        raise HeatMapUnavailable(f"{model}/{MAP_FILE} can't be read") from error
