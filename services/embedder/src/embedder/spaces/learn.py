"""Use case: fit a candidate space on a catalog's labelled photos."""

import asyncio
import contextlib
import functools
import hashlib
import re
import shutil
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from embedder.adapters.feature_folder import FeatureFolder, forget
from embedder.adapters.space_store import SpaceStore
from embedder.domain import errors
from embedder.domain.fits import FitPhoto, FitProgress, FitSettings, SentenceVectors
from embedder.domain.items import MAX_TEXT
from embedder.domain.models import Description
from embedder.domain.photos import Pixels
from embedder.fitting import process
from embedder.fitting.process import FitOrder, FitRow
from embedder.ports import FeatureSource, FeatureSources
from embedder.spaces import fit_process

T = TypeVar("T")

FEWEST_PHOTOS: Final = 20
"""Minimum number of photos of a fit; results on fewer are random."""
TOGETHER: Final = 8
"""Photos processed concurrently. The proto promises a report after as many photos."""
PROOF: Final = 4
"""Number of photos whose pixels verify a graph before its promotion."""
VIEWS: Final = 4
"""Views of each photo in a fit."""
TEXTS: Final = 64
"""Titles in one call of the text model."""
SHOPPER_VIEWS: Final = 1
CATALOG_VIEWS: Final = 4
"""Default numbers of views. Shoppers' photos have fewer, as a shopper waits for the answer."""
PATIENCE_SECONDS: Final = 60.0
"""Seconds that a fit waits for Triton before it fails; computed features stay stored."""
_BACKBONE: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")


@dataclass(slots=True)
class _Collected:
    """Labels of the photos read so far."""

    rows: list[FitRow] = field(default_factory=list)
    titles: dict[str, int] = field(default_factory=dict)
    """Row of each title in the sentence vectors."""
    proof: dict[int, Pixels] = field(default_factory=dict)
    """Pixels of the first PROOF photos by row."""
    done: int = 0
    skipped: int = 0

    def skip(self) -> None:
        """Count an unreadable photo."""
        self.done += 1
        self.skipped += 1

    def add(self, photo: FitPhoto, name: str, pixels: Pixels | None) -> None:
        """Add a photo's labels. `name`: name of its features; `pixels`: set for the first PROOF
        photos."""
        self.done += 1
        if pixels is not None:
            self.proof[len(self.rows)] = pixels
        title = photo.title[:MAX_TEXT].strip()
        self.rows.append(
            FitRow(
                photo=name,
                product=photo.product,
                group=photo.group or name,
                kind=int(photo.camera),
                category=photo.category,
                sentence=self.titles.setdefault(title, len(self.titles)) if title else -1,
            )
        )


