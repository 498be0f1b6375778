"""Servicer of sightline.embedder.v1.EmbeddingService."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from embedder.domain.errors import ItemEmpty
from embedder.domain.heat import Heat
from embedder.domain.items import CategoryGuess, Embedding, Item, ItemOutcome
from embedder.domain.objects import MOST_OBJECTS
from embedder.domain.photos import Box, Camera
from embedder.domain.urgency import asking
from embedder.embedding import overlay
from embedder.embedding.compare import PhotoComparer
from embedder.embedding.embed import ItemEmbedder
from embedder.embedding.fetched import photo_of
from embedder.embedding.find_faces import FaceFinder
from embedder.embedding.patch_features import PatchFeatures
from embedder.embedding.read_labels import LabelReader
from embedder.embedding.regions import RegionCall, RegionEmbedder
from embedder.servicer import messages
from embedder.spaces.listing import SpaceListing
from servicekit import deadlines, tracing
from servicekit.errors import ServiceError
from servicekit.rpc.messages import timings
from servicekit.rpc.requests import RequestInvalid, enter
from servicekit.status import to_status
from servicekit.telemetry import Stages
from sightline.common.v1 import photo_pb2, vector_pb2
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import embedding_service_pb2_grpc
from sightline_core import opaque_messages

RESERVE = 0.02
"""Seconds of the caller's deadline reserved for the answer with finished items."""

GUESSES = 5
"""Default number of returned categories."""
MOST_GUESSES = 20
REGIONS = 100
"""Default number of embedded regions."""
MOST_WITH_VECTORS = 1000
"""Maximum number of categories beside a photo's vector."""


