"""The embedder of this process: texts are embedded by what the embedder lends; photos, whose bytes
the embedder counts, and other calls go over its channel."""

from collections.abc import Callable, Sequence
from typing import Any

import grpc

from gateway.clients.embedder import EmbedderClient
from gateway.clients.peer_calls import PeerCaller
from gateway.model.peers import EmbeddedSignals
from gateway.model.query import Signal
from servicekit.rpc.loans import Loan
from sightline_core.lending import LentEmbedder


class LocalEmbedder(EmbedderClient):
    """Embeds texts with what the embedder lends."""

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
        language_code: str = "",
        **of_photos: Any,
    ) -> EmbeddedSignals:
        if any(each.is_photo for each in signals):
            return await super().embed(
                *(catalog_id, signals, priority, space_version),
                space=space,
                language_code=language_code,
                **of_photos,
            )
        found, work = await self._caller.borrow(
            self._borrowed(),
            "embed",
            lambda lent: lent.embed_texts(
                *(catalog_id, [each.text for each in signals], priority),
                space=space,
                version=space_version,
                language_code=language_code,
            ),
        )
        none = len(found)  # texts have no categories
        return EmbeddedSignals(tuple(found), work, (None,) * none, ((),) * none)
