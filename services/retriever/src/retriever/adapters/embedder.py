"""The embedder's client. It translates messages and makes no decisions."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import contextmanager

import grpc
from google.rpc import status_pb2

from retriever.domain.category_mismatch import CategoryGuess, CategoryPath, Classification
from retriever.domain.embedding import EmbeddingSpace
from retriever.domain.errors import (
    EmbedderUnavailable,
    ImageRejected,
    VersionMismatch,
)
from retriever.domain.fit_plan import FitPhoto, FitPlan, FitProgress
from retriever.domain.vectors import GivenVector
from servicekit.admission.access import PeerName
from servicekit.errors import Internal, InvalidArgument, ServiceError
from servicekit.rpc.channel import connect, idempotent
from servicekit.rpc.owned import idempotent_of
from servicekit.rpc.peers import NO_CREDENTIALS, PeerCredentials
from servicekit.status import from_rpc_error, from_status
from sightline.common.v1 import photo_pb2, vector_pb2
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import embedding_service_pb2_grpc as pb_grpc
from sightline.embedder.v1 import space_pb2, space_service_pb2, space_service_pb2_grpc
from sightline.gateway.v1.admin_service_pb2_grpc import AdminServiceStub

_GONE = frozenset(
    {
        "UNAVAILABLE",
        "DEADLINE_EXCEEDED",
        "EMBEDDER_UNAVAILABLE",
        "EMBED_QUEUE_FULL",
        "FIT_IN_PROGRESS",
        "MODEL_NOT_READY",
        "PEER_FORBIDDEN",
        "PEER_UNKNOWN",
        "SPACE_UNAVAILABLE",
    }
)
"""Error reasons that are not about the photos."""
FIT_WINDOW = 8
"""Photos that the embedder answers together; see SpaceService.FitSpace."""
_NOT_SERVED = "SPACE_VERSION_UNAVAILABLE"


class EmbedderClient:
    """See Embedder in ports/embedder.py."""

    def __init__(
        self, target: str, peers: PeerCredentials = NO_CREDENTIALS, *, seconds: float = 60.0
    ) -> None:
        """Prepare a channel of the worker, which connects on first use. `seconds`: timeout of calls
        except fits."""
        configs = (*idempotent(pb), *idempotent_of(PeerName.EMBEDDER))
        self._channel = connect(target, peers=peers, service_configs=configs, patient=True)
        self._stub = pb_grpc.EmbeddingServiceStub(self._channel)
        self._admin = AdminServiceStub(self._channel)
        # Fits have no deadline: pings alone notice an embedder that hangs.
        self._fits = connect(target, peers=peers, service_configs=configs)
        self._spaces = space_service_pb2_grpc.SpaceServiceStub(self._fits)
        self._seconds = seconds

    async def close(self) -> None:
        """Drop the connections."""
        await self._channel.close(None)
        await self._fits.close(None)

    async def spaces(self, catalog_id: str) -> list[EmbeddingSpace]:
        """See Embedder. A version whose model has not answered yet is not offered."""
        request = pb.ListSpacesRequest(catalog_id=catalog_id)
        with translated():
            answer = await self._admin.ListSpaces(request, timeout=self._seconds)
        first = {found.space: found for found in reversed(answer.spaces)}
        # An embedder of one version a space says of none that it is the default one.
        by_default = first | {
            found.space: found for found in answer.spaces if found.default_version
        }
        return [
            EmbeddingSpace(
                found.space,
                found.version,
                found.dimension,
                found.ready,
                default=found is by_default[found.space],
                categories=found.category_count,
                fitted=bool(found.catalog_id),
                shopper_photo_tags=frozenset(found.shopper_photo_tags),
            )
            for found in answer.spaces
            if found.version
        ]

    async def categories(
        self, catalog_id: str, space: str, version: str
    ) -> frozenset[CategoryPath]:
        request = pb.ListSpacesRequest(catalog_id=catalog_id, include_categories=True)
        with translated():
            answer = await self._admin.ListSpaces(request, timeout=self._seconds)
        return frozenset(
            tuple(path.levels)
            for found in answer.spaces
            if (found.space, found.version) == (space, version)
            for path in found.categories
        )

    async def embed(
        self,
        catalog_id: str,
        space: str,
        version: str,
        items: Sequence[bytes | str],
        *,
        classify: bool = False,
        shoppers: Collection[int] = (),
    ) -> list[GivenVector | ServiceError]:
        request = pb.BatchEmbedRequest(
            catalog_id=catalog_id,
            items=[
                _item(item, space, version, classify, _KINDS[place in shoppers])
                for place, item in enumerate(items)
            ],
            priority=vector_pb2.PRIORITY_BULK,
        )
        with translated():
            answer = await self._stub.BatchEmbed(request, timeout=self._seconds)
        if len(answer.results) != len(items):
            raise Internal("the embedder answered other items", reason="EMBEDDER_ANSWER_INVALID")
        return [_result(result, version) for result in answer.results]

    async def label_text(self, catalog_id: str, photo: bytes) -> str:
        request = pb.ReadLabelsRequest(
            catalog_id=catalog_id,
            image=photo,
            photo_kind=photo_pb2.PHOTO_KIND_CATALOGUE,
            priority=vector_pb2.PRIORITY_BULK,
        )
        try:
            with translated():
                answer = await self._stub.ReadLabels(request, timeout=self._seconds)
        except InvalidArgument as error:
            raise ImageRejected(error.reason, error.message) from error
        return "\n".join(line.text for line in answer.lines)

    async def fit(
        self, catalog_id: str, plan: FitPlan, total: int, photos: AsyncIterator[FitPhoto]
    ) -> AsyncIterator[FitProgress]:
        unread: list[ServiceError] = []
        answered, ended = asyncio.Event(), asyncio.Event()

        async def in_turn() -> AsyncIterator[FitPhoto]:
            """Send a few photos after each answer: a sender learns of a broken stream, but not of
            its cause, if it writes when the peer fails."""
            try:
                sent = 0
                async for photo in photos:
                    if sent % FIT_WINDOW == 0:
                        await answered.wait()
                        answered.clear()
                    if ended.is_set():
                        return
                    sent += 1
                    yield photo
            except ServiceError as error:
                # Left to itself, gRPC would take it for a wish to cancel the call.
                unread.append(error)
                call.cancel()

        call = self._spaces.FitSpace(_fit_requests(catalog_id, plan, total, in_turn()))
        try:
            with translated():
                async for answer in call:
                    answered.set()
                    yield _fit_progress(answer)
        except asyncio.CancelledError:
            if unread:
                raise unread[0] from None
            raise
        finally:
            ended.set()
            answered.set()
            call.cancel()


async def _fit_requests(
    catalog_id: str, plan: FitPlan, total: int, photos: AsyncIterator[FitPhoto]
) -> AsyncIterator[space_service_pb2.FitSpaceRequest]:
    yield space_service_pb2.FitSpaceRequest(
        settings=space_service_pb2.FitSettings(
            catalog_id=catalog_id,
            backbone=plan.backbone,
            max_dimension=plan.max_dimension,
            seed=plan.seed,
            photos=total,
            shopper_photo_tags=plan.shopper_photo_tags,
        )
    )
    async for photo in photos:
        yield space_service_pb2.FitSpaceRequest(
            photo=space_service_pb2.FitPhoto(
                image=photo.data,
                product_id=photo.label.family,
                title=photo.label.title,
                category_path=photo.label.category_path,
                kind=_KINDS[photo.shopper],
                duplicate_group=photo.group,
            )
        )


def _fit_progress(answer: space_service_pb2.FitSpaceResponse) -> FitProgress:
    if not answer.HasField("space"):
        return FitProgress(answer.done, answer.skipped)
    found = answer.space
    verdict = space_pb2.SpaceEvaluation.Verdict.Name(found.evaluation.verdict)
    return FitProgress(
        answer.done,
        answer.skipped,
        version=found.version,
        model=found.model,
        verdict=verdict.removeprefix("VERDICT_"),
    )


_KINDS = {False: photo_pb2.PHOTO_KIND_CATALOGUE, True: photo_pb2.PHOTO_KIND_SHOPPER}
"""By whether a shopper took a photo."""


def _item(
    item: bytes | str,
    space: str,
    version: str,
    classify: bool,
    kind: photo_pb2.PhotoKind.ValueType,
) -> pb.EmbedItem:
    if isinstance(item, str):
        return pb.EmbedItem(text=item, space=space, space_version=version)
    return pb.EmbedItem(
        image=item,
        space=space,
        space_version=version,
        photo_kind=kind,
        classify=classify,
    )


@contextmanager
def translated() -> Iterator[None]:
    """Return the error that a failed call stands for."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        meaning = from_rpc_error(error)
        raise (EmbedderUnavailable() if meaning.reason in _GONE else meaning) from error


def _result(result: pb.EmbedResult, version: str) -> GivenVector | ServiceError:
    status: status_pb2.Status = result.status
    if status.code:
        error = from_status(status)
        if error.reason == _NOT_SERVED:
            return VersionMismatch("", version)
        return EmbedderUnavailable() if error.reason in _GONE else error
    vector = result.vector
    classification = (
        _classification(result.classification) if result.HasField("classification") else None
    )
    return GivenVector(
        vector.space, vector.space_version, vector.dimension, vector.data, classification
    )


def _classification(message: photo_pb2.Classification) -> Classification:
    guesses = (CategoryGuess(tuple(g.category_path), g.probability) for g in message.guesses)
    return Classification(tuple(guesses), message.unknown_probability)
