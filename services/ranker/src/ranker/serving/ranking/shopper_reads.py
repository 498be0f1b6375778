"""Reads of shoppers' data, once for each request.

Nominate and Rank of one request need the same history. The first call caches it for five seconds
under a random token, which is valid once and for the same shopper only. Events written meanwhile
count in the shopper's next request. Between requests a shopper's fold into a model is kept while
the history, the anchors, the model and the full hours of idleness stay the same.
"""

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import blake2b
from typing import TypeAlias
from weakref import ReferenceType, ref

from ranker.domain.events import History, Interaction
from ranker.domain.model import Model
from ranker.domain.signals import DEFAULTS, Signals
from ranker.ports import HistoryReader
from ranker.serving.ranking import fold_in, recommenders
from ranker.serving.ranking.fold_in import FoldIn
from servicekit.tasks.expiring import ExpiringValues
from sightline_core.ranking import RequestAnchors
from sightline_rules.fast_dataclass import fast_dataclass

REMEMBERED_SECONDS = 5.0
MOST_REMEMBERED = 1_000
"""Maximum number of remembered histories: 20 MB with 50 events each."""
KEPT_SECONDS = 4.0
"""Seconds after which a fold leaves memory. It may be made of a remembered history at the end of
its term, and docs/privacy.md promises that nothing of an erased shopper stays for ten seconds."""
MOST_FOLDS = 2_000
"""Maximum number of kept folds: 10 MB with 64 dimensions."""


@fast_dataclass(frozen=True, slots=True)
class KnownShopper:
    """Data of a shopper at a time."""

    history: History
    shopper: FoldIn
    model: Model | None = None
    """Model of the vectors in `shopper`."""
    now_micros: int | None = None


@fast_dataclass(frozen=True, slots=True)
class ResolvedAnchors:
    """Products that a request is about."""

    product_ids: Sequence[str]
    """Empty: the shopper's last products apply."""
    trail: Sequence[Interaction]
    """The shopper's newest events; empty if not read."""


NOBODY = KnownShopper(History(), FoldIn())
LAST_PRODUCTS = ResolvedAnchors((), ())
"""Of a request without anchors."""

_FoldKey: TypeAlias = tuple[str, str | None, tuple[str, ...]]
"""Version of the model, shopper, anchors."""


@fast_dataclass(frozen=True, slots=True)
class _KeptFold:
    model: ReferenceType[Model]
    made_of: tuple[object, ...]
    """What it is made of: of the history, and the weight of last interests."""
    fold: FoldIn