class EmbeddingServicer(embedding_service_pb2_grpc.EmbeddingServiceServicer):
    """Implementation of EmbeddingService."""

    def __init__(
        self,
        embedder: ItemEmbedder,
        comparison: PhotoComparer,
        listing: SpaceListing,
        catalogs: Collection[str],
        *,
        faces: FaceFinder,
        labels: LabelReader,
        regions: RegionEmbedder,
        patches: PatchFeatures,
    ) -> None:
        self._embedder = embedder
        self._comparison = comparison
        self._faces, self._labels, self._regions = faces, labels, regions
        self._patches = patches
        self._listing = listing
        self.catalogs = catalogs

    async def BatchEmbed(
        self, request: pb.BatchEmbedRequest, _context: Any
    ) -> pb.BatchEmbedResponse:
        """Embed a batch; each item has its own status."""
        stages = Stages()
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        tracing.note("sightline.items", len(request.items))
        items = [_item(item, _guesses(item, place)) for place, item in enumerate(request.items)]
        outcomes = await self.embedded(items, catalog, request.priority, stages)
        return pb.BatchEmbedResponse(
            results=map(_result, outcomes),
            stage_timings=timings(stages.finished),
            decoding_time=messages.duration(stages.decoding_seconds),
        )

    async def embedded(
        self, items: Sequence[Item], catalog: str, priority: int, stages: Stages
    ) -> Sequence[ItemOutcome]:
        """Return one outcome for each item, in order, before the call's deadline. `priority`: its
        number in the contract."""
        urgent, seconds = messages.priority(priority), deadlines.budget(RESERVE)
        return await self._embedder.embed(items, catalog, urgent, stages, seconds)

    async def Classify(self, request: pb.ClassifyRequest, _context: Any) -> pb.ClassifyResponse:
        """Classify photos; each item has its own status."""
        stages = Stages()
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        guesses = _top_k(request.top_k)
        outcomes = await self._embedder.classify(
            [_item(item, guesses) for item in request.items],
            catalog,
            messages.priority(request.priority),
            stages,
            deadlines.budget(RESERVE),
        )
        return pb.ClassifyResponse(
            results=map(_classified, outcomes),
            **messages.measured(stages),
        )

    async def ComparePhotos(
        self, request: pb.ComparePhotosRequest, _context: Any
    ) -> pb.ComparePhotosResponse:
        """Compare two photos, position by position."""
        stages = Stages()
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        first, second = (_item(each, 0) for each in (request.first, request.second))
        with asking(messages.priority(request.priority)):
            found = await self._comparison.compare(
                first, second, catalog, stages, region=request.first_is_region
            )
        return pb.ComparePhotosResponse(
            similarity=found.similarity,
            space_version=found.version,
            first=_grid(found.first.heat),
            second=_grid(found.second.heat),
            png=await asyncio.to_thread(overlay.png, (found.first, found.second)),
            **messages.measured(stages),
        )

    async def FindFaces(self, request: pb.FindFacesRequest, _context: Any) -> pb.FindFacesResponse:
        """Find the faces in a photo."""
        stages = Stages()
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        found = await self._faces.find(
            request.image, catalog, messages.priority(request.priority), stages
        )
        return pb.FindFacesResponse(
            faces=[messages.message_of(pb.Face, face) for face in found],
            **messages.measured(stages),
        )

    async def ReadLabels(
        self, request: pb.ReadLabelsRequest, _context: Any
    ) -> pb.ReadLabelsResponse:
        """Read the texts in a photo."""
        stages = Stages()
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        camera = _CAMERAS.get(request.photo_kind, Camera.SHOPPER)
        priority = messages.priority(request.priority)
        given = request.image if request.image or not request.image_uri else None
        async with photo_of(given, request.image_uri, self._embedder.fetch, stages) as photo:
            label = await self._labels.read(photo, camera, catalog, priority, stages)
        return pb.ReadLabelsResponse(
            lines=[messages.message_of(photo_pb2.LabelLine, line) for line in label.lines],
            unsure_line_count=label.unsure,
            **messages.measured(stages),
        )

    async def DescribePatches(
        self, request: pb.DescribePatchesRequest, _context: Any
    ) -> pb.DescribePatchesResponse:
        """Describe the patches of a photo, or of prepared ones."""
        stages = Stages()
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        kind, priority = request.WhichOneof("photo"), messages.priority(request.priority)
        if kind is None:
            raise ItemEmpty
        if kind == "pixels":
            photos, given = await self._patches.prepared(request.pixels, priority), None
        else:
            camera = _CAMERAS.get(request.photo_kind, Camera.SHOPPER)
            photo = request.image if kind == "image" else None
            async with photo_of(photo, request.image_uri, self._embedder.fetch, stages) as file:
                given = await self._patches.see(file, camera, catalog, priority, stages)
            photos = given.pixels[:1]
        answer = pb.DescribePatchesResponse()
        if given is not None:
            answer.pixels, answer.aspect_ratio = photos.tobytes(), given.ratio
        if not request.pixels_only:
            found = await self._patches.compute(photos, catalog, priority, stages)
            _, answer.height, answer.width, answer.dimension = found.patches.shape
            answer.patches, answer.model = found.patches.astype("<f4").tobytes(), found.model
            answer.heads = found.heads.astype("<f4").tobytes()
        answer.MergeFrom(pb.DescribePatchesResponse(**messages.measured(stages)))
        return answer

    async def EmbedRegions(
        self, request: pb.EmbedRegionsRequest, _context: Any
    ) -> pb.EmbedRegionsResponse:
        """Embed the objects in a photo, or given parts of it."""
        stages = Stages()
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        kind = request.WhichOneof("photo")
        item = Item(
            photo=request.image if kind == "image" else None,
            uri=request.image_uri if kind == "image_uri" else None,
            version=request.space_version,
            camera=_CAMERAS.get(request.photo_kind, Camera.SHOPPER),
        )
        call = RegionCall(
            catalog, messages.priority(request.priority), stages, vectors=not request.boxes_only
        )
        boxes, most = [box_of(box) for box in request.boxes], _most(request.max_regions)
        found = await self._regions.embed(item, boxes, most, call)
        return pb.EmbedRegionsResponse(
            regions=[
                pb.PhotoRegion(box=messages.box(each.box), objectness=each.score)
                for each in found.regions
            ],
            space_version=found.version,
            dimension=found.vectors.shape[1],
            vectors=found.vectors.astype("<f4").tobytes(),
            truncated=found.truncated,
            small_objects=found.small,
            embedded_views=found.views,
            **messages.measured(stages),
        )

    async def ListSpaces(
        self, request: pb.ListSpacesRequest, _context: Any
    ) -> pb.ListSpacesResponse:
        """List the spaces with their current states."""
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        listed = await self._listing.listed(
            catalog, deadlines.budget(RESERVE), include_all=request.include_all
        )
        response = pb.ListSpacesResponse(spaces=map(messages.listed, listed))
        if request.include_categories:
            for space, each in zip(response.spaces, listed, strict=True):
                if each.state is not None:
                    for path in await self._embedder.categories(each.state):
                        space.categories.add(levels=path)
        return response


