"""Spaces as messages."""

from collections.abc import Sequence

from google.protobuf.duration_pb2 import Duration

from embedder.domain.items import Priority
from embedder.domain.manifest import ServingState, SpaceManifest
from embedder.domain.models import VISUAL
from embedder.domain.photos import Box
from embedder.domain.recipes import words
from embedder.spaces.listing import ListedSpace
from servicekit.rpc.messages import message_of
from servicekit.telemetry import Stage
from sightline.common.v1 import answer_pb2, photo_pb2, vector_pb2
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import space_pb2


def space(found: SpaceManifest, standing: ServingState) -> pb.Space:
    """Return the message of a fitted space from its manifest. `ready` is not set: the model
    determines it."""
    return message_of(
        pb.Space,
        found,
        space=VISUAL,
        model=found.name,
        state=standing,
        category_count=found.categories,
        categories=(),
    )


def listed(each: ListedSpace) -> pb.Space:
    """Return the message of a space from its model's state and, if fitted, its manifest."""
    state = each.state
    if state is None:
        if each.fitted is None:
            raise ValueError("neither a model nor a manifest describes the space")
        return space(each.fitted, each.standing)
    message = pb.Space(
        space=state.space,
        version=state.version,
        model=state.model,
        ready=state.ready,
        default_version=state.default,
        state=space_pb2.SpaceState.Value(f"SPACE_STATE_{each.standing.name}"),
        takes_texts=state.takes_texts,
        shopper_views=1,
        catalogue_views=1,
    )
    if (known := state.known) is not None:
        message.dimension, message.licence = known.dimension, known.licence
        message.preprocessing, message.catalog_id = words(known.recipe), known.catalog
        message.shopper_views, message.catalogue_views = known.shopper_views, known.catalog_views
        message.category_count = known.categories
    if (fitted := each.fitted) is not None:
        message.evaluation.CopyFrom(message_of(space_pb2.SpaceEvaluation, fitted.evaluation))
        message.create_time.FromDatetime(fitted.create_time)
        message.forced = fitted.forced
        message.shopper_photo_tags.extend(fitted.shopper_photo_tags)
    return message


def box(value: Box) -> photo_pb2.Box:
    """Return the message of a rectangle."""
    return photo_pb2.Box(left=value.left, top=value.top, right=value.right, bottom=value.bottom)


def duration(seconds: float) -> Duration:
    """Return the message of a duration."""
    message = Duration()
    message.FromNanoseconds(int(seconds * 1e9))
    return message


def timings(stages: Sequence[Stage]) -> list[answer_pb2.StageTiming]:
    """Return one timing per stage name, from its first start to its last end."""
    found = []
    for name in dict.fromkeys(stage.name for stage in stages):
        same = [stage for stage in stages if stage.name == name]
        start = min(stage.start for stage in same)
        end = max(stage.start + stage.duration for stage in same)
        timing = answer_pb2.StageTiming(stage=name)
        timing.start.FromNanoseconds(int(start * 1e9))
        timing.total.FromNanoseconds(int((end - start) * 1e9))
        found.append(timing)
    return found


def priority(value: int) -> Priority:
    """Return the priority of a request."""
    return Priority.BULK if value == vector_pb2.PRIORITY_BULK else Priority.INTERACTIVE