class Learner:
    """Fits spaces, one at a time."""

    def __init__(
        self,
        store: SpaceStore | None,
        backbones: Path | None,
        sources: FeatureSources,
        *,
        default_backbone: str,
        command: Sequence[str],
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """`store` or `backbones` None: fits fail with FitUnavailable. `command`: the fitting
        process."""
        self._store = store
        self._backbones = backbones
        self._sources = sources
        self._default = default_backbone
        self._command = tuple(command)
        self._patience = patience
        self._fitting = asyncio.Lock()

    async def fit(
        self, settings: FitSettings, photos: AsyncIterator[FitPhoto]
    ) -> AsyncGenerator[FitProgress, None]:
        """Yield the progress of a fit; last, the candidate.

        Raises FitInvalid, FitInProgress, FitUnavailable, FitFailed, ModelNotReady; and
        EmbedderUnavailable if Triton does not answer for PATIENCE_SECONDS.
        """
        if self._store is None or self._backbones is None:
            raise errors.FitUnavailable("set EMBEDDER_SPACES and EMBEDDER_BACKBONES to fit spaces")
        if lacking := process.lacking():  # checked first, before hours of computing features
            raise errors.FitUnavailable(
                f"the embedder has no {' and no '.join(lacking)}: "
                "install sightline-embedder with the extra `fit`"
            )
        folder = self._folder(self._backbones, settings.backbone or self._default)
        if self._fitting.locked():
            raise errors.FitInProgress
        async with self._fitting:
            # A fit that ends meanwhile leaves its folder to the next one's sweep.
            work = await asyncio.to_thread(self._begin, self._store)
            try:
                async with contextlib.aclosing(
                    self._fit(settings, photos, folder, work, self._store)
                ) as steps:
                    async for progress in steps:
                        yield progress
            finally:
                await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)

    @staticmethod
    def _folder(backbones: Path, name: str) -> Path:
        """Return the folder of a backbone's features model. Raises FitInvalid."""
        folder = backbones / f"{name}_features"
        if not (_BACKBONE.fullmatch(name) and (folder / process.GRAPH).is_file()):
            there = sorted(
                path.name.removesuffix("_features") for path in backbones.glob("*_features")
            )
            raise errors.FitInvalid(
                f"there is no such backbone; the backbones are: {', '.join(there) or 'none'}"
            )
        return folder

    @staticmethod
    def _begin(store: SpaceStore) -> Path:
        try:
            store.prepare()
            store.sweep()
            forget(store.features)
            return store.work()
        except OSError as error:
            raise errors.FitUnavailable(
                f"EMBEDDER_SPACES can't be written: {error.strerror}"
            ) from error

    async def _fit(
        self,
        settings: FitSettings,
        photos: AsyncIterator[FitPhoto],
        folder: Path,
        work: Path,
        store: SpaceStore,
    ) -> AsyncGenerator[FitProgress, None]:
        collected = _Collected()
        async with contextlib.AsyncExitStack() as held:
            backbone = await self._patiently(
                lambda: held.enter_async_context(
                    self._sources.backbone(folder.name, settings.catalog_id)
                )
            )
            baseline = await self._patiently(
                functools.partial(self._sources.baseline, settings.catalog_id)
            )
            kept = FeatureFolder(store.features / fit_process.version(backbone.description))
            compared = FeatureFolder(store.features / fit_process.version(baseline.description))
            into = (backbone, kept), (baseline, compared)
            yield FitProgress(0, "features")
            async with contextlib.aclosing(_grouped(photos, TOGETHER)) as groups:
                async for group in groups:
                    await self._take(group, into, collected)
                    yield FitProgress(collected.done, "features", collected.skipped)
        _check(collected)
        text_version = await self._write_sentences(work, collected, settings.catalog_id)
        order = FitOrder(
            catalog_id=settings.catalog_id,
            backbone=folder,
            features=kept.path,
            baseline=compared.path,
            baseline_model=baseline.description.model,
            max_dimension=settings.max_dimension,
            seed=settings.seed,
            text_version=text_version,
            create_time=time.time(),
            shopper_views=SHOPPER_VIEWS,
            catalog_views=CATALOG_VIEWS,
            proof=tuple(collected.proof),
            rows=tuple(collected.rows),
            shopper_photo_tags=settings.shopper_photo_tags,
        )
        async with contextlib.aclosing(
            self._computed(store, work, order, collected, backbone.description)
        ) as steps:
            async for progress in steps:
                yield progress

    async def _computed(
        self,
        store: SpaceStore,
        work: Path,
        order: FitOrder,
        collected: _Collected,
        description: Description,
    ) -> AsyncGenerator[FitProgress, None]:
        """Run the fitting process and store its result. Yield the stages; last, the candidate.

        `description`: description of the backbone's features model.
        """
        proof = list(collected.proof.values())
        await asyncio.to_thread(fit_process.write_order, work, order, proof)
        async with contextlib.aclosing(fit_process.run(self._command, work)) as stages:
            async for stage in stages:
                yield FitProgress(collected.done, stage, collected.skipped)
        found = await asyncio.to_thread(fit_process.manifest, work, order, description)
        await asyncio.to_thread(store.add, work, found)
        yield FitProgress(collected.done, "write", collected.skipped, found)

    async def _take(
        self,
        photos: Sequence[FitPhoto],
        into: Sequence[tuple[FeatureSource, FeatureFolder]],
        collected: _Collected,
    ) -> None:
        """Store features of photos, concurrently, and collect their labels in order."""
        names = [hashlib.sha256(photo.image).hexdigest() for photo in photos]
        # Pixels are not stored, so those of the first PROOF photos are computed in each fit.
        lacking = PROOF - len(collected.proof)
        seen = await asyncio.gather(
            *(
                self._see(photo, name, into, proves=place < lacking)
                for place, (photo, name) in enumerate(zip(photos, names, strict=True))
            )
        )
        for photo, name, (read, pixels) in zip(photos, names, seen, strict=True):
            collected.add(photo, name, pixels) if read else collected.skip()

    async def _see(
        self,
        photo: FitPhoto,
        name: str,
        into: Sequence[tuple[FeatureSource, FeatureFolder]],
        *,
        proves: bool,
    ) -> tuple[bool, Pixels | None]:
        """Store a photo's features. Return whether it can be read and, if it `proves`, pixels of
        its first view."""
        shown = None
        try:
            for source, folder in into:
                asked = proves and shown is None
                if not asked and await asyncio.to_thread(folder.has, name):
                    continue
                features, pixels = await self._patiently(
                    functools.partial(source.features, photo.image)
                )
                await asyncio.to_thread(folder.keep, name, features)
                shown = pixels if asked else shown
        except (errors.PhotoUndecodable, errors.PhotoTooLarge):
            return False, None
        return True, shown

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Retry a call while Triton is unavailable, for at most the seconds of `patience`."""
        end = time.monotonic() + self._patience
        wait = 0.2
        while True:
            try:
                return await call()
            except (errors.EmbedderUnavailable, errors.QueueFull):
                if time.monotonic() + wait > end:
                    raise
                await asyncio.sleep(wait)
                wait = min(2 * wait, 5.0)

    async def _write_sentences(self, work: Path, collected: _Collected, catalog_id: str) -> str:
        """Write the text model's vectors of all titles. Return its version; empty without titles or
        a text model."""
        titles = list(collected.titles)
        found: list[SentenceVectors] = []
        try:
            for start in range(0, len(titles), TEXTS):
                some = titles[start : start + TEXTS]
                read = functools.partial(self._sources.sentences, some, catalog_id)
                found.append(await self._patiently(read))
        except errors.SpaceUnavailable:
            return ""
        if not found:
            return ""
        if len({each.version for each in found}) > 1:
            raise errors.EmbedderUnavailable("the text model was replaced during the fit")
        vectors = np.concatenate([each.vectors for each in found])
        await asyncio.to_thread(np.save, work / process.SENTENCES, vectors, allow_pickle=False)
        return found[0].version


async def _grouped(
    photos: AsyncIterator[FitPhoto], size: int
) -> AsyncGenerator[list[FitPhoto], None]:
    group: list[FitPhoto] = []
    async for photo in photos:
        group.append(photo)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _check(collected: _Collected) -> None:
    """Raise FitInvalid unless there are enough photos and products."""
    photos, products = len(collected.rows), len({row.product for row in collected.rows})
    if photos < FEWEST_PHOTOS or products < 2:
        raise errors.FitInvalid(
            f"{photos} photos of {products} products can be read, {collected.skipped} can't; "
            f"a fit needs at least {FEWEST_PHOTOS} photos of at least 2 products, preferably "
            "hundreds, of products with several photos each"
        )
