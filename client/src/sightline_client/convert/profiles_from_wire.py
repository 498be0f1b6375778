"""Messages of profiles into plain values."""

from datetime import UTC

from sightline.ranker.v1 import profile_service_pb2 as pb
from sightline_client.convert import from_wire
from sightline_client.values import profiles

_KINDS = {
    pb.Affinity.Kind.Value(f"KIND_{kind}"): kind
    for kind in profiles.AffinityKind
    if kind is not profiles.AffinityKind.UNKNOWN
}


def shopper(message: pb.ShopperProfile) -> profiles.ShopperProfile:
    """What is known of a shopper."""
    return profiles.ShopperProfile(
        attributes={one.key: one.text for one in message.attributes},
        affinities=tuple(map(_affinity, message.affinities)),
        disliked_product_ids=tuple(message.disliked_product_ids),
        activity=_activity(message.activity) if message.HasField("activity") else None,
        segment=_segment(message.segment) if message.HasField("segment") else None,
        robot=message.robot,
        event_count=message.event_count,
        model_version=message.model_version,
    )


def product(message: pb.ProductProfile) -> profiles.ProductProfile:
    """What is known of a product."""
    band = message.price_band
    return profiles.ProductProfile(
        product_id=message.product_id,
        category=message.category_path,
        brand=message.brand,
        price_band=(from_wire.money(band.least), from_wire.money(band.below))
        if message.HasField("price_band")
        else None,
        tags=tuple(message.tags),
        attributes=tuple((one.key, one.text) for one in message.attributes),
        popularity=message.popularity,
        trend=message.trend if message.HasField("trend") else None,
        style=tuple(message.style),
        style_space_version=message.style_space_version,
        similar_style_product_ids=tuple(message.similar_style_product_ids),
        texts=tuple(message.texts),
        model_version=message.model_version,
    )


def segments(message: pb.ListSegmentsResponse) -> profiles.Segments:
    """The groups that a model knows."""
    return profiles.Segments(
        segments=tuple(map(_segment, message.segments)),
        silhouette=message.silhouette,
        model_version=message.model_version,
    )


def _affinity(message: pb.Affinity) -> profiles.Affinity:
    return profiles.Affinity(
        kind=_KINDS.get(message.kind, profiles.AffinityKind.UNKNOWN),
        key=message.key,
        value=message.value,
        strength=message.strength,
        share=message.share,
        usual_share=message.usual_share,
        event_count=message.event_count,
        product_ids=tuple(message.product_ids),
        text=message.text,
    )


def _activity(message: pb.Activity) -> profiles.Activity:
    return profiles.Activity(
        first_event_time=message.first_event_time.ToDatetime(UTC),
        last_event_time=message.last_event_time.ToDatetime(UTC),
        days_since_last_event=message.days_since_last_event,
        visit_count=message.visit_count,
        visits_a_week=message.visits_a_week,
        purchase_count=message.purchase_count,
        text=message.text,
    )


def _segment(message: pb.Segment) -> profiles.Segment:
    return profiles.Segment(
        segment_id=message.segment_id,
        affinities=tuple(map(_affinity, message.affinities)),
        share=message.share,
        text=message.text,
    )
