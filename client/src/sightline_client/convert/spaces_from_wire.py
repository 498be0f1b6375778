"""Messages of spaces as plain values."""

from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import space_pb2
from sightline_client.convert.wire_values import member, time
from sightline_client.values import spaces as values


def space(message: pb.Space) -> values.Space:
    """A version of a space."""
    fitted = message.HasField("evaluation")
    return values.Space(
        space=message.space,
        version=message.version,
        model=message.model,
        dimension=message.dimension,
        state=member(values.SpaceState, space_pb2.SpaceState, message.state, "SPACE_STATE_"),
        ready=message.ready,
        default=message.default_version,
        fitted=bool(message.catalog_id),
        forced=message.forced,
        takes_texts=message.takes_texts,
        categories=message.category_count,
        shopper_views=message.shopper_views,
        catalogue_views=message.catalogue_views,
        preprocessing=message.preprocessing,
        licence=message.licence,
        evaluation=_evaluation(message.evaluation) if fitted else None,
        create_time=time(message.create_time) if message.HasField("create_time") else None,
    )


def _evaluation(message: space_pb2.SpaceEvaluation) -> values.SpaceEvaluation:
    return values.SpaceEvaluation(
        verdict=member(
            values.SpaceVerdict, space_pb2.SpaceEvaluation.Verdict, message.verdict, "VERDICT_"
        ),
        text=message.text,
        figures=tuple(map(_figure, message.figures)),
        baseline_model=message.baseline_model,
        photos=message.photos,
        products=message.products,
        categories=message.categories,
        seed=message.seed,
    )


def _figure(message: space_pb2.Figure) -> values.SpaceFigure:
    compared = message.HasField("baseline")
    known = compared and message.HasField("gain_low") and message.HasField("gain_high")
    return values.SpaceFigure(
        name=message.name,
        value=message.value,
        low=message.low,
        high=message.high,
        baseline=message.baseline if compared else None,
        gain_low=message.gain_low if known else None,
        gain_high=message.gain_high if known else None,
        queries=message.queries,
    )
