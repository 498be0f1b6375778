"""What is known of a shopper or a product, and what it was inferred from. NumPy only.

A profile is computed when it is asked for: from the shopper's events as they are now, and from what
the serving model knows of products. Nothing of it is kept.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ranker.domain.arrays import Doubles, Floats, Ints
from ranker.domain.errors import ProductUnknown
from ranker.domain.events import DAY_MICROS, EventType, History
from ranker.domain.features import ATTRIBUTE_KIND, BRAND_KIND, CATEGORY_KIND, PRICE_KIND, TAG_KIND
from ranker.domain.log import Log, log_of
from ranker.domain.model import Model, ProductFeatures, Segments
from ranker.domain.signals import Signals, interests, robots, sessions
from ranker.ports import HistoryReader
from ranker.profiles.affinities import likings, with_feature
from ranker.profiles.texts import Kind, Words

LEAST_EVENTS, MOST_EVENTS = 1_000, 10_000
"""How many of the newest events a profile reads: enough to find a robot, within these bounds."""
MOST_OF_A_KIND = 5
MOST_PRODUCTS = 10
MOST_DISLIKED = 50
LEAST_STRENGTH = 0.05
"""Weaker affinities are not described."""
SEGMENT_FEATURES = 3
SIMILAR_STYLES = 5
NOTABLE_TREND = 0.5
"""Base-2 logarithm: 1.4 times as popular as before, or the inverse."""


@dataclass(frozen=True, slots=True)
class Affinity:
    """Something that a shopper, or a group of them, likes more than others do."""

    kind: Kind
    key: str
    """Of an attribute; else empty."""
    value: str
    strength: float
    """Above 0, up to 1; see affinities.py."""
    share: float
    """Of their interest; 0 = not said, as of groups."""
    usual_share: float
    """Of everybody's."""
    event_count: int
    product_ids: tuple[str, ...]
    """From which it was inferred, those liked most first."""
    text: str


@dataclass(frozen=True, slots=True)
class Activity:
    """How often a shopper comes."""

    first_event_micros: int
    last_event_micros: int
    days_since_last_event: float
    visit_count: int
    visits_a_week: float
    purchase_count: int
    text: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A group of shoppers with like interests."""

    segment_id: int
    """From 1, within a model."""
    affinities: tuple[Affinity, ...]
    share: float
    text: str


@dataclass(frozen=True, slots=True)
class ShopperProfile:
    """What is known of a shopper."""

    attributes: tuple[tuple[str, str], ...]
    affinities: tuple[Affinity, ...]
    disliked_product_ids: tuple[str, ...]
    activity: Activity | None
    segment: Segment | None
    robot: bool
    event_count: int


@dataclass(frozen=True, slots=True)
class ProductProfile:
    """What a model knows of a product."""

    product_id: str
    category_path: str
    brand: str
    price_band: str
    """As features.py names it; empty = no price."""
    tags: tuple[str, ...]
    attributes: tuple[tuple[str, str], ...]
    popularity: float
    trend: float | None
    style: tuple[float, ...]
    similar_style_product_ids: tuple[str, ...]
    """That look most like it, nearest first."""
    texts: tuple[str, ...]


async def read(catalog_id: str, actor: str, reader: HistoryReader, signals: Signals) -> History:
    """The history that a shopper's profile is computed from."""
    limit = min(max(LEAST_EVENTS, signals.robot_events_a_day + 1), MOST_EVENTS)
    return await reader.history(catalog_id, actor, limit=limit, with_seen=False)


def of_shopper(
    history: History, model: Model | None, signals: Signals, words: Words, now_micros: int
) -> ShopperProfile:
    """The profile of a shopper with this history."""
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
    affinities: tuple[Affinity, ...] = ()
    if described is not None and len(rows):
        counts = Counter(event.product_id for event in history.recent)
        ids = tuple(item for item, _ in known)
        evidence = _Evidence(ids, rows, weights, np.array([counts[item] for item in ids]))
        affinities = tuple(_affinities(described, evidence, words))
    low = {found.items[item] for item in found.disliked_item.tolist()}
    return ShopperProfile(
        attributes=history.attributes,
        affinities=affinities,
        disliked_product_ids=tuple(sorted(low | history.hidden))[:MOST_DISLIKED],
        activity=_activity(log, signals, words, now_micros),
        segment=_segment_of(model, rows, weights, words),
        robot=bool(robots(log, signals).any()),
        event_count=len(log),
    )


def segments_of(model: Model, words: Words) -> tuple[Segment, ...]:
    """All groups of shoppers that the model knows, the largest first."""
    found = model.segments
    return (
        ()
        if found is None
        else tuple(_segment(model, found, place, words) for place in range(len(found.shares)))
    )


def of_product(
    product_id: str, model: Model | None, popularity: float, words: Words
) -> ProductProfile:
    """The profile of a product; `popularity` is its share of the most popular one's, now.
    ProductUnknown."""
    described = None if model is None else model.product_features
    row = None if model is None else model.item_rows.get(product_id)
    if model is None or described is None or row is None:
        raise ProductUnknown(serving=model is not None)
    places = described.features[described.starts[row] : described.starts[row + 1]]
    named = [described.names[place].partition("=") for place in places.tolist()]
    values = {kind: [value for one, _, value in named if one == kind] for kind, _, _ in named}
    style, similar = _style(model, row)
    profile = ProductProfile(
        product_id=product_id,
        # A category comes with all above it, of which it is the longest.
        category_path=max(values.get(CATEGORY_KIND, [""]), key=len),
        brand="".join(values.get(BRAND_KIND, [])),
        price_band="".join(values.get(PRICE_KIND, [])),
        tags=tuple(values.get(TAG_KIND, [])),
        attributes=tuple(
            (kind.removeprefix(ATTRIBUTE_KIND), value)
            for kind, _, value in named
            if kind.startswith(ATTRIBUTE_KIND)
        ),
        popularity=popularity,
        trend=None if model.trend is None else float(model.trend[row]),
        style=style,
        similar_style_product_ids=similar,
        texts=(),
    )
    return replace(profile, texts=tuple(_sentences(profile, words)))


