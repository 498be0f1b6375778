"""The registry of catalogs, which a retriever of this process lends, or answers on the wire."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import grpc

from servicekit.catalogs.known import READ_SECONDS, CatalogList, CatalogRegistry, ListedCatalog
from servicekit.errors import Unavailable
from servicekit.rpc.channel import borrowing
from servicekit.rpc.loans import Loan, Use, Withdrawn
from servicekit.rpc.messages import UnknownMember, message_of, value_of
from servicekit.status import from_rpc_error
from sightline.common.v1 import catalog_list_service_pb2 as pb
from sightline.common.v1 import catalog_list_service_pb2_grpc as pb_grpc


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


class RemoteRegistry:
    """See CatalogRegistry in servicekit.catalogs.known: the registry of a retriever."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """Use a channel to the retriever, which the caller closes."""
        self._stub = pb_grpc.CatalogListServiceStub(channel)

    async def read(self, known_revision: str) -> CatalogList | None:
        request = pb.ReadCatalogListRequest(known_revision=known_revision)
        try:
            answer = await self._stub.ReadCatalogList(request, timeout=READ_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        if answer.not_modified:
            return None
        listed = list[ListedCatalog]()
        for each in answer.catalogs:
            with suppress(UnknownMember):  # a state that a later release adds permits no calls here
                listed.append(value_of(ListedCatalog, each))
        aliases = tuple((each.alias_id, each.catalog_id) for each in answer.aliases)
        return CatalogList(answer.revision, tuple(listed), aliases)


def list_message(found: CatalogList) -> pb.ReadCatalogListResponse:
    """Return the message of a list."""
    aliases = [{"alias_id": name, "catalog_id": of} for name, of in found.aliases]
    return message_of(pb.ReadCatalogListResponse, found, aliases=aliases)


def registry_of(target: str, channel: grpc.aio.Channel) -> CatalogRegistry:
    """Return the registry of the retriever of a target, to which the channel leads."""
    borrowed = borrowing(target)
    return RemoteRegistry(channel) if borrowed is None else LentRegistry(borrowed)


def _gone() -> Unavailable:
    return Unavailable("the retriever does not serve", reason="RETRIEVER_UNAVAILABLE")
