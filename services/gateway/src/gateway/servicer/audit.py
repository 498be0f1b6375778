"""The audit log. The gateway has no store, so the services behind it store the entries."""

from collections.abc import Mapping, Sequence

from gateway.admin import merged_lists
from gateway.admin.merged_lists import Entry
from gateway.clients.peer_calls import PeerCaller
from gateway.model.causes import Peer
from gateway.servicer.list_tokens import ListTokens
from gateway.servicer.passthrough import Connection
from servicekit import deadlines
from servicekit.errors import ServiceError
from servicekit.keys.keyring import SigningKeys
from servicekit.rpc.requests import RequestInvalid, page_size
from servicekit.telemetry import get_logger
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
        self._chain_tokens = ListTokens("ReadAuditChain", keys)
        self._owners: dict[str, Owner] = {}
        for peer in OWNERS:
            channel, caller = connections[peer]
            self._owners[peer.value] = caller, audit_service_pb2_grpc.AuditServiceStub(channel)

    async def append(self, entries: Sequence[pb.AuditEntry]) -> None:
        """Store entries with the first owner that accepts them, all or none. Raise the last owner's
        ServiceError if none does."""
        refused: list[ServiceError] = []
        for store, owner in self._owners.items():
            try:
                with deadlines.within(EACH_SECONDS):
                    _log_heads(store, await _append(owner, entries))
            except ServiceError as error:
                refused.append(error)
            else:
                return
        raise refused[-1]

    async def chain(self, request: pb.ReadAuditChainRequest) -> pb.ReadAuditChainResponse:
        """Return a page of a store's chain. Raises RequestInvalid for an unknown store."""
        caller, stub = self._owner(request.store)
        request.page_token = self._chain_tokens.opened(request)
        answer = await caller.call(stub.ReadAuditChain, request)
        answer.next_page_token = self._chain_tokens.sealed(request, answer.next_page_token)
        for entry in answer.entries:
            entry.store = request.store
        return answer

    async def drop(self, request: pb.DropAuditEntriesRequest) -> pb.DropAuditEntriesResponse:
        """Have a store drop the oldest entries. Raises RequestInvalid for an unknown store."""
        caller, stub = self._owner(request.store)
        return await caller.call(stub.DropAuditEntries, request)

    def _owner(self, store: str) -> Owner:
        if store not in self._owners:
            raise RequestInvalid.at("store", f"must be one of {', '.join(self._owners)}")
        return self._owners[store]

    async def entries(self, request: pb.ListAuditEntriesRequest) -> pb.ListAuditEntriesResponse:
        """Return the entries of all owners, newest first; an owner that does not answer fails the
        call."""
        size = page_size(request.page_size, DEFAULT_PAGE, MOST_LISTED)
        found, token = await merged_lists.merged(
            {name: _lister(name, owner, request) for name, owner in self._owners.items()},
            about=("audit", request.catalog_id, request.caller),
            size=size,
            token=self._tokens.opened(request),
        )
        return pb.ListAuditEntriesResponse(
            entries=[entry.body for entry in found],
            next_page_token=self._tokens.sealed(request, token),
        )


async def _append(owner: Owner, entries: Sequence[pb.AuditEntry]) -> Sequence[pb.AuditEntry]:
    """Return the entries as the store has them."""
    caller, stub = owner
    request = pb.AppendAuditEntriesRequest(entries=entries)
    return (await caller.call(stub.AppendAuditEntries, request)).entries


def _log_heads(store: str, stored: Sequence[pb.AuditEntry]) -> None:
    """Log the end of each chain: a chain that was made anew later has other hashes."""
    for entry in {entry.catalog_id: entry for entry in stored}.values():
        head = f"{store}:{entry.number}:{entry.hash.hex()}"
        get_logger().info("audit chain", logger="audit", catalog=entry.catalog_id, head=head)


def _lister(name: str, owner: Owner, asked: pb.ListAuditEntriesRequest) -> merged_lists.Fetch:
    caller, stub = owner

    async def fetch(token: str, size: int) -> tuple[list[Entry], str]:
        request = pb.ListAuditEntriesRequest()
        request.MergeFrom(asked)
        request.page_token, request.page_size = token, size
        answer = await caller.call(stub.ListAuditEntries, request)
        for each in answer.entries:
            each.store = name
        found = [Entry(each.entry_id, each.time.ToMicroseconds(), each) for each in answer.entries]
        return found, answer.next_page_token

    return fetch
