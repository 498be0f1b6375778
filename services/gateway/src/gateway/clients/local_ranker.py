"""The ranker of this process: what an answer needs is asked of what the ranker lends; other calls
go over its channel."""

from collections.abc import Callable
from typing import Any

import grpc

from gateway.clients.peer_calls import PeerCaller
from gateway.clients.ranker import RankerClient
from gateway.clients.records import record_of
from servicekit.rpc.loans import Loan
from sightline_core import ranking as core
from sightline_core.answer import AnswerRecord
from sightline_core.lending import LentRanker


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

    async def generate(self, order: core.NominateRequest) -> core.RankerCandidates:
        return await self._caller.borrow_idempotent(
            self._borrowed(), "generate", lambda lent: lent.generate(order), lambda: order
        )

    async def rank(self, order: core.RankRequest) -> core.Ranked:
        return await self._caller.borrow(self._borrowed(), "rank", lambda lent: lent.rank(order))

    async def reasons(self, order: core.ReasonRequest) -> core.Reasoned:
        return await self._caller.borrow(
            self._borrowed(), "reasons", lambda lent: lent.reasons(order)
        )

    async def answer(self, catalog_id: str, asked: core.AnswerRange) -> AnswerRecord:
        found: Any = await self._caller.borrow(
            self._borrowed(), "answer", lambda lent: lent.answer(catalog_id, asked)
        )
        return record_of(found, asked.offset)
