"""Spaces as messages."""

from dataclasses import asdict

from embedder.domain.manifest import ServingState, SpaceManifest
from embedder.domain.models import VISUAL
from embedder.domain.recipes import words
from embedder.spaces.listing import ListedSpace
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import space_pb2


def space(found: SpaceManifest, standing: ServingState) -> pb.Space:
    """Return the message of a fitted space from its manifest. `ready` is not set: the model
    determines it."""
    message = pb.Space(
        space=VISUAL,
        version=found.version,
        dimension=found.dimension,
        model=found.name,
        preprocessing=found.preprocessing,
        licence=found.licence,
        catalog_id=found.catalog_id,
        state=_state(standing),
        takes_texts=found.takes_texts,
        shopper_views=found.shopper_views,
        catalogue_views=found.catalogue_views,
        category_count=found.categories,
    )
    return _judged(message, found)


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
        state=_state(each.standing),
        takes_texts=state.takes_texts,
        shopper_views=1,
        catalogue_views=1,
    )
    if (known := state.known) is not None:
        message.dimension, message.licence = known.dimension, known.licence
        message.preprocessing, message.catalog_id = words(known.recipe), known.catalog
        message.shopper_views, message.catalogue_views = known.shopper_views, known.catalog_views
        message.category_count = known.categories
    return message if each.fitted is None else _judged(message, each.fitted)


def _judged(message: pb.Space, found: SpaceManifest) -> pb.Space:
    """Add the evaluation of a fit; its fields have the same names in the message."""
    fields = asdict(found.evaluation) | {"verdict": f"VERDICT_{found.evaluation.verdict}"}
    message.evaluation.CopyFrom(space_pb2.SpaceEvaluation(**fields))
    message.create_time.FromDatetime(found.create_time)
    message.forced = found.forced
    message.shopper_photo_tags.extend(found.shopper_photo_tags)
    return message


def _state(standing: ServingState) -> "space_pb2.SpaceState.ValueType":
    return space_pb2.SpaceState.Value(f"SPACE_STATE_{standing.name}")
