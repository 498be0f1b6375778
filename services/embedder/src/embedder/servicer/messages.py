"""Spaces as messages."""

from typing import Any

from google.protobuf.duration_pb2 import Duration

from embedder.domain.items import Priority
from embedder.domain.manifest import ServingState, SpaceManifest
from embedder.domain.models import VISUAL
from embedder.domain.photos import Box
from embedder.domain.recipes import words
from embedder.spaces.listing import ListedSpace
from servicekit.rpc.messages import MessageWriter, timings
from servicekit.telemetry import Stages
from sightline.common.v1 import photo_pb2, vector_pb2
from sightline.embedder.v1 import embedding_service_pb2 as pb

message_of = MessageWriter(
    {
        "photo_count": "photos",
        "model": "name",
        "category_count": "categories",
    }
)
"""Converts values to messages; see MessageWriter."""


def space(found: SpaceManifest, standing: ServingState) -> pb.Space:
    """Return the message of a fitted space from its manifest. `ready` is not set: the model
    determines it."""
    return message_of(pb.Space, found, space=VISUAL, state=standing.name, categories=())


def listed(each: ListedSpace) -> pb.Space:
    """Return the message of a space from its model's state and, if fitted, its manifest."""
    state, fitted = each.state, each.fitted
    if state is None:
        if fitted is None:
            raise ValueError("neither a model nor a manifest describes the space")
        return space(fitted, each.standing)
    judged = {} if fitted is None else {name: getattr(fitted, name) for name in _JUDGED}
    described: dict[str, Any] = {"shopper_views": 1, "catalogue_views": 1}
    if (known := state.known) is not None:
        described = {
            "dimension": known.dimension,
            "licence": known.licence,
            "preprocessing": words(known.recipe),
            "catalog_id": known.catalog,
            "shopper_views": known.shopper_views,
            "catalogue_views": known.catalog_views,
            "category_count": known.categories,
        }
    standing, default = each.standing.name, state.default
    return message_of(
        pb.Space, state, state=standing, default_version=default, **described, **judged
    )


_JUDGED = ("evaluation", "create_time", "forced", "shopper_photo_tags")
"""What the manifest of a fit adds to its model's state."""


def box(value: Box) -> photo_pb2.Box:
    """Return the message of a rectangle."""
    return photo_pb2.Box(left=value.left, top=value.top, right=value.right, bottom=value.bottom)


def duration(seconds: float) -> Duration:
    """Return the message of a duration."""
    message = Duration()
    message.FromNanoseconds(int(seconds * 1e9))
    return message


def measured(stages: Stages) -> dict[str, Any]:
    """Return the fields of an answer with the time of its stages."""
    return {
        "stage_timings": timings(stages.finished),
        "decoding_time": duration(stages.decoding_seconds),
    }


def priority(value: int) -> Priority:
    """Return the priority of a request."""
    return Priority.BULK if value == vector_pb2.PRIORITY_BULK else Priority.INTERACTIVE
