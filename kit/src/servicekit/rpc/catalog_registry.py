"""The registry of catalogs, which a retriever of this process lends, or answers on the wire."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import grpc

from servicekit.catalogs.known import READ_SECONDS, CatalogList, CatalogRegistry
from servicekit.catalogs.list_service import RemoteRegistry
from servicekit.errors import Unavailable
from servicekit.rpc.channel import borrowing
from servicekit.rpc.loans import Loan, Use, Withdrawn


class LendsCatalogs(Protocol):
    """Reads the list of catalogs; a retriever lends it to the other services of its process."""

    async def catalog_list(self, known_revision: str) -> CatalogList | None:
        """Return the list; None: it still has that revision. Raises ServiceError."""


@dataclass(frozen=True, slots=True)
class LentRegistry:
    """See CatalogRegistry in servicekit.catalogs.known: the registry of a retriever of this
    process."""

    borrowed: Callable[[], Loan[LendsCatalogs] | None]
    """Returns the loan; None while the retriever does not serve."""

    async def read(self, known_revision: str) -> CatalogList | None:
        loan = self.borrowed()
        if loan is None:
            raise _gone()
        try:
            with Use(loan, "catalogs", READ_SECONDS, 0.0) as lent:
                return await lent.catalog_list(known_revision)
        except Withdrawn:
            raise _gone() from None


def registry_of(target: str, channel: grpc.aio.Channel) -> CatalogRegistry:
    """Return the registry of the retriever of a target, to which the channel leads."""
    borrowed = borrowing(target)
    return RemoteRegistry(channel) if borrowed is None else LentRegistry(borrowed)


def _gone() -> Unavailable:
    return Unavailable("the retriever does not serve", reason="RETRIEVER_UNAVAILABLE")