class Shoppers:
    """Reads shoppers' data, and remembers recent reads."""

    def __init__(
        self,
        reader: HistoryReader,
        signals: Signals = DEFAULTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`signals`: how events are interpreted."""
        self._reader = reader
        self.signals = signals
        self._remembered = ExpiringValues[str, tuple[tuple[str, str], KnownShopper]](
            REMEMBERED_SECONDS, MOST_REMEMBERED, clock
        )
        self._folds = ExpiringValues[_FoldKey, _KeptFold](KEPT_SECONDS, MOST_FOLDS, clock)

    async def read(
        self,
        catalog_id: str,
        actor: str | None,
        model: Model | None,
        *,
        with_seen: bool = False,
        now_micros: int | None = None,
        token: str = "",
    ) -> KnownShopper:
        """Return the data of a shopper as of `now_micros`; None: right after their newest event.
        `actor` is None for anonymous requests. The history of `token` is not read again, unless
        seen products are requested, which are not cached."""
        if actor is None:
            return KnownShopper(NOBODY.history, NOBODY.shopper, model)
        known = self._recall(token, catalog_id, actor) if token else None
        if known is None or with_seen:
            history = await self._reader.history(
                catalog_id, actor, limit=fold_in.HISTORY_LIMIT, with_seen=with_seen
            )
        elif known.model is model and self._as_fresh(known, now_micros):
            return known
        else:
            history = known.history
        if history.withheld:
            return KnownShopper(history, NOBODY.shopper, model)
        return KnownShopper(history, self.by(model, actor, history, now_micros), model, now_micros)

    def by(
        self, model: Model | None, actor: str | None, history: History, now_micros: int | None
    ) -> FoldIn:
        """Fold a shopper with this history into a model."""
        fresh = fold_in.freshness(fold_in.idle(history, now_micros))
        compute = partial(
            fold_in.by_history, model, actor, history, now_micros, signals=self.signals
        )
        return self._folded(model, actor, history, compute, fresh=fresh)

    def about(self, known: KnownShopper, actor: str | None, anchors: Sequence[str]) -> KnownShopper:
        """Return the shopper with these anchors; unchanged without any."""
        if not anchors:
            return known
        model, history = known.model, known.history
        compute = partial(fold_in.by_anchors, model, actor, history, anchors)
        shopper = self._folded(model, actor, history, compute, anchors=tuple(anchors))
        return KnownShopper(history, shopper, model, known.now_micros)

    def _folded(
        self,
        model: Model | None,
        actor: str | None,
        history: History,
        compute: Callable[[], FoldIn],
        *,
        anchors: tuple[str, ...] = (),
        fresh: float = 1.0,
    ) -> FoldIn:
        """Return the fold that is kept if nothing changed, else compute it. `fresh`: weight of last
        interests (fold_in.freshness)."""
        if model is None:
            return compute()
        key = (model.version, actor, anchors)
        made_of = (fresh, history.recent, history.hidden, history.actor, history.attributes)
        held = self._folds.get(key)
        if held is None or held.model() is not model or held.made_of != made_of:
            held = _KeptFold(ref(model), made_of, read_only(compute()))
            self._folds.put(key, held)
        return held.fold.for_request()

    async def trail(self, catalog_id: str, actor: str | None, limit: int) -> Sequence[Interaction]:
        """Return a shopper's newest events of interest, newest first."""
        if actor is None:
            return ()
        found = await self._reader.history(catalog_id, actor, limit=limit, with_seen=False)
        return found.recent

    async def resolve(
        self,
        catalog_id: str,
        actor: str | None,
        known: KnownShopper,
        anchors: RequestAnchors | None,
        *,
        with_trail: bool = False,
    ) -> tuple[KnownShopper, ResolvedAnchors]:
        """Return the shopper with the resolved `anchors`. `with_trail`: read the shopper's newest
        events even if no anchor comes from them.
        """
        if anchors is None and not with_trail:
            return known, LAST_PRODUCTS
        trail: Sequence[Interaction] = ()
        if with_trail or (anchors and not anchors.product_ids):
            trail = await self.trail(catalog_id, actor, recommenders.TRAIL)
        found = recommenders.gone_by(anchors, trail, known.history.hidden)
        return self.about(known, actor, found), ResolvedAnchors(found, trail)

    def remember(self, catalog_id: str, actor: str | None, known: KnownShopper) -> str:
        """Cache the data and return its token; "" without a shopper."""
        if actor is None:
            return ""
        token = f"{os.urandom(16).hex()}-{mark_of(known.history)}"
        self._remembered.put(token, ((catalog_id, actor), known))
        return token

    def forget(self) -> None:
        """Drop all that is kept of shoppers: one is being erased."""
        self._remembered.drop(lambda _: True)
        self._folds.drop(lambda key: key[1] is not None)

    def _recall(self, token: str, catalog_id: str, actor: str) -> KnownShopper | None:
        entry = self._remembered.get(token)
        if entry is None or entry[0] != (catalog_id, actor):
            return None
        self._remembered.pop(token)
        return entry[1]

    @staticmethod
    def _as_fresh(known: KnownShopper, now_micros: int | None) -> bool:
        """Return whether the freshness of last interests is unchanged."""
        if known.now_micros == now_micros:
            return True
        then = fold_in.idle(known.history, known.now_micros)
        now = fold_in.idle(known.history, now_micros)
        return max(then, 0) // fold_in.HOUR_MICROS == max(now, 0) // fold_in.HOUR_MICROS


def is_of(token: str, history: History) -> bool:
    """Return whether a history is as it was when a token was made of it: of another process too."""
    mark = token.partition("-")[2]  # none of a ranker before 0.40
    return not mark or mark == mark_of(history)


def mark_of(history: History) -> str:
    """Return a hash of a history, computed once for each."""
    return history.once("mark", _mark, history)


def _mark(history: History) -> str:
    events = history.sequences or [(each.event_id, each.time_micros) for each in history.recent]
    held = (events, sorted(history.hidden), history.attributes, history.withheld)
    return blake2b(repr(held).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def read_only(fold: FoldIn) -> FoldIn:
    """Protect the arrays of a fold, which requests share."""
    lasts = (fold.recent, fold.liked, fold.bought)
    each = (fold.long_term, fold.session, fold.content)
    for array in (*each, *[one.rows for one in lasts], *[one.decays for one in lasts]):
        if array is not None:
            array.flags.writeable = False
    return fold
