"""Use case: compute the order of a recorded answer again.

The inputs are taken from the record, and `rank_products` computes the order from them as for the
answer. All changes and deletions since then are reported.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache

import numpy as np

from ranker.domain.arrays import Doubles, numbers
from ranker.domain.errors import ModelCorrupt, ModelNotFound
from ranker.domain.events import EventType, History
from ranker.domain.model import Model
from ranker.domain.pseudonyms import Pseudonyms
from ranker.domain.signals import Signals
from ranker.ports import EventReader, Models
from ranker.serving.answered_order import AnsweredOrder, answered_order
from ranker.serving.expected_outcome import (
    ExpectedOutcome,
    KnownOffers,
    expected_outcome,
    raw_scores_of,
)
from ranker.serving.rank_products import RankQuery, RankState, needs_popularity, rank_products
from ranker.serving.ranking import fold_in
from ranker.serving.ranking.fold_in import FoldIn
from servicekit.tasks.expiring import ExpiringValues

LoadVersion = Callable[[str, str], Awaitable[Model]]
"""(catalog, version) to model; ModelNotFound, ModelCorrupt."""


class ReplayChange(StrEnum):
    """Kind of a difference; the names are those of ReplayDifference.Kind without its prefix."""

    MODEL_GONE = "MODEL_GONE"
    EVENTS_GONE = "EVENTS_GONE"
    ATTRIBUTES_CHANGED = "ATTRIBUTES_CHANGED"
    SETTINGS_CHANGED = "SETTINGS_CHANGED"
    ORDER = "ORDER"
    NUMBERS = "NUMBERS"


@dataclass(frozen=True, slots=True)
class ReplayDifference:
    """One difference, with its description."""

    kind: ReplayChange
    text: str
    subject: str = ""


@dataclass(frozen=True, slots=True)
class RecordedRanking:
    """Recorded inputs of an answer's order."""

    query: RankQuery
    """The original query; its anchors are product ids, and its actor, if any, is a placeholder."""
    order: AnsweredOrder
    model_version: str
    """Empty if no model served."""
    actor: str
    """Pseudonym of the record's shopper; empty if anonymous."""
    recent_events: tuple[int, ...]
    """Sequence numbers of the shopper's events."""
    marking_events: tuple[int, ...]
    """Sequence numbers of the events by which candidates were hidden or seen."""
    shopper_place: int
    """The shopper's row in the model, from 1; 0 if the model does not contain them."""
    attributes_digest: bytes
    settings_digest: bytes
    popularity: Doubles | None
    draws: bytes


@dataclass(frozen=True, slots=True)
class ReplayedOrder:
    """Result of a replay."""

    model_version: str
    equal: bool
    """True if the order equals the recorded one bit for bit."""
    differences: tuple[ReplayDifference, ...]
    order: AnsweredOrder
    changed: AnsweredOrder | None
    """Order for the changed query; None if no change was requested."""
    outcomes: tuple[ExpectedOutcome | None, ExpectedOutcome | None] = (None, None)
    """Expected outcomes of the first products of both orders, if a change was requested; None if no
    chances were learned."""


KEPT_SECONDS = 60.0
"""Seconds for which a loaded model is used again. Shoppers who were erased meanwhile are in it."""


