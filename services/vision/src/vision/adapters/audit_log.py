"""The audit log of the retriever, which has the entries of alerts."""

from collections.abc import Mapping, Sequence
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from servicekit.errors import Code
from sightline.common.v1 import audit_service_pb2, audit_service_pb2_grpc
from vision.adapters.peer_calls import of_retriever


class AuditLog:
    """The audit log of the retriever."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """Use a channel to the retriever, which the caller closes."""
        self._stub = audit_service_pb2_grpc.AuditServiceStub(channel)

    async def append(self, notes: Sequence[Mapping[str, Any]]) -> None:
        """Store up to 1,000 entries of alerts; those that are stored already are left as they are.
        Raises RetrieverUnavailable."""
        entries = []
        for note in notes:
            entry = audit_service_pb2.AuditEntry(
                entry_id=note["id"],
                caller=note["caller"],
                method=note["method"],
                catalog_id=note["catalog_id"],
                code=Code.OK.value,
                request_id=note["request_id"],
            )
            time = Timestamp()
            time.FromMicroseconds(note["time"])
            entry.time.CopyFrom(time)
            entries.append(entry)
        request = audit_service_pb2.AppendAuditEntriesRequest(entries=entries)
        await of_retriever(self._stub.AppendAuditEntries, request)
