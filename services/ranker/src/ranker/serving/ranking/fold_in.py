"""Fold-in: representation of a shopper as vectors, from training and from the last events."""

from collections.abc import Sequence
from dataclasses import field, replace
from typing import Any

import numpy as np

from ranker.domain.arrays import Doubles, Floats, Ints
from ranker.domain.events import EventType, History, Interaction
from ranker.domain.features import shopper_feature_names
from ranker.domain.model import Model
from ranker.domain.signals import DEFAULTS, Signals, recent_products
from sightline_rules.fast_dataclass import fast_dataclass

HISTORY_LIMIT = 50
"""Number of events that are read to find the last products; several may be of one product."""

SESSION_PRIOR = 0.5
"""Number of zero vectors added to the mean of the last products for shoppers without a long-term
vector: it shrinks the effect of a first click towards overall popularity. With 1 it lifts nDCG@10
of newcomers to MovieLens-100k from .434 to .474 after their first event, but costs shoppers in the
middle of a visit .006; with a half these lose .002. See lab/research/quality.md."""

LIKED_PRIOR = 4.0
"""The same for item_item: with it the weights that are best for long histories are best for unseen
shoppers after 1 to 10 events, too (validation: .239 after 3, without it .231)."""

FEW = 5.0
"""Number of last products at which shoppers who were not in training have half of the blend. On
folds by time 5 gains nearly as much after 1 to 3 events as 40, and costs shoppers in the middle of
a visit less; see lab/research/quality.md."""

HOUR_MICROS = 3600 * 1_000_000

FRESH_HALF_LIFE_HOURS = 24.0
"""Hours since the last interest after which last products count half relative to the long-term
vector. On MovieLens-100k they lift nDCG@10 from .18 to .28 within the hour, and halve it after
weeks."""

BASKET = frozenset({EventType.ADD_TO_CART, EventType.PURCHASE})
"""Event types whose products count for parts of PartKind.BOUGHT."""


@fast_dataclass(frozen=True, slots=True)
class HistoryWindow:
    """Length of the history that a part uses, and its decay."""

    items: int
    """Maximum number of newest products."""
    decay: float = 1.0
    """Weight of each product relative to the next newer one; 1: equal weights."""


@fast_dataclass(frozen=True, slots=True)
class HistoryWindows:
    """History windows of the parts. Products unknown to the model are not counted, so that views of
    them do not dilute the rest."""

    session: HistoryWindow = HistoryWindow(5)
    """On MovieLens-100k nDCG@10 of unseen users was .1744, .2271, .2277 and .2319 with the last 1,
    3, 5 and 10; with trained users the best was 5."""
    liked: HistoryWindow = HistoryWindow(50, 0.95)
    """Last products of interest, for parts of PartKind.LIKED. Length and decay as in the training
    of transitions (learning/training/items.py)."""
    bought: HistoryWindow = HistoryWindow(10)
    """Last products bought or put into the cart, for parts of PartKind.BOUGHT."""
    content: HistoryWindow = HistoryWindow(50)
    """Of shoppers who were not in training; the others' vectors hold all that they liked."""


WINDOWS = HistoryWindows()


@fast_dataclass(frozen=True, slots=True)
class LastProducts:
    """The last products in a window, newest first."""

    rows: Ints
    """(n,) rows of the model"""
    decays: Doubles
    """(n,) weight of each, not increasing, at most 1"""


NOTHING = LastProducts(np.zeros(0, np.int64), np.zeros(0))


@fast_dataclass(frozen=True, slots=True)
class FoldIn:
    """A shopper as vectors of the serving model; any may be missing."""

    long_term: Floats | None = None
    """Trained vector of the shopper, or of shoppers with the same attributes."""
    session: Floats | None = None
    """Mean of the vectors of the last products of interest, weighted by decay, shrunk and faded."""
    recent: LastProducts = NOTHING
    """Last products of `session`, which is the sum of their vectors times `decays`."""
    liked: LastProducts = NOTHING
    """Last products of interest, for parts of PartKind.LIKED."""
    bought: LastProducts = NOTHING
    """Last products bought or put into the cart, for parts of PartKind.BOUGHT."""
    content: Floats | None = None
    """Vector in the model's `content`, by all that a trained shopper liked in training, else by the
    last products. It does not fade."""
    anchored: bool = False
    """True if the last products are the anchors of a request."""
    usual: float = 1.0
    """Share of the model's blend in the weights of the parts, 0 to 1. The rest is that of
    `Model.newcomers`, which falls with the number of last products (`FEW`), or, of trained
    shoppers, of `Model.returning`, which rises as the last products fade (`freshness`)."""
    trained: bool = False
    """True if the shopper was in training; `long_term` is then their own."""
    gathered: dict[str, Any] | None = field(default=None, repr=False, compare=False)
    """Neighbours that are gathered once a request (parts.py), by part; None: nothing is kept."""

    personal: bool = field(init=False, repr=False, compare=False)
    """True if there is any data of the shopper to score with."""
    by_popularity: bool = field(init=False, repr=False, compare=False)
    """True if popularity is a part: nothing is known, or the last products have faded."""

    def __post_init__(self) -> None:
        known = self.long_term is not None or self.session is not None
        object.__setattr__(self, "personal", known)
        faded = self.trained and self.usual < 1
        object.__setattr__(self, "by_popularity", faded or not known)

    def for_request(self) -> "FoldIn":
        """Return the shopper for one request, whose parts compute once what they share."""
        return FoldIn(
            self.long_term,
            self.session,
            self.recent,
            self.liked,
            self.bought,
            self.content,
            self.anchored,
            self.usual,
            self.trained,
            {},
        )