@dataclass(eq=False)
class ReplayAnswer:
    """Use case that replays answers; it caches the model that it loaded last for KEPT_SECONDS."""

    pseudonyms: Pseudonyms
    events: EventReader
    models: Models
    load: LoadVersion
    signals: Signals
    _loaded: ExpiringValues[tuple[str, str], Model] = field(
        default_factory=lambda: ExpiringValues(KEPT_SECONDS, 1)
    )

    async def __call__(
        self,
        recorded: RecordedRanking,
        changed: RankQuery | None = None,
        *,
        offers: KnownOffers | None = None,
        first: int = 0,
    ) -> ReplayedOrder:
        """Compute the recorded order again, and the order for the query `changed` with the same
        state. Outcomes are those of the `first` products (0: all), at these offers."""
        found = list[ReplayDifference]()
        model = await self._model(recorded, found)
        history = await self._history(recorded, model, found)
        if recorded.settings_digest != settings_digest(self.signals):
            text = "the settings for reading events (RANKER_SIGNAL_…) have changed"
            found.append(ReplayDifference(ReplayChange.SETTINGS_CHANGED, text))
        order = await self._ranked(recorded, recorded.query, model, history)
        equal = order == recorded.order
        if not equal:
            found.append(difference(recorded.order, order))
        other = None
        if changed is not None:
            other = await self._ranked(recorded, changed, model, history)
        version = model.version if model else ""
        outcomes = (None, None) if other is None else _outcomes(order, other, offers, model, first)
        return ReplayedOrder(version, equal, tuple(found), order, other, outcomes)

    async def _ranked(
        self, recorded: RecordedRanking, query: RankQuery, model: Model | None, history: History
    ) -> AnsweredOrder:
        shopper = self._shopper(query, model, history)
        popularity = None
        if needs_popularity(query, shopper):
            popularity = recorded.popularity
            if popularity is None:
                ids = query.candidates.ids
                popularity = await self.events.popularity(query.catalog_id, ids)
        drawn, signals = recorded.draws, self.signals
        state = RankState(model, history, shopper, popularity, draws=drawn, signals=signals)
        ranked = rank_products(query, state)
        return answered_order(query.candidates.ids, ranked.order, model)

    def _shopper(self, query: RankQuery, model: Model | None, history: History) -> FoldIn:
        anchors = query.anchors.product_ids if query.anchors else ()
        if anchors:
            return fold_in.by_anchors(model, query.actor, history, anchors)
        if query.actor is None:
            return FoldIn()
        return fold_in.by_history(model, query.actor, history, query.now_micros, self.signals)

    async def _model(
        self, recorded: RecordedRanking, found: list[ReplayDifference]
    ) -> Model | None:
        """Return the recorded model; if it was deleted, report that and return the serving one."""
        catalog_id, version = recorded.query.catalog_id, recorded.model_version
        if not version:
            return None
        serving = self.models.serving(catalog_id)
        for known in (serving, self.models.former(catalog_id)):
            if known is not None and known.version == version:
                return known
        key = (catalog_id, version)
        if (kept := self._loaded.get(key)) is not None:
            return kept
        try:
            model = await self.load(catalog_id, version)
        except (ModelNotFound, ModelCorrupt):
            instead = serving.version if serving else "no model"
            text = f"the model was deleted; computed with {instead} instead"
            found.append(ReplayDifference(ReplayChange.MODEL_GONE, text, version))
            return serving
        self._loaded.put(key, model)
        return model

    async def _history(
        self, recorded: RecordedRanking, model: Model | None, found: list[ReplayDifference]
    ) -> History:
        """Return the shopper's recorded data, as far as it still exists."""
        if recorded.query.actor is None:
            return History()
        known = await self._events(recorded, found)
        if recorded.shopper_place:
            same_model = model is not None and model.version == recorded.model_version
            place = recorded.shopper_place - 1
            return replace(known, actor=_actor(model, place) if same_model else recorded.actor)
        if not recorded.attributes_digest:
            return known
        catalog_id, whose = recorded.query.catalog_id, recorded.actor
        now = await self.events.history(catalog_id, whose, limit=1, with_seen=False)
        digest = attributes_digest(model, now, catalog_id, self.pseudonyms)
        if digest != recorded.attributes_digest:
            text = "the shopper changed or withdrew their attributes since"
            found.append(ReplayDifference(ReplayChange.ATTRIBUTES_CHANGED, text))
        return replace(known, attributes=now.attributes)

    async def _events(self, recorded: RecordedRanking, found: list[ReplayDifference]) -> History:
        recent, marking = recorded.recent_events, recorded.marking_events
        wanted = {*recent, *marking}
        events = await self.events.numbered(recorded.query.catalog_id, (*recent, *marking))
        if missing := len(wanted - events.keys()):
            text = f"{missing} of {len(wanted)} events of the shopper were deleted since"
            found.append(ReplayDifference(ReplayChange.EVENTS_GONE, text))
        marks = [events[number] for number in marking if number in events]
        hidden = frozenset(one.product_id for one in marks if one.type is EventType.HIDE)
        return History(
            recent=tuple(events[number] for number in recent if number in events),
            hidden=hidden,
            seen=frozenset(one.product_id for one in marks) - hidden,
        )


def _outcomes(
    order: AnsweredOrder,
    other: AnsweredOrder,
    offers: KnownOffers | None,
    model: Model | None,
    first: int,
) -> tuple[ExpectedOutcome | None, ExpectedOutcome | None]:
    """Return the expected outcomes of both orders, by the raw scores of the recorded one."""
    scores = raw_scores_of(order)
    one, two = (
        expected_outcome(each.product_ids[: first or None], scores, offers, model)
        for each in (order, other)
    )
    return one, two


def difference(recorded: AnsweredOrder, computed: AnsweredOrder) -> ReplayDifference:
    """Describe the difference of two orders."""
    ids, others = recorded.product_ids, computed.product_ids
    if ids != others:
        moved = sum(one != other for one, other in zip(ids, others, strict=False))
        moved += abs(len(ids) - len(others))
        text = f"{moved} of {max(len(ids), len(others))} positions hold another product"
        return ReplayDifference(ReplayChange.ORDER, text)
    most = np.abs(numbers(recorded.raw_scores) - numbers(computed.raw_scores)).max(initial=0.0)
    text = f"the order is the same; raw scores differ by {most:.3g} at most"
    return ReplayDifference(ReplayChange.NUMBERS, text)


def place_of(model: Model | None, actor: str) -> int:
    """Return the shopper's row in the model, from 1; 0 if the model does not contain them."""
    row = None if model is None else model.actor_rows.get(actor)
    return 0 if row is None else row + 1


def _actor(model: Model | None, row: int) -> str:
    rows = model.actor_rows.items() if model else ()
    return next((actor for actor, place in rows if place == row), "")


def attributes_digest(
    model: Model | None, history: History, catalog_id: str, key: Pseudonyms
) -> bytes:
    """Return a digest of the shopper's attributes, empty if the model does not use them."""
    if model is None or not model.shopper_feature_rows or not history.attributes:
        return b""
    return key.digest(catalog_id, repr(history.attributes))


@lru_cache
def settings_digest(signals: Signals) -> bytes:
    """Return a digest of the settings for weighting events."""
    return hashlib.blake2b(repr(signals).encode(), digest_size=8).digest()
