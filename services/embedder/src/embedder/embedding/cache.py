"""Cache of photo embeddings: the same bytes, asked for in the same way, are embedded once, and
concurrent requests for them share one inference.

It holds shoppers' photos only: an import hardly sends a photo twice, and verification of an index
needs a new inference.
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

USED = Counter(
    "sightline_embedding_cache",
    "Photos that were looked up, by what was found: hit, joined (one under way) or miss.",
    ("found",),
)
BYTES = Gauge("sightline_embedding_cache_bytes", "Memory that kept embeddings take.")

_OVERHEAD = 1024
"""Approximate bytes of an entry besides its vector."""


_LARGE = 2**18
"""Bytes of a photo from which a thread computes its key: 0.2 ms of the event loop's time."""


async def digest(photo: bytes) -> bytes:
    """Return the SHA-256 of a photo's bytes: collisions must not be constructible."""
    if len(photo) < _LARGE:
        return hashlib.sha256(photo).digest()
    return (await asyncio.to_thread(hashlib.sha256, photo)).digest()


class EmbeddingCache:
    """Least recently used cache of embeddings, by what they were made of."""

    def __init__(self, most_bytes: int) -> None:
        """`most_bytes`: 0 turns caching and sharing off."""
        self._most = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[Hashable, Embedding] = OrderedDict()
        self._making: dict[Hashable, asyncio.Future[Embedding | ServiceError | None]] = {}

    @property
    def on(self) -> bool:
        """Whether it is worth making a key."""
        return self._most > 0

    async def get(
        self, key: Hashable, make: Callable[[], Awaitable[Embedding]], owner: Hashable = None
    ) -> Embedding:
        """Return the cached embedding, or that of `make`; its ServiceError is raised to all that
        share it.

        Only requests of one `owner` share one under way: another's may have to wait for longer. A
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
            outcome = await asyncio.shield(making)
            if isinstance(outcome, Embedding):
                USED.labels("joined").inc()
                return outcome
            if outcome is not None and not isinstance(outcome, DeadlinePassed | QueueFull):
                raise outcome

    async def _make(
        self, key: Hashable, make: Callable[[], Awaitable[Embedding]], owner: Hashable
    ) -> Embedding:
        outcome: Embedding | ServiceError | None = None
        self._making[owner, key] = asyncio.get_running_loop().create_future()
        try:
            outcome = await make()
        except ServiceError as error:
            outcome = error
            raise
        else:
            self._keep(key, outcome)
            return outcome
        finally:
            self._making.pop((owner, key)).set_result(outcome)

    def _keep(self, key: Hashable, made: Embedding) -> None:
        # A copy: the vector is a row of its whole batch, which would be kept with it.
        if key not in self._kept:  # two owners may have made it
            self._bytes += _size(made)
        self._kept[key] = replace(made, values=made.values.copy())
        while self._bytes > self._most:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= _size(oldest)
        BYTES.set(self._bytes)


def _size(made: Embedding) -> int:
    return made.values.nbytes + _OVERHEAD