def _top_k(given: int) -> int:
    if not 0 <= given <= MOST_GUESSES:
        wanted = f"must be 1 to {MOST_GUESSES}, or 0 for {GUESSES}"
        raise RequestInvalid.at("top_k", wanted)
    return given or GUESSES


def _most(given: int) -> int:
    if not 0 <= given <= MOST_OBJECTS:
        raise RequestInvalid.at("max_regions", f"must be 1 to {MOST_OBJECTS}, or 0 for {REGIONS}")
    return given or REGIONS


def _guesses(item: pb.EmbedItem, place: int) -> int:
    """Return the number of categories to name; 0: the photo is not classified."""
    if not 0 <= item.category_count <= MOST_WITH_VECTORS:
        wanted = f"must be 1 to {MOST_WITH_VECTORS}, or 0 for {GUESSES}"
        raise RequestInvalid.at(f"items[{place}].category_count", wanted)
    return (item.category_count or GUESSES) if item.classify else 0


def _item(item: pb.EmbedItem, guesses: int) -> Item:
    kind = item.WhichOneof("content")
    return Item(
        photo=item.image if kind == "image" else None,
        uri=item.image_uri if kind == "image_uri" else None,
        text=item.text if kind == "text" else None,
        space=item.space,
        version=item.space_version,
        camera=_CAMERAS.get(item.photo_kind, Camera.SHOPPER),
        views=item.views,
        box=box_of(item.box) if item.HasField("box") else None,
        query_language=item.query_language if item.HasField("query_language") else None,
        guesses=guesses,
    )


_CAMERAS = {photo_pb2.PHOTO_KIND_CATALOGUE: Camera.CATALOGUE}


def box_of(box: opaque_messages.Box) -> Box:
    """Return the rectangle of a message."""
    return Box(box.left, box.top, box.right, box.bottom)


def _result(outcome: ItemOutcome) -> pb.EmbedResult:
    if isinstance(outcome, ServiceError):
        return pb.EmbedResult(status=to_status(outcome))
    result = pb.EmbedResult()
    result.status.SetInParent()
    result.vector.CopyFrom(vector_of(outcome))
    result.match_cosines.extend(outcome.match_cosines)
    if (seen := classification_of(outcome)) is not None:
        result.classification.CopyFrom(seen)
    return result


def vector_of(outcome: Embedding) -> vector_pb2.Vector:
    """Return the message of an item's vector."""
    return vector_pb2.Vector(
        space=outcome.space,
        space_version=outcome.version,
        dimension=len(outcome.values),
        data=outcome.values.astype("<f4").tobytes(),
    )


def _classified(outcome: ItemOutcome) -> pb.ClassifyResult:
    if isinstance(outcome, ServiceError):
        return pb.ClassifyResult(status=to_status(outcome))
    embedded = _result(outcome)
    return pb.ClassifyResult(status=embedded.status, classification=embedded.classification)


def _grid(heat: Heat) -> pb.SimilarityGrid:
    views, height, width = heat.grid.shape
    return pb.SimilarityGrid(
        views=views,
        height=height,
        width=width,
        values=heat.grid.astype("<f4").tobytes(),
        rest=heat.rest,
    )


def classification_of(outcome: Embedding) -> photo_pb2.Classification | None:
    """Return the message of a photo's categories, if it has some."""
    if (found := outcome.classification) is None:
        return None
    return photo_pb2.Classification(
        guesses=map(_guess, found.guesses),
        unknown_probability=found.unknown_probability,
        unknown=found.unknown,
        sure=None if found.sure is None else _guess(found.sure),
        space_version=found.version,
    )


def _guess(guess: CategoryGuess) -> photo_pb2.CategoryGuess:
    return photo_pb2.CategoryGuess(category_path=guess.path, probability=guess.probability)
