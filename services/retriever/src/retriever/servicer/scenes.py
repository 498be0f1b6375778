"""Scenes of the record on gRPC: translate, call the use case, translate back."""

from collections.abc import Collection
from dataclasses import dataclass

from retriever.catalog.scene_documents import SceneDocuments
from retriever.domain.scenes import SceneDocument, ScenePublication, SceneText
from retriever.servicer.messages import message_of
from servicekit.admission import access
from servicekit.rpc.messages import value_of
from servicekit.rpc.requests import enter
from servicekit.rpc.server import Context
from sightline.gateway.v1 import admin_service_pb2 as pb


@dataclass(frozen=True)
class SceneServicer:
    """Servicer of the public calls about scenes of the record."""

    catalogs: Collection[str]
    documents: SceneDocuments

    async def ListSceneDocuments(
        self, request: pb.ListSceneDocumentsRequest, context: Context
    ) -> pb.ListSceneDocumentsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        found, steered_by = await self.documents.listed(catalog, texts=request.with_texts)
        listed = {"documents": map(_message, found), "steered_by": steered_by}
        return message_of(pb.ListSceneDocumentsResponse, listed)

    async def GetSceneDocument(
        self, request: pb.GetSceneDocumentRequest, context: Context
    ) -> pb.SceneDocument:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        return _message(await self.documents.get(catalog, request.scene))

    async def WriteSceneDraft(
        self, request: pb.WriteSceneDraftRequest, context: Context
    ) -> pb.SceneDocument:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        draft = SceneText.of(request.scene, request.toml, author_of(context), request.comment)
        return _message(await self.documents.write(catalog, draft, request.etag))

    async def PublishScene(
        self, request: pb.PublishSceneRequest, context: Context
    ) -> pb.SceneDocument:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        wanted = value_of(ScenePublication, request, author=author_of(context))
        return _message(await self.documents.publish(catalog, wanted))

    async def CancelPlannedScene(
        self, request: pb.CancelPlannedSceneRequest, context: Context
    ) -> pb.SceneDocument:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        return _message(await self.documents.cancel(catalog, request.scene, request.etag))

    async def DeleteSceneDocument(
        self, request: pb.DeleteSceneDocumentRequest, context: Context
    ) -> pb.DeleteSceneDocumentResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        deleted = await self.documents.delete(
            catalog, request.scene, draft_only=request.draft_only, etag=request.etag
        )
        return pb.DeleteSceneDocumentResponse(deleted=deleted)


_message = message_of.writer(pb.SceneDocument, SceneDocument)


def author_of(context: Context) -> str:
    """Return the name of the gateway's caller; empty if it is not authenticated."""
    name = access.caller_behind(dict(context.invocation_metadata() or ()))
    return "" if name in {access.ANYONE.name, access.PEER.name} else name
