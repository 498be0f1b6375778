"""Initial data of a run: valid products, events and, on request, a model that serves."""

from __future__ import annotations

import asyncio
import time

from google.protobuf.message import Message

from sightline.common.v1 import event_pb2, job_pb2, product_pb2
from sightline.common.v1.job_service_pb2 import GetJobRequest
from sightline.gateway.v1.catalog_service_pb2 import UpsertProductsRequest
from sightline.gateway.v1.recommendation_service_pb2 import QuerySignal, RecommendRequest
from sightline.gateway.v1.user_event_service_pb2 import WriteEventsRequest
from sightline.ranker.v1.model_service_pb2 import (
    ListModelsRequest,
    PromoteModelRequest,
    TrainModelRequest,
)
from sightline.vision.v1.inspection_service_pb2 import (
    AddReferencePhotosRequest,
    FitReferenceRequest,
    PromoteReferenceRequest,
)
from tests.fakes.pieces import piece
from tests.fuzz import conditions
from tests.fuzz.model import CATALOGS, FUZZ, Answer, Call
from tests.fuzz.surface import named
from tests.fuzz.wire import Sender

_TRAINING_SECONDS = 40.0
_FIT_SECONDS = 90.0
_PIECES = 16
"""Photos of a reference: as many as a call may have."""


async def open_shop(
    sender: Sender, photos: tuple[bytes, ...], *, train: bool
) -> list[tuple[str, Answer]]:
    """Write valid products and events, promote a reference and, with `train`, a model. Return the
    calls and their answers."""
    answers = []
    for catalog in CATALOGS:
        upsert = UpsertProductsRequest(catalog_id=catalog)
        for number, photo in enumerate(photos):
            upsert.products.append(_product(number, photo))
        answers.append(("UpsertProducts", await sent(sender, "UpsertProducts", upsert)))
    # Two models, the second of which can be rolled back: of the same events it would be the first.
    for first in (0, 300) if train else (0,):
        events = _events(range(first, first + 300), len(photos))
        answers.append(("WriteEvents", await sent(sender, "WriteEvents", events)))
        if train:
            answers += await _train(sender)
    answers += await _reference(sender)
    for catalog in CATALOGS:
        query = RecommendRequest(catalog_id=catalog, page_size=5)
        query.signals.append(QuerySignal(image=photos[0]))
        answers.append(("Recommend", await sent(sender, "Recommend", query)))
    return answers


async def _reference(sender: Sender) -> list[tuple[str, Answer]]:
    """Fit and promote a reference, with which photos are compared."""
    name = {"catalog_id": FUZZ, "reference_id": "bottle"}
    images = [piece(seed) for seed in range(_PIECES)]
    return [
        (call, await sent(sender, call, request))
        for call, request in (
            ("AddReferencePhotos", AddReferencePhotosRequest(**name, images=images)),
            ("FitReference", FitReferenceRequest(**name)),
            ("PromoteReference", PromoteReferenceRequest(**name)),
        )
    ]


def _events(numbers: range, products: int) -> WriteEventsRequest:
    events = WriteEventsRequest(catalog_id=FUZZ)
    for number in numbers:
        event = events.events.add(
            event_id=f"seed-{number}",
            type=event_pb2.EVENT_TYPE_VIEW,
            product_id=f"seed-{number * 7 % products}",
        )
        event.shopper.user_id = f"u-{number % 20}"
        event.event_time.FromSeconds(int(time.time()) - 3_600 + number)
    return events


async def _train(sender: Sender) -> list[tuple[str, Answer]]:
    """Train a model on few events; a catalog without a model is fuzzed too."""
    answer = await sent(sender, "TrainModel", TrainModelRequest(catalog_id=FUZZ))
    job, until = job_pb2.Job(), time.monotonic() + _TRAINING_SECONDS
    while answer.code == "OK" and time.monotonic() < until:
        job.ParseFromString(answer.responses[0])
        if job.state not in (job_pb2.Job.STATE_PENDING, job_pb2.Job.STATE_RUNNING):
            break
        await asyncio.sleep(0.5)
        request = GetJobRequest(catalog_id=FUZZ, job_id=job.job_id)
        answer = await sent(sender, "GetJob", request)
    for result in job.results:
        if result.name == "model_version":
            promote = PromoteModelRequest(catalog_id=FUZZ, model_version=result.value, force=True)
            await sent(sender, "PromoteModel", promote)
    models = await sent(sender, "ListModels", ListModelsRequest(catalog_id=FUZZ))
    return [("GetJob", answer), ("ListModels", models)]


async def sent(sender: Sender, name: str, request: Message) -> Answer:
    """Send a right request."""
    seconds = _FIT_SECONDS if name == "FitReference" else 20.0
    return await sender.send(Call(named(name).path, request.SerializeToString(), seconds))


def _product(number: int, photo: bytes) -> product_pb2.Product:
    return product_pb2.Product(
        product_id=f"seed-{number}",
        title=f"Thing {number}",
        category_path=conditions.LEVELS[: number % 4],
        brand=conditions.BRANDS[number % len(conditions.BRANDS)],
        tags=conditions.TAGS[: number % 3],
        price=conditions.money("EUR", conditions.AMOUNTS[number % len(conditions.AMOUNTS)]),
        images=[product_pb2.ProductImage(content=photo)],
    )
