"""Spaces as messages."""

from embedder.domain.fitted import Evaluation, Figure, Verdict
from embedder.domain.manifest import Manifest, ServingState
from embedder.domain.models import VISUAL
from embedder.spaces.listing import Listed
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import space_pb2

_STATES = {
    ServingState.CANDIDATE: space_pb2.SPACE_STATE_CANDIDATE,
    ServingState.SERVING: space_pb2.SPACE_STATE_SERVING,
    ServingState.RETIRED: space_pb2.SPACE_STATE_RETIRED,
}
_VERDICTS = {
    Verdict.BETTER: space_pb2.SpaceEvaluation.VERDICT_BETTER,
    Verdict.INCONCLUSIVE: space_pb2.SpaceEvaluation.VERDICT_INCONCLUSIVE,
    Verdict.WORSE: space_pb2.SpaceEvaluation.VERDICT_WORSE,
}


def space(found: Manifest, standing: ServingState) -> pb.Space:
    """Return a fitted space as its manifest says it is; `ready` is the model's to say."""
    message = pb.Space(
        space=VISUAL,
        version=found.version,
        dimension=found.dimension,
        model=found.name,
        preprocessing=found.preprocessing,
        licence=found.licence,
        catalog_id=found.catalog_id,
        state=_STATES[standing],
        takes_texts=found.takes_texts,
        shopper_views=found.shopper_views,
        catalogue_views=found.catalogue_views,
        category_count=found.categories,
    )
    message.create_time.FromDatetime(found.create_time)
    judge(message, found)
    return message


def listed(each: Listed) -> pb.Space:
    """Return a space as its model says it is, and with what fitting it found."""
    state = each.state
    if state is None:
        if each.fitted is None:
            raise ValueError("neither a model nor a manifest describes the space")
        return space(each.fitted, each.standing)
    message = pb.Space(
        space=state.space,
        version=state.version,
        dimension=state.dimension,
        model=state.model,
        ready=state.ready,
        preprocessing=state.preprocessing,
        licence=state.licence,
        default_version=state.default,
        catalog_id=state.catalog,
        state=_STATES[each.standing],
        takes_texts=state.takes_texts,
        shopper_views=state.shopper_views,
        catalogue_views=state.catalogue_views,
        category_count=state.categories,
    )
    if each.fitted is not None:
        message.create_time.FromDatetime(each.fitted.create_time)
        judge(message, each.fitted)
    return message


def judge(message: pb.Space, found: Manifest) -> None:
    """Add what fitting a space found."""
    message.evaluation.CopyFrom(evaluation(found.evaluation))
    message.forced = found.forced


def evaluation(found: Evaluation) -> space_pb2.SpaceEvaluation:
    """Return what fitting a space found."""
    return space_pb2.SpaceEvaluation(
        verdict=_VERDICTS[found.verdict],
        text=found.text,
        figures=map(_figure, found.figures),
        baseline_model=found.baseline_model,
        photos=found.photos,
        products=found.products,
        categories=found.categories,
        seed=found.seed,
    )


def _figure(found: Figure) -> space_pb2.Figure:
    return space_pb2.Figure(
        name=found.name,
        value=found.value,
        low=found.low,
        high=found.high,
        baseline=found.baseline,
        gain_low=found.gain_low,
        gain_high=found.gain_high,
        queries=found.queries,
    )
