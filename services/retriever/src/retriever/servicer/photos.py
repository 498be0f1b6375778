"""PhotoService on gRPC: translate, call the use case, translate back."""

from collections.abc import Collection
from dataclasses import dataclass

from retriever.catalog import takedowns
from retriever.domain.product import Takedown
from retriever.ports.photos import Photos
from retriever.record import Record
from retriever.servicer.messages import message_of
from servicekit.rpc.requests import enter
from servicekit.rpc.server import Context
from sightline.retriever.v1 import photo_service_pb2 as pb


@dataclass(frozen=True)
class PhotoServicer:
    """Servicer of photo_service.proto."""

    catalogs: Collection[str]
    record: Record
    photos: Photos

    async def TakeDownPhoto(
        self, request: pb.TakeDownPhotoRequest, context: Context
    ) -> pb.TakeDownPhotoResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        taken, product_ids = await takedowns.take_down(
            catalog, request.image_id, request.reason, self.record, self.photos
        )
        return pb.TakeDownPhotoResponse(takedown=_takedown(taken), product_ids=product_ids)

    async def LiftTakedown(
        self, request: pb.LiftTakedownRequest, context: Context
    ) -> pb.LiftTakedownResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        lifted = await takedowns.lift(catalog, request.image_id, self.record)
        return pb.LiftTakedownResponse(lifted=lifted)

    async def ListTakedowns(
        self, request: pb.ListTakedownsRequest, context: Context
    ) -> pb.ListTakedownsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        found, token = await takedowns.list_takedowns(
            catalog, self.record, size=request.page_size, token=request.page_token
        )
        return pb.ListTakedownsResponse(takedowns=map(_takedown, found), next_page_token=token)


_takedown = message_of.writer(pb.Takedown, Takedown)
