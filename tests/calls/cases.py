"""The calls that are counted."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sightline.common.v1 import answer_pb2, event_pb2
from sightline.gateway.v1 import catalog_service_pb2 as catalog_pb
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline.gateway.v1.catalog_service_pb2_grpc import CatalogServiceStub
from sightline.gateway.v1.recommendation_service_pb2_grpc import RecommendationServiceStub
from tests.calls.catalog import UNTRAINED

PAGE = 10
RECORD_SECONDS = 20.0
"""Seconds in which the record of an answer is written, at most."""


@dataclass(frozen=True, slots=True)
class Shop:
    """The running suite, as its caller sees it."""

    channel: grpc.Channel
    product: str
    other: str
    user: str
    records: sqlite3.Connection
    """The ranker's store, in which answers are recorded."""

    def recorded(self) -> int:
        """Return the number of recorded answers."""
        ((found,),) = self.records.execute("SELECT count(*) FROM answers").fetchall()
        return int(found)

    def after_record(self, call: Callable[[], Any]) -> Callable[[], None]:
        """Return a call that ends when the record of its answer is written."""

        def calling() -> None:
            before, until = self.recorded(), time.monotonic() + RECORD_SECONDS
            call()
            while self.recorded() == before:
                if time.monotonic() > until:
                    raise TimeoutError("the answer was not recorded")
                time.sleep(0.005)

        return calling

    def cases(self) -> dict[str, Callable[[], Any]]:
        """Return the calls that are counted, by the names of their limits."""
        recommending = RecommendationServiceStub(self.channel)
        catalog, health = CatalogServiceStub(self.channel), health_pb2_grpc.HealthStub(self.channel)
        near = [pb.QuerySignal(product_id=self.product)]
        user = event_pb2.Shopper(user_id=self.user)

        def recommend(**fields: Any) -> Callable[[], Any]:
            request = pb.RecommendRequest(page_size=PAGE, **fields)
            return self.after_record(lambda: _whole(recommending.Recommend(request, timeout=10)))

        search = pb.SearchRequest(signals=near, page_size=PAGE)
        product = catalog_pb.GetProductRequest(product_id=self.product)
        listed = pb.ListRequest(page_size=PAGE, sort=pb.SORT_PRICE_RISING)
        typed = pb.SuggestRequest(prefix="product of ki", page_size=PAGE)
        return {
            "health": lambda: health.Check(health_pb2.HealthCheckRequest(), timeout=10),
            "get_product": lambda: catalog.GetProduct(product, timeout=10),
            "search": lambda: _whole(recommending.Search(search, timeout=10)),
            "product": recommend(signals=near),
            "user": recommend(shopper=user),
            "similar": recommend(scene="similar", anchor_product_ids=[self.product]),
            "for_you": recommend(scene="for-you", shopper=user),
            "newcomer": recommend(
                catalog_id=UNTRAINED, scene="for-you", shopper=event_pb2.Shopper(user_id="newcomer")
            ),
            "cart": recommend(scene="cart", anchor_product_ids=[self.product, self.other]),
            "list": lambda: _whole(recommending.List(listed, timeout=10)),
            "later_page": self._later_page(recommending, near),
            "suggest": lambda: recommending.Suggest(typed, timeout=10).suggestions[0],
        }

    def _later_page(
        self, recommending: RecommendationServiceStub, near: Sequence[pb.QuerySignal]
    ) -> Callable[[], Any]:
        """Return the call for the second page of an answer, which is recorded."""
        request = pb.RecommendRequest(page_size=PAGE, signals=near)
        answers: list[Any] = []
        self.after_record(lambda: answers.append(recommending.Recommend(request, timeout=10)))()
        request.page_token = answers[0].next_page_token
        return lambda: _whole(recommending.Recommend(request, timeout=10))


def _whole(answer: Any) -> Any:
    """Return an answer. Raises RuntimeError if it is poor: it would make fewer calls."""
    if len(answer.results) != PAGE or answer.degradations:
        raise RuntimeError(f"the answer is poor: {len(answer.results)}, {answer.degradations}")
    if (
        isinstance(answer, pb.RecommendResponse)
        and answer.quality != answer_pb2.ANSWER_QUALITY_FULL
    ):
        raise RuntimeError(f"the answer has quality {answer.quality}")
    return answer
