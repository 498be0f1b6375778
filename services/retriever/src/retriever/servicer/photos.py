"""PhotoService on gRPC: translate, call the use case, translate back."""

from collections.abc import Collection
from dataclasses import dataclass

from retriever.catalog import takedowns
from retriever.domain.product import Takedown
from retriever.ports.catalog import TakedownRecord
from retriever.ports.photos import Photos
from servicekit.rpc.requests import enter, timestamp
from servicekit.rpc.server import Context
from sightline.retriever.v1 import photo_service_pb2 as pb


@dataclass(frozen=True)
class PhotoServicer:
    """Servicer of photo_service.proto."""

    catalogs: Collection[str]
    record: TakedownRecord
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


def _takedown(value: Takedown) -> pb.Takedown:
    return pb.Takedown(
        image_id=value.image_id, reason=value.reason, create_time=timestamp(value.create_time)
    )
