"""Use case: generate candidates for a shopper, by behaviour and by counts."""

from collections.abc import Mapping, Sequence
from dataclasses import field

from ranker.domain.arrays import Floats
from ranker.domain.model import Model
from ranker.domain.recommenders import CountScope
from ranker.domain.signals import last_interests
from ranker.ports import CountReader, HistoryReader, Models
from ranker.serving.ranking import generate, parts, recommenders
from ranker.serving.ranking.fold_in import FoldIn
from ranker.serving.ranking.generate import Generated
from ranker.serving.ranking.recommenders import RecommenderList
from ranker.serving.ranking.shopper_reads import KnownShopper, ResolvedAnchors, Shoppers
from ranker.serving.request_model import RequestModel, choose_model
from ranker.serving.vectors import query_vector
from sightline_core.branch import Branch
from sightline_core.ranking import NominationBasis, RequestAnchors
from sightline_rules.fast_dataclass import fast_dataclass

MOST_GENERATED = 1000


@fast_dataclass(frozen=True, slots=True)
class NominateQuery:
    """A checked request for candidates."""

    catalog_id: str
    actor: str | None
    """Pseudonym of the shopper; `None` if anonymous."""
    now_micros: int
    top_k: int
    exclude: Sequence[str] = ()
    """Ids of products to exclude."""
    anchors: RequestAnchors | None = None
    recommenders: Sequence[Branch] = ()
    scope: CountScope = CountScope()
    recommenders_only: bool = False
    accepts_vectors: bool = False
    """True if the caller can search the index of collaborative vectors."""
    model_version: str = ""
    last_products: int = 0
    """Number of the shopper's last products to return if no model knows the shopper."""
    last_product_recommenders: Sequence[Branch] = ()
    """Recommenders to ask then, and beside a model that was not trained with the shopper."""


@fast_dataclass(frozen=True, slots=True)
class ShopperVector:
    """A shopper's vector in the collaborative space of one model."""

    model_version: str
    values: Floats


@fast_dataclass(frozen=True, slots=True)
class Behaviour:
    """Candidates by behaviour, or by popularity for shoppers without data."""

    found: Generated
    served: RequestModel
    vectors: Sequence[ShopperVector] = ()
    """Query vectors for the index; empty if `found` is complete."""
    left_out: Sequence[str] = ()
    """Products to exclude from that search."""


NO_BEHAVIOUR = Behaviour(Generated((), (), NominationBasis.NOTHING), RequestModel(None))


@fast_dataclass(frozen=True, slots=True)
class Nominated:
    """Candidates of a request."""

    history_token: str
    """Token with which Rank of the same request reuses the history; "" without a shopper."""
    anchors: Sequence[str]
    behaviour: Behaviour
    """NO_BEHAVIOUR if only recommenders were requested."""
    lists: Sequence[RecommenderList] = ()
    count_lag_micros: int = 0
    last_products: Mapping[str, float] = field(default_factory=dict)
    """The shopper's last products with their weights, newest first; empty if a model knows the
    shopper."""


class Nominate:
    """Use case with the current record and promoted models."""

    def __init__(
        self,
        reader: HistoryReader,
        models: Models,
        shoppers: Shoppers,
        counts: CountReader | None,
        in_memory_items: int,
    ) -> None:
        """Set the sources of candidates. `counts`: None disables recommenders. `in_memory_items`:
        for models of at most this many products, candidates come from memory even if the caller can
        search the index.
        """
        self._reader, self._models, self._shoppers = reader, models, shoppers
        self._counts, self._in_memory_items = counts, in_memory_items

    async def __call__(self, query: NominateQuery) -> Nominated:
        """Return the requested candidates."""
        whose = (query.catalog_id, query.actor)
        served = choose_model(self._models, query.catalog_id, query.model_version)
        read = await self._shoppers.read(*whose, served.model, now_micros=query.now_micros)
        token = self._shoppers.remember(*whose, read)
        last, names = dict[str, float](), query.recommenders
        if read.shopper.long_term is None:
            # Beside a long-term vector these add nothing (lab/research/personal.md).
            names = (*names, *query.last_product_recommenders)
        if not read.shopper.personal:
            history, count, signals = read.history, query.last_products, self._shoppers.signals
            given = (history.recent, history.hidden, count, signals)
            last = history.once(("last", count, signals), last_interests, *given)
        with_trail = not recommenders.BY_TRAIL.isdisjoint(names)
        known, resolved = await self._shoppers.resolve(
            *whose, read, query.anchors, with_trail=with_trail
        )
        behaviour = NO_BEHAVIOUR
        if not query.recommenders_only:
            behaviour = await self._by_behaviour(query, served, known, resolved.product_ids)
        lists, lag = await self._by_counts(query, names, read, resolved)
        return Nominated(token, resolved.product_ids, behaviour, lists, lag, last)

    async def _by_counts(
        self,
        query: NominateQuery,
        names: Sequence[Branch],
        read: KnownShopper,
        resolved: ResolvedAnchors,
    ) -> tuple[Sequence[RecommenderList], int]:
        """Return the lists of these recommenders, and the lag of their counts in microseconds."""
        if not names or self._counts is None:
            return (), 0
        anchors = resolved.product_ids
        left_out = read.history.hidden.union(query.exclude, anchors)
        wanted = recommenders.Wanted(names, query.scope, query.top_k, left_out)
        near = recommenders.near(names, anchors, read.history, self._shoppers.signals)
        asked = recommenders.asked(wanted, near, read.history.owner(query.actor))
        counted = await self._counts.counted(query.catalog_id, asked)
        found = recommenders.lists(wanted, counted, near, resolved.trail, query.now_micros)
        return found, counted.lag_micros

    async def _by_behaviour(
        self,
        query: NominateQuery,
        served: RequestModel,
        known: KnownShopper,
        anchors: Sequence[str],
    ) -> Behaviour:
        model, shopper, hidden = known.model, known.shopper, known.history.hidden
        excluded = frozenset((*query.exclude, *anchors))
        large = model is not None and len(model.item_ids) > self._in_memory_items
        if model is None or not (large and query.accepts_vectors and shopper.personal):
            found = await generate.generate(
                *(query.catalog_id, shopper, model, known.history, self._reader),
                top_k=query.top_k,
                exclude=excluded,
            )
            return Behaviour(found, served)
        left_out = [*query.exclude, *anchors, *sorted(hidden.difference(excluded))]
        return Behaviour(
            generate.by_neighbours(shopper, model, query.top_k, hidden | excluded),
            served,
            self._vectors(query, known, model, anchors),
            left_out[:MOST_GENERATED],
        )

    def _vectors(
        self, query: NominateQuery, known: KnownShopper, model: Model, anchors: Sequence[str]
    ) -> list[ShopperVector]:
        """Return the shopper's vector by each model whose products the index may hold."""
        shoppers, catalog_id = self._shoppers, query.catalog_id
        found = [(model, known.shopper)]
        for other in (self._models.serving(catalog_id), self._models.former(catalog_id)):
            if other is not None and other.version != model.version:
                by = shoppers.by(other, query.actor, known.history, known.now_micros)
                then = KnownShopper(known.history, by, other)
                found.append((other, shoppers.about(then, query.actor, anchors).shopper))
        return [_vector(each, by) for each, by in found if by.personal]


def _vector(model: Model, shopper: FoldIn) -> ShopperVector:
    factors = parts.factors(model, shopper=shopper)
    return ShopperVector(model.version, query_vector(*parts.query(model, shopper, factors)))
