"""The embedder of this process: signals are embedded by what it lends; other calls go over its
channel."""

from collections.abc import Awaitable, Callable, Sequence

import grpc

from gateway.clients.embedder import MOST_CATEGORIES, EmbedderClient, charged
from gateway.clients.peer_calls import PeerCaller
from gateway.model.query import Signal
from servicekit.rpc.loans import Loan
from sightline_core.embedding import EmbeddedSignals
from sightline_core.lending import LentEmbedder


class LocalEmbedder(EmbedderClient):
    """Embeds signals with what the embedder lends."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        caller: PeerCaller,
        borrowed: Callable[[], Loan[LentEmbedder] | None],
    ) -> None:
        """`borrowed` returns the loan; None while the embedder does not serve."""
        super().__init__(channel, caller)
        self._borrowed = borrowed

    async def embed(
        self,
        catalog_id: str,
        signals: Sequence[Signal],
        priority: int,
        space_version: str,
        *,
        space: str,
        views: int = 0,
        classify: bool = False,
        language_code: str = "",
    ) -> EmbeddedSignals:
        def work(lent: LentEmbedder) -> Awaitable[EmbeddedSignals]:
            return lent.embed(
                *(catalog_id, signals, priority),
                space=space,
                version=space_version,
                views=views,
                guesses=MOST_CATEGORIES if classify else 0,
                language_code=language_code,
            )

        def ask(size: int | None = None) -> Awaitable[EmbeddedSignals]:
            return self._caller.borrow(self._borrowed(), "embed", work, size)

        if not any(each.is_photo for each in signals):
            return await ask()
        size = sum(len(each.image) for each in signals)
        return await charged(lambda: ask(size), lambda found: found.decoding)
