"""Cache of photo embeddings: equal bytes with equal options are embedded once, and concurrent
requests for them share one inference.

For shoppers' photos only: imports rarely send a photo twice, and verification of an index needs a
new inference.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import replace

from prometheus_client import Counter, Gauge

from embedder.domain.errors import DeadlinePassed, QueueFull
from embedder.domain.items import Embedding
from servicekit.errors import ServiceError
from servicekit.tasks.promise import Promise

USED = Counter(
    "sightline_embedding_cache",
    "Lookups of photos by result: hit, joined (an inference in progress) or miss.",
    ("found",),
)
BYTES = Gauge("sightline_embedding_cache_bytes", "Memory of cached embeddings.")

_OVERHEAD = 1024
"""Approximate bytes of an entry besides its vector."""


_LARGE = 2**18
"""Bytes of a photo from which its key is computed in a thread; smaller ones take up to 0.2 ms."""


async def digest(photo: bytes) -> bytes:
    """Return the SHA-256 of a photo's bytes: callers must not be able to construct collisions."""
    if len(photo) < _LARGE:
        return hashlib.sha256(photo).digest()
    return (await asyncio.to_thread(hashlib.sha256, photo)).digest()


class EmbeddingCache:
    """Least recently used cache of embeddings, by photo and options."""

    def __init__(self, most_bytes: int) -> None:
        """`most_bytes`: 0 turns caching and sharing off."""
        self._most = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[Hashable, Embedding] = OrderedDict()
        self._making: dict[Hashable, Promise[Embedding | ServiceError | None]] = {}

    @property
    def on(self) -> bool:
        """True if the cache is enabled."""
        return self._most > 0

    async def get(
        self, key: Hashable, make: Callable[[], Awaitable[Embedding]], owner: Hashable = None
    ) -> Embedding:
        """Return the cached embedding, else that of `make`. All callers that share it get its
        ServiceError.

        Only requests of one `owner` share a running `make`: another owner's may wait longer. A
        deadline or a full queue fails only its own caller: the next one calls `make` again.
        """
        while True:
            if (found := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                USED.labels("hit").inc()
                return found
            making = self._making.get((owner, key))
            if making is None:
                USED.labels("miss").inc()
                return await self._make(key, make, owner)
            outcome = await making.shared()
            if isinstance(outcome, Embedding):
                USED.labels("joined").inc()
                return outcome
            if outcome is not None and not isinstance(outcome, DeadlinePassed | QueueFull):
                raise outcome

    async def _make(
        self, key: Hashable, make: Callable[[], Awaitable[Embedding]], owner: Hashable
    ) -> Embedding:
        outcome: Embedding | ServiceError | None = None
        self._making[owner, key] = Promise()
        try:
            outcome = await make()
        except ServiceError as error:
            outcome = error
            raise
        else:
            self._keep(key, outcome)
            return outcome
        finally:
            self._making.pop((owner, key)).keep(outcome)

    def _keep(self, key: Hashable, made: Embedding) -> None:
        # A copy: the vector is a view of its batch, which would stay in memory.
        if key not in self._kept:  # two owners may have made it
            self._bytes += _size(made)
        self._kept[key] = replace(made, values=made.values.copy())
        while self._bytes > self._most:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= _size(oldest)
        BYTES.set(self._bytes)


def _size(made: Embedding) -> int:
    return made.values.nbytes + _OVERHEAD
