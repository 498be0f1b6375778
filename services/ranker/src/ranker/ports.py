"""Interfaces that the use cases require of the record and the models."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from ranker.domain.arrays import Doubles
from ranker.domain.events import History, Interaction, StoredEvent, Written
from ranker.domain.model import Model
from ranker.domain.recommenders import Counted, CountsQuery


class EventSink(Protocol):
    """Destination of events after validation and pseudonymisation."""

    @property
    def deferred(self) -> bool:
        """Return whether events may reach the record after `append` has returned."""

    async def append(self, events: Sequence[StoredEvent]) -> tuple[Written, ...]:
        """Store the events durably and return the outcome of each, as far as it is known. Raise
        ServiceError; some events may be stored nevertheless, and are duplicates by their ids when
        sent again."""


class HistoryReader(Protocol):
    """Reader of shoppers' histories."""

    async def history(self, catalog_id: str, actor: str, *, limit: int, with_seen: bool) -> History:
        """Return the shopper's history with at most `limit` recent events."""

    async def popularity(self, catalog_id: str, product_ids: Sequence[str]) -> Doubles:
        """Return for each product its share of the most popular one's count, 0 to 1."""

    async def most_popular(self, catalog_id: str, count: int) -> tuple[tuple[str, float], ...]:
        """Return the most popular products with their shares, best first; ties by id."""


class EventReader(HistoryReader, Protocol):
    """Reader of single events."""

    async def numbered(
        self, catalog_id: str, sequences: Sequence[int]
    ) -> Mapping[int, Interaction]:
        """Return the events with these numbers that still exist, by number."""


class CountReader(Protocol):
    """Reader of counts over all shoppers."""

    async def counted(self, catalog_id: str, asked: CountsQuery) -> Counted:
        """Return the result of the query from one snapshot."""


class Models(Protocol):
    """Serving models, and others by version."""

    def serving(self, catalog_id: str) -> Model | None:
        """Return the catalog's promoted model; None if there is none or it can't be loaded."""

    def pinned(self, catalog_id: str, version: str) -> Model | None:
        """Return the model of this version if it is loaded, else start loading it and return
        None."""

    def refused(self, catalog_id: str) -> bool:
        """Return whether the promoted model can't be loaded."""

    def former(self, catalog_id: str) -> Model | None:
        """Return the model that served before, whose products the index may still hold; None if
        there is none or the index is not searched."""
