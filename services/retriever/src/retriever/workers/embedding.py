"""The loop that embeds pending photos and texts; versions run side by side."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from prometheus_client import Counter, Gauge

from retriever.domain.category_mismatch import CategoryPath
from retriever.domain.embedding import EmbeddingSpace
from retriever.domain.errors import EmbedderUnavailable
from retriever.domain.generation import Generation, Outstanding
from retriever.domain.metrics import catalog_label
from retriever.indexing.collections import ensure_generation
from retriever.indexing.embedding import embed_pending
from retriever.workers.context import Wakes, Worker
from retriever.workers.tasks import KeyedBackoff, Tasks
from servicekit.liveness import LIVENESS

SPACE_LOOK_SECONDS = 5.0
"""Seconds between two reads of the embedder's versions: the maximum delay until a generation of a
new version can be created."""
EMBEDDING = "embedding"
"""Name of the loop for servicekit.liveness. A running step of a version is reported too, under this
name and the version."""
EMBED_CALLS = 16
"""Calls to the embedder in one step; due items are read once for all of them, while the model has
nothing to do."""

EMBEDDED = Counter("sightline_index_embedded_total", "Photos and texts embedded.", ("space",))
EMBED_FAILED = Counter(
    "sightline_index_embed_failed_total", "Failed attempts to embed a photo or text.", ("space",)
)
MISMATCH = Gauge(
    "sightline_space_version_mismatch",
    "1 while the embedder does not serve a version that a live generation holds.",
    ("catalog", "space"),
)


@dataclass(slots=True)
class EmbeddingLoop:
    """Steps of embedding."""

    worker: Worker
    wakes: Wakes
    tasks: Tasks
    busy: set[str] = field(default_factory=set)
    """Versions whose last step filled at least one call, as during an import."""
    failures: KeyedBackoff = field(default_factory=lambda: KeyedBackoff(EMBEDDING, 0.2, 5.0))
    _offers: dict[str, tuple[float, list[EmbeddingSpace]]] = field(default_factory=dict)
    """By catalog, the time of the last read, and the versions that the embedder serves."""
    _categories: dict[tuple[str, str, str], frozenset[CategoryPath]] = field(default_factory=dict)
    """Categories of the classification heads, by catalog, space and version."""
    _running: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    """Running steps, by catalog, space and version."""

    async def step(self) -> bool:
        """Start a step of each version that has pending photos or texts and no running step."""
        live: defaultdict[str, list[Outstanding]] = defaultdict(list)
        for outstanding in await self.worker.record.outstanding(list(self.worker.catalogs)):
            live[outstanding.generation.catalog_id].append(outstanding)
        for catalog in self.worker.catalogs:
            if self.failures.ready(catalog):
                # Calls to an unavailable embedder time out one by one.
                LIVENESS.report(EMBEDDING)
                with self.failures.attempt(catalog):
                    await self._embed_catalog(catalog, live[catalog])
        return False

    async def _embed_catalog(self, catalog: str, live: list[Outstanding]) -> None:
        offers = await self._offered(catalog, live)
        self._await_first(catalog, {each.generation.space for each in live})
        # Two generations may have the same version.
        targets = {(each.generation.space, each.generation.space_version): each for each in live}
        for (space, _), target in targets.items():
            if space in self.worker.options.spaces:
                self._begin(target, offers)

    def _await_first(self, catalog: str, indexed: AbstractSet[str]) -> None:
        """Schedule another read of the embedder's versions soon for a space without index."""
        for space in self.worker.options.spaces:
            key = f"{catalog} {space}"
            if space in indexed:
                self.failures.succeed(key)
            elif self.failures.ready(key):
                self._offers.pop(catalog, None)
                self.failures.fail(key, EmbedderUnavailable())

    def _begin(self, outstanding: Outstanding, offers: Sequence[EmbeddingSpace]) -> None:
        """Start a step of one version concurrently with those of others, so that texts do not wait
        for a photo model."""
        target = outstanding.generation
        key = f"{target.catalog_id} {target.space} {target.space_version}"
        running = self._running.get(key)
        if not outstanding.pending:
            self.busy.discard(key)
            self.failures.succeed(key)
        elif (running is None or running.done()) and self.failures.ready(key):
            self._running[key] = self.tasks.start(self._embed_alive(key, target, offers))

    async def _embed_alive(
        self, key: str, target: Generation, offers: Sequence[EmbeddingSpace]
    ) -> None:
        """Embed with a version. One that is not served does not delay others."""
        with LIVENESS.watch(f"{EMBEDDING} {key}"), self.failures.attempt(key):
            try:
                await self._embed(key, target, offers)
            except BaseException:
                self._offers.pop(target.catalog_id, None)
                self.busy.discard(key)
                raise

    async def _embed(self, key: str, target: Generation, offers: Sequence[EmbeddingSpace]) -> None:
        """Embed some photos or texts with a version."""
        options = self.worker.options
        batch = options.worker_embed_texts if target.of_texts else options.worker_embed_batch
        offer = next((each for each in offers if _is(each, target) and each.ready), None)
        if offer is None:
            if not await self.worker.record.due(target, 1):
                return
            raise EmbedderUnavailable
        done = await embed_pending(
            target,
            self.worker.record,
            self.worker.photos,
            self.worker.embedder,
            batch,
            calls=EMBED_CALLS,
            known=await self._known(target, offer),
            recent=self.worker.recent,
            shopper_tags=offer.shopper_photo_tags,
        )
        (self.busy.add if done.stored >= batch else self.busy.discard)(key)
        EMBEDDED.labels(target.space).inc(done.stored)
        EMBED_FAILED.labels(target.space).inc(done.failed)
        if done.stored:
            self.wakes.changes.set()
        if done.stored or done.failed:
            self.wakes.photos.set()  # there may be more

    async def _known(self, target: Generation, offer: EmbeddingSpace) -> frozenset[CategoryPath]:
        """Return the categories of a version's classification head, read once.

        Empty without a head, or if they can't be read now.
        """
        if not offer.categories:
            return frozenset()
        key = target.catalog_id, target.space, target.space_version
        if not self._categories.get(key):
            self._categories[key] = await self.worker.embedder.categories(*key)
        return self._categories[key]

    async def _offered(self, catalog: str, live: list[Outstanding]) -> list[EmbeddingSpace]:
        """Return the spaces that the embedder serves.

        They are read again after SPACE_LOOK_SECONDS and after each failure, and stored in the
        record, which checks new generations against them. A space without an index gets a
        generation, which is added to `live`.
        """
        known = self._offers.get(catalog)
        if known is not None and time.monotonic() - known[0] < SPACE_LOOK_SECONDS:
            return known[1]
        found = await self.worker.embedder.spaces(catalog)
        offers = [each for each in found if each.space in self.worker.options.spaces]
        if known is None or known[1] != offers:
            await self.worker.record.save_offers(catalog, offers)
        indexed = {each.generation.space for each in live}
        for each in offers:
            if each.default and each.ready and each.space not in indexed:
                made = await ensure_generation(
                    catalog, each, self.worker.options.milvus_prefix, self.worker.record
                )
                live.append(Outstanding(made, changes=True, pending=True))
        for space in self.worker.options.spaces:
            held = [each.generation for each in live if each.generation.space == space]
            served = all(any(_is(each, generation) for each in offers) for generation in held)
            MISMATCH.labels(catalog_label(catalog, self.worker.catalogs), space).set(not served)
        self._offers[catalog] = (time.monotonic(), offers)
        return offers


def _is(offer: EmbeddingSpace, generation: Generation) -> bool:
    """Return whether an offer is the generation's version."""
    return (offer.space, offer.version) == (generation.space, generation.space_version)
