"""The registry of catalogs on the wire: a reader of CatalogListService, and its messages."""

import grpc

from servicekit.catalogs.known import READ_SECONDS, CatalogList, CatalogState, ListedCatalog
from servicekit.status import from_rpc_error
from sightline.common.v1 import catalog_list_service_pb2 as pb
from sightline.common.v1 import catalog_list_service_pb2_grpc as pb_grpc

_PREFIX = "CATALOG_STATE_"


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
        # States that a later release adds permit no calls here.
        known = [each for each in answer.catalogs if state_of(each) is not None]
        aliases = tuple((each.alias_id, each.catalog_id) for each in answer.aliases)
        return CatalogList(answer.revision, tuple(map(_listed, known)), aliases)


def list_message(found: CatalogList) -> pb.ReadCatalogListResponse:
    """Return the message of a list."""
    return pb.ReadCatalogListResponse(
        revision=found.revision,
        catalogs=[
            pb.ListedCatalog(
                catalog_id=each.catalog_id,
                uid=each.uid,
                state=state_message(each.state),
                language_code=each.language_code,
                quota_share=each.quota_share,
                scenes_revision=each.scenes_revision,
            )
            for each in found.catalogs
        ],
        aliases=[pb.ListedAlias(alias_id=name, catalog_id=of) for name, of in found.aliases],
    )


def state_message(state: CatalogState) -> pb.CatalogState.ValueType:
    """Return the state on the wire."""
    return pb.CatalogState.Value(f"{_PREFIX}{state.upper()}")


def state_of(message: pb.ListedCatalog) -> CatalogState | None:
    """Return the state of a message; None: this release does not know it."""
    try:
        return CatalogState(pb.CatalogState.Name(message.state).removeprefix(_PREFIX).lower())
    except ValueError:
        return None


def _listed(message: pb.ListedCatalog) -> ListedCatalog:
    state = state_of(message)
    assert state is not None  # noqa: S101 - checked before
    return ListedCatalog(
        message.catalog_id,
        message.uid,
        state,
        message.language_code,
        message.quota_share,
        message.scenes_revision,
    )
