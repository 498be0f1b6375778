"""The ranker of this process: what an answer needs is asked of what the ranker lends; other calls
go over its channel."""

from collections.abc import Callable, Sequence

import grpc

from gateway.clients.peer_calls import PeerCaller
from gateway.clients.ranker import RankerClient
from servicekit.rpc.loans import Loan
from sightline_core.lending import LentRanker
from sightline_core.ranking import (
    NO_RECOMMENDERS,
    Ranked,
    RankerCandidates,
    RankRequest,
    Reasoned,
    ReasonRequest,
    Recommenders,
)
from sightline_core.shoppers import Shopper


class LocalRanker(RankerClient):
    """Candidates, rankings and reasons with what the ranker lends."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        caller: PeerCaller,
        borrowed: Callable[[], Loan[LentRanker] | None],
    ) -> None:
        """`borrowed` returns the loan; None while the ranker does not serve."""
        super().__init__(channel, caller)
        self._borrowed = borrowed

    async def generate(
        self,
        catalog_id: str,
        shopper: Shopper | None,
        session_id: str,
        *,
        top_k: int,
        exclude: Sequence[str],
        accept_vectors: bool = False,
        recommenders: Recommenders = NO_RECOMMENDERS,
        model_version: str = "",
    ) -> RankerCandidates:
        key = (top_k, tuple(exclude), accept_vectors, recommenders, model_version)
        return await self._caller.borrow_idempotent(
            self._borrowed(),
            "generate",
            lambda lent: lent.generate(
                catalog_id,
                shopper,
                top_k=top_k,
                exclude=exclude,
                accept_vectors=accept_vectors,
                recommenders=recommenders,
                model_version=model_version,
            ),
            *(catalog_id, shopper, session_id, *key),
        )

    async def rank(self, order: RankRequest) -> Ranked:
        return await self._caller.borrow(self._borrowed(), "rank", lambda lent: lent.rank(order))

    async def reasons(self, order: ReasonRequest) -> Reasoned:
        return await self._caller.borrow(
            self._borrowed(), "reasons", lambda lent: lent.reasons(order)
        )