NOBODY = FoldIn()
"""A shopper of whom nothing is known."""


def of(
    model: Model,
    actor: str | None,
    products: Sequence[str],
    bought: Sequence[str] = (),
    windows: HistoryWindows = WINDOWS,
    *,
    attributes: Sequence[tuple[str, str]] = (),
    idle_micros: int = 0,
) -> FoldIn:
    """Fold a shopper into a model. `products` are those of interest, `bought` those of them that
    were bought or put into the cart, both newest first without duplicates. `attributes` represent
    shoppers who were not in training. `idle_micros` is the age of the newest event; last products
    fade with it only if there is a long-term vector."""
    trained = actor is not None and actor in model.actor_rows
    long_term = _long_term(model, actor, attributes)
    fresh = 1.0 if long_term is None else freshness(idle_micros)
    recent = _last_products(model, products, windows.session, fresh)
    content = _content(model, actor, products, windows.content)
    if not len(recent.rows):
        usual = fresh if trained or long_term is None else 0.0
        return FoldIn(long_term, content=content, usual=usual, trained=trained)
    prior = SESSION_PRIOR if long_term is None else 0.0
    recent = replace(recent, decays=recent.decays / (recent.decays.sum() / fresh + prior))
    liked = _last_products(model, products, windows.liked, fresh)
    if long_term is None:
        evidence = liked.decays.sum()
        liked = replace(liked, decays=liked.decays * evidence / (evidence + LIKED_PRIOR))
    return FoldIn(
        long_term=long_term,
        session=recent.decays.astype(np.float32) @ model.item_vectors[recent.rows],
        recent=recent,
        liked=liked,
        bought=_last_products(model, bought, windows.bought, fresh),
        content=content,
        usual=fresh if trained else len(liked.rows) / (len(liked.rows) + FEW),
        trained=trained,
    )


def _long_term(
    model: Model, actor: str | None, attributes: Sequence[tuple[str, str]]
) -> Floats | None:
    """Return the shopper's trained vector, else that of shoppers with the same attributes."""
    row = model.actor_rows.get(actor) if actor is not None else None
    if row is not None:
        learned: Floats = model.actor_vectors[row]
        return learned
    names = shopper_feature_names(attributes)
    rows = [
        model.shopper_feature_rows[name] for name in names if name in model.shopper_feature_rows
    ]
    if not rows or model.shopper_feature_vectors is None:
        return None
    found: Floats = model.shopper_feature_vectors[rows].sum(axis=0)
    return found


def _content(
    model: Model, actor: str | None, products: Sequence[str], window: HistoryWindow
) -> Floats | None:
    """Return the shopper's trained vector in `content`, else the sum of the last products'."""
    if model.content is None:
        return None
    row = model.actor_rows.get(actor) if actor is not None else None
    if row is not None and model.actor_contents is not None:
        learned: Floats = model.actor_contents[row]
        return learned
    return model.content.of_shopper(_last_products(model, products, window).rows)


def freshness(idle_micros: int) -> float:
    """Return the weight of last interests after this time, above 0, at most 1. The time is rounded
    to whole hours, so that answers are stable from one second to the next."""
    hours = max(idle_micros, 0) // HOUR_MICROS
    return float(max(0.5 ** (hours / FRESH_HALF_LIFE_HOURS), 1e-6))


def _last_products(
    model: Model, products: Sequence[str], window: HistoryWindow, first: float = 1.0
) -> LastProducts:
    known = model.item_rows
    rows = [known[item] for item in products if item in known][: window.items]
    decays = first * window.decay ** np.arange(len(rows), dtype=np.float64)
    return LastProducts(np.array(rows, np.int64), decays)


def by_history(
    model: Model | None,
    actor: str | None,
    history: History,
    now_micros: int | None = None,
    signals: Signals = DEFAULTS,
) -> FoldIn:
    """Fold in a shopper with this history as of `now_micros`."""
    if model is None:
        return FoldIn()
    products = products_of(history, signals)
    bought = basket(history.recent, products)
    return of(
        model,
        history.owner(actor),
        products,
        bought,
        attributes=history.attributes,
        idle_micros=idle(history, now_micros),
    )


def products_of(history: History, signals: Signals) -> tuple[str, ...]:
    """Return the products of interest of a history, newest first without duplicates."""
    given = (history.recent, history.hidden, signals)
    return history.once(("products", signals), recent_products, *given)


def by_anchors(
    model: Model | None, actor: str | None, history: History, anchors: Sequence[str]
) -> FoldIn:
    """Fold in a shopper as if the anchors, the most important one first, were their last products
    of interest and in the cart."""
    if model is None:
        return FoldIn(anchored=True)
    whose, given = history.owner(actor), history.attributes
    about = of(model, whose, anchors, anchors, attributes=given)
    return replace(about, anchored=True, usual=1.0)


def idle(history: History, now_micros: int | None) -> int:
    """Return the age of the newest event at `now_micros` in microseconds; None: zero."""
    newest = history.recent[0].time_micros if history.recent else 0
    return 0 if now_micros is None else now_micros - newest


def basket(events: Sequence[Interaction], products: Sequence[str]) -> tuple[str, ...]:
    """Return the products of interest that were bought or put into the cart in these events, in
    order."""
    taken = {event.product_id for event in events if event.type in BASKET}
    return tuple([item for item in products if item in taken])
