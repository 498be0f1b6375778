"""Profiles of shoppers and products, with their evidence. NumPy only.

A profile is computed on request, from the shopper's current events and the serving model's data
about products. It is not stored.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranker.domain import features
from ranker.domain.arrays import Doubles, Floats, Ints
from ranker.domain.errors import ProductUnknown
from ranker.domain.events import DAY_MICROS, EventType, History
from ranker.domain.log import EventColumns, log_of
from ranker.domain.messages import money
from ranker.domain.messages import profile_pb as pb
from ranker.domain.model import Model, ProductFeatures, ShopperSegments
from ranker.domain.signals import Signals, interests, robots, sessions
from ranker.ports import HistoryReader
from ranker.serving.profiles.affinities import affinities, with_feature
from ranker.serving.profiles.texts import ProfileWords
from servicekit.rpc.requests import timestamp

LEAST_EVENTS, MOST_EVENTS = 1_000, 10_000
"""Bounds of the number of newest events that a profile reads: enough to classify a robot."""
MOST_OF_A_KIND = 5
MOST_PRODUCTS = 10
MOST_DISLIKED = 50
LEAST_STRENGTH = 0.05
"""Minimum strength of a described affinity."""
SEGMENT_FEATURES = 3
SIMILAR_STYLES = 5
NOTABLE_TREND = 0.5
"""Base-2 logarithm: 1.4 times as popular as before, or the inverse."""


async def read(catalog_id: str, actor: str, reader: HistoryReader, signals: Signals) -> History:
    """Read the history for a shopper's profile."""
    limit = min(max(LEAST_EVENTS, signals.robot_events_a_day + 1), MOST_EVENTS)
    return await reader.history(catalog_id, actor, limit=limit, with_seen=False)


def of_shopper(
    history: History, model: Model | None, signals: Signals, words: ProfileWords, now_micros: int
) -> pb.ShopperProfile:
    log = log_of(history.recent)
    found = interests(log, signals, now_micros)
    liked = [
        (found.items[item], weight)
        for item, weight in zip(found.item.tolist(), found.weight.tolist(), strict=True)
        if found.items[item] not in history.hidden
    ]
    known = [] if model is None else [pair for pair in liked if pair[0] in model.item_rows]
    rows = np.array([model.item_rows[item] for item, _ in known] if model else [], np.int64)
    weights = np.array([weight for _, weight in known])
    described = None if model is None else model.product_features
    affinities: Iterable[pb.Affinity] = ()
    if described is not None and len(rows):
        counts = Counter(event.product_id for event in history.recent)
        ids = tuple(item for item, _ in known)
        evidence = _Evidence(ids, rows, weights, np.array([counts[item] for item in ids]))
        affinities = _affinities(described, evidence, words)
    low = {found.items[item] for item in found.disliked_item.tolist()}
    return pb.ShopperProfile(
        attributes=_attributes(history.attributes),
        affinities=affinities,
        disliked_product_ids=sorted(low | history.hidden)[:MOST_DISLIKED],
        activity=_activity(log, signals, words, now_micros),
        segment=_segment_of(model, rows, weights, words),
        robot=bool(robots(log, signals).any()),
        model_version="" if model is None else model.version,
        event_count=len(log),
    )


def segments_of(model: Model, words: ProfileWords) -> list[pb.Segment]:
    """Return all segments of the model, largest first."""
    found = model.segments
    places = range(0 if found is None else len(found.shares))
    return [_segment(model, found, place, words) for place in places if found is not None]


def of_product(
    product_id: str, model: Model | None, popularity: float, words: ProfileWords
) -> pb.ProductProfile:
    """Return a product's profile; ProductUnknown. `popularity` is its share of the most popular
    one's count."""
    described = None if model is None else model.product_features
    row = None if model is None else model.item_rows.get(product_id)
    if model is None or described is None or row is None:
        raise ProductUnknown(serving=model is not None)
    places = described.features[described.starts[row] : described.starts[row + 1]]
    named = [described.names[place].partition("=") for place in places.tolist()]
    values = {kind: [value for one, _, value in named if one == kind] for kind, _, _ in named}
    style, similar = _style(model, row)
    band = "".join(values.get(features.PRICE_KIND, []))
    profile = pb.ProductProfile(
        product_id=product_id,
        # A product has its category and all ancestors as features; the longest path is its own.
        category_path=max(values.get(features.CATEGORY_KIND, [""]), key=len),
        brand="".join(values.get(features.BRAND_KIND, [])),
        price_band=_price_band(band) if band else None,
        tags=values.get(features.TAG_KIND, []),
        attributes=_attributes(
            (kind.removeprefix(features.ATTRIBUTE_KIND), value)
            for kind, _, value in named
            if kind.startswith(features.ATTRIBUTE_KIND)
        ),
        popularity=popularity,
        trend=None if (trend := model.numbers.get("trend")) is None else float(trend[row]),
        style=style,
        style_space_version=model.style_space if style else "",
        similar_style_product_ids=similar,
        model_version=model.version,
    )
    profile.texts.extend(_sentences(profile, band, words))
    return profile


def _price_band(band: str) -> pb.PriceBand:
    least, below = map(money, features.price_range(band))
    return pb.PriceBand(least=least, below=below)


def _attributes(pairs: Iterable[tuple[str, str]]) -> list[pb.ShopperAttribute]:
    return [pb.ShopperAttribute(key=key, text=text) for key, text in pairs]


