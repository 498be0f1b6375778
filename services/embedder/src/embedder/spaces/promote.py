"""Use case: promote and retire fitted spaces.

A space is promoted only after Triton has loaded it and its vectors equal those computed in NumPy. A
failed promotion changes nothing.
"""

import asyncio
import contextlib
import zipfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from embedder.adapters.space_store import SpaceStore
from embedder.domain import errors
from embedder.domain.fitted import SpaceVerdict
from embedder.domain.manifest import ServingState, SpaceDamaged, SpaceManifest
from embedder.fitting import process
from embedder.ports import Inference, ModelControl
from servicekit.errors import ServiceError
from servicekit.telemetry import get_logger

ALIKE: Final = 0.9999
"""Minimum cosine between Triton's and NumPy's vector of the same photo."""

MOST_SERVING: Final = 8
"""Maximum number of serving spaces of one catalog, equal to its limit of generations."""

LOAD_PAUSES: Final = (0.5, 1.0, 2.0, 4.0)
"""Seconds before each retry of loading a model. A model's process may end or hang during its start,
and the server with it, which returns within 5 seconds."""

log = get_logger()


class Promotion:
    """Promotes and retires fitted spaces, one at a time."""

    def __init__(
        self,
        store: SpaceStore | None,
        control: ModelControl,
        inference: Callable[[str], Inference],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`store` None: calls fail with FitUnavailable."""
        self._store = store
        self._control = control
        self._inference = inference
        self._pause = pause
        self._turn = asyncio.Lock()

    async def promote(self, catalog_id: str, wanted: str, *, force: bool) -> SpaceManifest:
        """Promote a space, given by version or name; a serving space is unchanged.

        `force` also signs a space without a valid signature. Raises SpaceNotFound, SpaceUnsigned,
        PromotionRefused, SpacesFull, FitUnavailable; ModelNotReady or EmbedderUnavailable if Triton
        can't serve it as fitted.
        """
        store = self._needed()
        async with self._turn:
            found, standing = await asyncio.to_thread(store.find, catalog_id, wanted)
            trusted = await asyncio.to_thread(store.trusts, found, standing)
            if not (trusted or force):
                raise errors.SpaceUnsigned
            if standing is ServingState.SERVING:
                return found if trusted else await self._adopt(store, found)
            evaluation = found.evaluation
            better = trusted and evaluation.verdict is SpaceVerdict.BETTER
            if not (better or force):
                why = f"the space is not proven better ({evaluation.verdict}): {evaluation.text}"
                raise errors.PromotionRefused(evaluation.verdict, why)
            spaces = await asyncio.to_thread(lambda: [*store.spaces(catalog_id)])
            if sum(each is ServingState.SERVING for _, each in spaces) >= MOST_SERVING:
                raise errors.SpacesFull(MOST_SERVING)
            try:
                await self._introduce(store, found, standing)
            except BaseException:
                await self._take_back(store, found)
                raise
            settle = store.settle
            settled = await asyncio.to_thread(settle, found, standing, forced=not better)
            log.info("space promoted", space=settled.name, forced=settled.forced)
            return settled

    async def retire(self, catalog_id: str, wanted: str) -> tuple[SpaceManifest, ServingState]:
        """Retire a space; one that does not serve is unchanged.

        Raises SpaceNotFound, FitUnavailable, EmbedderUnavailable.
        """
        store = self._needed()
        async with self._turn:
            found, standing = await asyncio.to_thread(store.find, catalog_id, wanted)
            if standing is ServingState.SERVING:
                for name in found.models:
                    await self._control.unload(name)
                await asyncio.to_thread(store.retire, found)
                log.info("space retired", space=found.name)
                return found, ServingState.RETIRED
            return found, standing

    async def remove(self, catalog_id: str) -> None:
        """Delete all spaces of a catalog. Raises EmbedderUnavailable."""
        if self._store is None:
            return
        async with self._turn:
            for found, standing in await asyncio.to_thread(self._spaces, catalog_id):
                if standing is ServingState.SERVING:
                    for name in found.models:
                        await self._control.unload(name)
                await asyncio.to_thread(self._store.delete, found)
                log.info("space deleted", space=found.name)

    def _spaces(self, catalog_id: str) -> list[tuple[SpaceManifest, ServingState]]:
        return [*self._needed().spaces(catalog_id)]

    def _needed(self) -> SpaceStore:
        if self._store is None:
            raise errors.FitUnavailable("set EMBEDDER_SPACES to a folder of spaces")
        return self._store

    async def _adopt(self, store: SpaceStore, found: SpaceManifest) -> SpaceManifest:
        """Sign a space in Triton's repository; the watch loads it soon after."""
        try:
            return await asyncio.to_thread(store.adopt, found)
        except SpaceDamaged as error:
            raise errors.ModelNotReady(
                f"the space's files changed since the fit: {error}"
            ) from error

    async def _introduce(
        self, store: SpaceStore, found: SpaceManifest, standing: ServingState
    ) -> None:
        """Load a space in Triton and verify its vectors."""
        try:
            await asyncio.to_thread(store.check, found, standing)
            await asyncio.to_thread(store.offer, found, standing)
            for name in found.models:
                await self._load(name)
            for name in found.models:
                await self._prove(store.folder(name, ServingState.SERVING))
        except SpaceDamaged as error:
            raise errors.ModelNotReady(
                f"the space's files changed since the fit: {error}"
            ) from error
        except errors.ModelFailed as error:
            raise errors.ModelNotReady(f"Triton can't run the space: {error}") from error
        except OSError as error:
            raise errors.ModelNotReady(f"the space can't be copied: {error.strerror}") from error

    async def _load(self, name: str) -> None:
        """Load a model, with retries. Raises as ModelControl."""
        for pause in LOAD_PAUSES:
            try:
                return await self._control.load(name)
            except errors.ModelSilent:
                raise
            except errors.EmbedderUnavailable as error:
                log.warning("load of a model retried", model=name, reason=error.reason)
            await self._pause(pause)
        return await self._control.load(name)

    async def _prove(self, folder: Path) -> None:
        """Raise ModelNotReady unless a model's vectors equal those computed in NumPy during the
        fit."""
        inference = self._inference(folder.name)
        described = await inference.describe()
        inputs, wanted = await asyncio.to_thread(_proof, folder / process.PROOF)
        for rows in _slices(len(wanted), described.max_batch):
            answer = await inference.infer({name: each[rows] for name, each in inputs.items()})
            if answer.vectors.shape != wanted[rows].shape:
                raise errors.ModelNotReady(
                    f"{folder.name} returns vectors whose shape differs from the fit's"
                )
            cosines = (answer.vectors * wanted[rows]).sum(axis=1)
            if not (cosines >= ALIKE).all():
                raise errors.ModelNotReady(
                    f"{folder.name} returns vectors in Triton that differ from the fit's "
                    f"(cosine {cosines.min():.5f}; at least {ALIKE} is required)"
                )

    async def _take_back(self, store: SpaceStore, found: SpaceManifest) -> None:
        """Undo a failed promotion."""
        for name in reversed(found.models):
            with contextlib.suppress(ServiceError):
                await self._control.unload(name)
        await asyncio.to_thread(store.withdraw, found)


def _proof(path: Path) -> tuple[dict[str, npt.NDArray[np.generic]], npt.NDArray[np.float32]]:
    """Return the inputs of a model, and the expected vectors."""
    try:
        with np.load(path, allow_pickle=False) as found:
            arrays = dict(found)
        return arrays, arrays.pop("vectors")
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise SpaceDamaged(f"{path.parent.name} has no valid {path.name}") from error


def _slices(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, start + size)
