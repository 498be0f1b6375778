"""The audit log. The gateway has no store, so the services behind it store the entries."""

from collections.abc import Mapping

from gateway.admin import merged_lists
from gateway.admin.merged_lists import Entry
from gateway.clients.peer_calls import PeerCaller
from gateway.model.causes import Peer
from gateway.servicer.list_tokens import ListTokens
from gateway.servicer.passthrough import Connection
from servicekit import deadlines
from servicekit.errors import ServiceError
from servicekit.keyring import SigningKeys
from servicekit.requests import page_size
from sightline.common.v1 import audit_service_pb2 as pb
from sightline.common.v1 import audit_service_pb2_grpc

DEFAULT_PAGE, MOST_LISTED = 50, 1_000

OWNERS = (Peer.RETRIEVER, Peer.RANKER)
"""Owners of entries, in order of preference: the first one that accepts an entry stores it."""

EACH_SECONDS = 2.0
"""Timeout of each owner in seconds."""

Owner = tuple[PeerCaller, "audit_service_pb2_grpc.AuditServiceAsyncStub"]


class AuditLog:
    """Writer and reader of the audit log."""

    def __init__(self, connections: Mapping[Peer, Connection], keys: SigningKeys) -> None:
        """`keys` sign page tokens."""
        self._tokens = ListTokens("ListAuditEntries", keys)
        self._owners: dict[str, Owner] = {}
        for peer in OWNERS:
            channel, caller = connections[peer]
            self._owners[peer.value] = caller, audit_service_pb2_grpc.AuditServiceStub(channel)

    async def append(self, entry: pb.AuditEntry) -> None:
        """Store an entry with the first owner that accepts it. Raise the last owner's ServiceError
        if none does."""
        request = pb.AppendAuditEntryRequest(
            catalog_id=entry.catalog_id, request_id=entry.request_id, entry=entry
        )
        refused: list[ServiceError] = []
        for caller, stub in self._owners.values():
            try:
                with deadlines.within(EACH_SECONDS):
                    await caller.call(stub.AppendAuditEntry, request)
            except ServiceError as error:
                refused.append(error)
            else:
                return
        raise refused[-1]

    async def entries(self, request: pb.ListAuditEntriesRequest) -> pb.ListAuditEntriesResponse:
        """Return the entries of all owners, newest first; an owner that does not answer fails the
        call."""
        size = page_size(request.page_size, DEFAULT_PAGE, MOST_LISTED)
        found, token = await merged_lists.merged(
            {name: _lister(owner, request) for name, owner in self._owners.items()},
            about=("audit", request.catalog_id, request.caller),
            size=size,
            token=self._tokens.opened(request),
        )
        return pb.ListAuditEntriesResponse(
            entries=[entry.body for entry in found],
            next_page_token=self._tokens.sealed(request, token),
        )


def _lister(owner: Owner, asked: pb.ListAuditEntriesRequest) -> merged_lists.Fetch:
    caller, stub = owner

    async def fetch(token: str, size: int) -> tuple[list[Entry], str]:
        request = pb.ListAuditEntriesRequest()
        request.MergeFrom(asked)
        request.page_token, request.page_size = token, size
        answer = await caller.call(stub.ListAuditEntries, request)
        found = [Entry(each.entry_id, each.time.ToMicroseconds(), each) for each in answer.entries]
        return found, answer.next_page_token

    return fetch