@dataclass(frozen=True, slots=True)
class _Evidence:
    """The liked products that the model knows."""

    ids: tuple[str, ...]
    rows: Ints
    weights: Doubles
    events: Ints
    """Interest of the shopper in each."""


def _affinities(
    described: ProductFeatures, evidence: _Evidence, words: ProfileWords
) -> Iterator[pb.Affinity]:
    """Yield the strongest affinities first, with a maximum per kind."""
    found = affinities(described, evidence.rows, evidence.weights)
    taken = Counter[str]()
    for feature in _strongest(found.strengths):
        kind, _, _ = words.feature(described.names[feature])
        if taken[kind] < MOST_OF_A_KIND:
            taken[kind] += 1
            places = with_feature(described, evidence.rows, feature)
            by_weight = places[np.argsort(-evidence.weights[places], kind="stable")]
            yield _affinity(
                described,
                feature,
                words,
                strength=float(found.strengths[feature]),
                share=float(found.shares[feature]),
                event_count=int(evidence.events[places].sum()),
                product_ids=[evidence.ids[place] for place in by_weight[:MOST_PRODUCTS]],
            )


def _strongest(strengths: Doubles | Floats) -> list[int]:
    """Return the features worth showing, the strongest first."""
    order = np.argsort(-strengths, kind="stable")
    return [int(feature) for feature in order[strengths[order] >= LEAST_STRENGTH]]


def _affinity(
    described: ProductFeatures, feature: int, words: ProfileWords, **measured: Any
) -> pb.Affinity:
    """Build the message; `measured` holds its other fields."""
    kind, key, value = words.feature(described.names[feature])
    return pb.Affinity(
        kind=pb.Affinity.Kind.Value(f"KIND_{kind}"),
        key=key,
        value=value,
        usual_share=float(described.shares[feature]),
        text=words.say(kind, key=key, value=value),
        **measured,
    )


def _activity(
    log: EventColumns, signals: Signals, words: ProfileWords, now_micros: int
) -> pb.Activity | None:
    if not len(log):
        return None
    first, last = int(log.time[0]), int(log.time[-1])
    visits = int(sessions(log, signals.session_gap_minutes).max()) + 1
    days = max(now_micros - last, 0) / DAY_MICROS
    rate = visits / max((now_micros - first) / (7 * DAY_MICROS), 1.0)
    given = {"ago": words.ago(days), "visits": words.visits(visits), "rate": f"{rate:.2g}"}
    return pb.Activity(
        first_event_time=timestamp(first),
        last_event_time=timestamp(last),
        days_since_last_event=days,
        visit_count=visits,
        visits_a_week=rate,
        purchase_count=int(log.is_type(EventType.PURCHASE).sum()),
        text=words.say("ACTIVITY", **given),
    )


def _segment_of(
    model: Model | None, rows: Ints, weights: Doubles, words: ProfileWords
) -> pb.Segment | None:
    """Return the segment with the nearest interests; None without segments or known interests."""
    if model is None or model.segments is None or not len(rows):
        return None
    share = (weights / weights.sum()).astype(np.float32)
    centred = share @ model.item_vectors[rows] - model.segments.mean
    return _segment(
        model, model.segments, int((model.segments.centroids @ centred).argmax()), words
    )


def _segment(
    model: Model, segments: ShopperSegments, place: int, words: ProfileWords
) -> pb.Segment:
    described, strengths = model.product_features, segments.strengths[place]
    strongest = _strongest(strengths)[:SEGMENT_FEATURES]
    found = [
        _affinity(described, feature, words, strength=float(strengths[feature]))
        for feature in strongest
        if described is not None
    ]
    names = words.join([f"{one.key} {one.value}".strip() for one in found])
    return pb.Segment(
        segment_id=place + 1,
        affinities=found,
        share=float(segments.shares[place]),
        text=words.say("segment", names=names) if names else words.say("segment_plain"),
    )


def _style(model: Model, row: int) -> tuple[list[float], list[str]]:
    """Return a product's style and the products with the most similar styles, nearest first."""
    if model.styles is None or np.isnan(model.styles[row]).any():
        return [], []
    distances = ((model.styles - model.styles[row]) ** 2).sum(axis=1)
    distances[row] = np.nan
    nearest = np.argsort(distances, kind="stable")[:SIMILAR_STYLES]  # NaN sorts last
    similar = [model.item_ids[one] for one in nearest if np.isfinite(distances[one])]
    return model.styles[row].tolist(), similar


def _sentences(profile: pb.ProductProfile, band: str, words: ProfileWords) -> Iterator[str]:
    if profile.category_path:
        yield words.say("IN_CATEGORY", value=profile.category_path)
    if profile.brand:
        yield words.say("OF_BRAND", value=profile.brand)
    if band.endswith(":free"):
        yield words.say("PRICED_FREE")
    elif band:
        yield words.say("PRICED", value=words.prices(band))
    if profile.tags:
        yield words.say("TAGGED", value=words.join(profile.tags))
    for one in profile.attributes:
        yield words.say("HAS", key=one.key, value=one.text)
    yield words.say("POPULAR", share=f"{100 * profile.popularity:.0f}")
    if abs(profile.trend) >= NOTABLE_TREND:
        yield words.say("RISING" if profile.trend > 0 else "FALLING")
    if profile.similar_style_product_ids:
        yield words.say("LOOKS", value=words.join(profile.similar_style_product_ids))