@dataclass(frozen=True, slots=True)
class _Evidence:
    """The liked products that the model knows."""

    ids: tuple[str, ...]
    rows: Ints
    weights: Doubles
    events: Ints
    """Of the shopper with each."""


def _affinities(
    described: ProductFeatures, evidence: _Evidence, words: Words
) -> Iterator[Affinity]:
    """The strongest first, few of a kind."""
    found = likings(described, evidence.rows, evidence.weights)
    taken: Counter[Kind] = Counter()
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
                product_ids=tuple(evidence.ids[place] for place in by_weight[:MOST_PRODUCTS]),
            )


def _strongest(strengths: Doubles | Floats) -> list[int]:
    """Features worth showing, the strongest first."""
    order = np.argsort(-strengths, kind="stable")
    return [int(feature) for feature in order[strengths[order] >= LEAST_STRENGTH]]


def _affinity(
    described: ProductFeatures,
    feature: int,
    words: Words,
    *,
    strength: float,
    share: float = 0.0,
    event_count: int = 0,
    product_ids: tuple[str, ...] = (),
) -> Affinity:
    kind, key, value = words.feature(described.names[feature])
    return Affinity(
        kind=kind,
        key=key,
        value=value,
        strength=strength,
        share=share,
        usual_share=float(described.shares[feature]),
        event_count=event_count,
        product_ids=product_ids,
        text=words.say(kind.value, key=key, value=value),
    )


def _activity(log: Log, signals: Signals, words: Words, now_micros: int) -> Activity | None:
    if not len(log):
        return None
    first, last = int(log.time[0]), int(log.time[-1])
    visits = int(sessions(log, signals.session_gap_minutes).max()) + 1
    days = max(now_micros - last, 0) / DAY_MICROS
    rate = visits / max((now_micros - first) / (7 * DAY_MICROS), 1.0)
    given = {"ago": words.ago(days), "visits": words.visits(visits), "rate": f"{rate:.2g}"}
    return Activity(
        first_event_micros=first,
        last_event_micros=last,
        days_since_last_event=days,
        visit_count=visits,
        visits_a_week=rate,
        purchase_count=int(log.is_type(EventType.PURCHASE).sum()),
        text=words.say("ACTIVITY", **given),
    )


def _segment_of(model: Model | None, rows: Ints, weights: Doubles, words: Words) -> Segment | None:
    """The group whose interests are nearest; None = none is known, or nothing of the shopper."""
    if model is None or model.segments is None or not len(rows):
        return None
    share = (weights / weights.sum()).astype(np.float32)
    centred = share @ model.item_vectors[rows] - model.segments.mean
    return _segment(
        model, model.segments, int((model.segments.centroids @ centred).argmax()), words
    )


def _segment(model: Model, segments: Segments, place: int, words: Words) -> Segment:
    described = model.product_features
    strengths = segments.strengths[place]
    found = (
        ()
        if described is None
        else tuple(
            _affinity(described, feature, words, strength=float(strengths[feature]))
            for feature in _strongest(strengths)[:SEGMENT_FEATURES]
        )
    )
    names = words.join([f"{one.key} {one.value}".strip() for one in found])
    return Segment(
        segment_id=place + 1,
        affinities=found,
        share=float(segments.shares[place]),
        text=words.say("segment", names=names) if names else words.say("segment_plain"),
    )


def _style(model: Model, row: int) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """A product's style and the products that look most like it."""
    if model.styles is None or np.isnan(model.styles[row]).any():
        return (), ()
    distances = ((model.styles - model.styles[row]) ** 2).sum(axis=1)
    distances[row] = np.nan
    nearest = np.argsort(distances, kind="stable")[:SIMILAR_STYLES]  # NaN comes last
    similar = [model.item_ids[one] for one in nearest if np.isfinite(distances[one])]
    return tuple(model.styles[row].tolist()), tuple(similar)


def _sentences(profile: ProductProfile, words: Words) -> Iterator[str]:
    if profile.category_path:
        yield words.say("IN_CATEGORY", value=profile.category_path)
    if profile.brand:
        yield words.say("OF_BRAND", value=profile.brand)
    if profile.price_band:
        free = profile.price_band.endswith(":free")
        prices = words.prices(profile.price_band)
        yield words.say("PRICED_FREE") if free else words.say("PRICED", value=prices)
    if profile.tags:
        yield words.say("TAGGED", value=words.join(profile.tags))
    for key, value in profile.attributes:
        yield words.say("HAS", key=key, value=value)
    yield words.say("POPULAR", share=f"{100 * profile.popularity:.0f}")
    if profile.trend is not None and abs(profile.trend) >= NOTABLE_TREND:
        yield words.say("RISING" if profile.trend > 0 else "FALLING")
    if profile.similar_style_product_ids:
        yield words.say("LOOKS", value=words.join(profile.similar_style_product_ids))
