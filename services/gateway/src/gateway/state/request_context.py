"""State and dependencies of one running request."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import field

from gateway.model.last_products import LastProducts
from gateway.model.plan import RequestPlan
from gateway.model.query import DEFAULT_LANGUAGE, RequestQuery
from gateway.model.snapshot import CatalogSnapshot
from gateway.ports import (
    ArmAssignment,
    EmbedderPort,
    MatchCodec,
    RankerPort,
    RecordQueue,
    RetrieverPort,
    SceneSource,
)
from gateway.state.exposure_goals import ExposureGoals
from gateway.state.exposures import Exposures
from gateway.state.history_reads import HistoryReads
from gateway.state.past_searches import PastSearches
from gateway.state.pins import Pins
from gateway.state.popular import PopularLists
from gateway.state.prices import RequestPrices
from gateway.state.recent_requests import RecentRequests
from gateway.state.text_spaces import TextQuerySpaces
from gateway.state.tokens import Digests
from gateway.state.trace import RequestTrace
from servicekit import deadlines
from servicekit.catalogs.known import KnownCatalogs
from servicekit.keys.keyring import SigningKeys, open_keys
from sightline_core.columns import NO_PRODUCTS, ProductColumns
from sightline_rules.fast_dataclass import fast_dataclass


class SpaceVersions:
    """Versions of spaces to embed with, by catalog and space: those that the index holds.

    During a roll-out the embedder may serve two. The retriever's rejections tell which one the
    active index holds, so an activation costs one additional embedding and no failed request.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], str] = {}

    def of(self, catalog_id: str, space: str) -> str:
        """Return the version to embed with; empty: the embedder's default one."""
        return self._known.get((catalog_id, space), "")

    def learn(self, catalog_id: str, space: str, version: str) -> None:
        """Remember that the index holds this version."""
        self._known[catalog_id, space] = version

    def forget(self, catalog_id: str, space: str) -> None:
        """Forget a version that the embedder does not serve."""
        self._known.pop((catalog_id, space), None)

    def forget_catalog(self, catalog_id: str) -> None:
        """Forget all versions of a catalog."""
        for key in [key for key in self._known if key[0] == catalog_id]:
            del self._known[key]


@fast_dataclass(frozen=True, slots=True)
class PeerClients:
    """The services behind the gateway."""

    embedder: EmbedderPort
    retriever: RetrieverPort
    ranker: RankerPort


@fast_dataclass(frozen=True, slots=True)
class RequestDependencies:
    """Dependencies of every request."""

    peers: PeerClients
    scenes: SceneSource
    answers: RecordQueue
    matches: MatchCodec
    catalogs: KnownCatalogs
    service_version: str
    default_seconds: float = 2.0
    """Seconds for a request whose caller sets no deadline."""
    longest_seconds: float = 10.0
    """Maximum seconds of a caller's deadline that are used."""
    reserve_seconds: float = 0.02
    """Seconds reserved to assemble the answer."""
    answer_seconds: float = 30 * 86400.0
    """Lifetime of records and attribution tokens, in seconds."""
    keys: SigningKeys = open_keys
    """Keys that sign tokens."""
    snapshot_of: Callable[[str], CatalogSnapshot | None] = lambda _: None
    """Returns the catalog's snapshot; `None` if there is none that may be used."""
    experiments: ArmAssignment | None = None
    versions: SpaceVersions = field(default_factory=SpaceVersions)
    text_spaces: TextQuerySpaces = field(default_factory=TextQuerySpaces)
    exposures: Exposures = field(default_factory=Exposures)
    goals: ExposureGoals = field(default_factory=ExposureGoals)
    pins: Pins = field(default_factory=Pins)
    history_reads: HistoryReads = field(default_factory=HistoryReads)
    prices: RequestPrices = field(default_factory=RequestPrices)
    popular: PopularLists = field(default_factory=PopularLists)
    past_searches: PastSearches = field(default_factory=PastSearches)
    recent: RecentRequests = field(default_factory=RecentRequests)

    def forget(self, catalog_id: str) -> None:
        """Drop what was kept of a catalog that is no longer in use, or was replaced."""
        self.versions.forget_catalog(catalog_id)
        self.text_spaces.forget(catalog_id)
        self.exposures.forget(catalog_id)
        self.goals.forget(catalog_id)
        self.pins.forget_catalog(catalog_id)
        self.prices.forget(catalog_id)
        self.popular.forget(catalog_id)
        self.past_searches.forget(catalog_id)
        self.recent.forget(catalog_id)

    def in_time(self) -> AbstractContextManager[None]:
        """Limit the body to the caller's deadline, or the default one."""
        left = deadlines.remaining()
        given = self.default_seconds if left is None else min(left, self.longest_seconds)
        return deadlines.within(max(given - self.reserve_seconds, 0.0))


@fast_dataclass(frozen=True, slots=True)
class RequestContext:
    """One request while it runs: a function that needs few of its values takes these."""

    query: RequestQuery
    digests: Digests
    plan: RequestPlan
    deps: RequestDependencies
    trace: RequestTrace
    time_micros: int
    """When the request was made, microseconds since 1970 (UTC)."""
    arms: tuple[str, ...] = ()
    """Experiment arms of the request."""
    last_products: LastProducts = LastProducts()  # frozen
    """The shopper's last products, if the request searches by them."""
    shown: ProductColumns = NO_PRODUCTS
    """Products of earlier shelves: neither they nor their near-duplicates are in the answer."""

    @property
    def peers(self) -> PeerClients:
        """The services behind the gateway."""
        return self.deps.peers

    @property
    def text_language(self) -> str:
        """Language of the request's texts."""
        own = self.deps.catalogs.language_code(self.query.catalog_id)
        return self.query.language_code or own or DEFAULT_LANGUAGE

    @property
    def left_out(self) -> tuple[str, ...]:
        """Products that no search brings into the answer: excluded ones, and the shopper's last
        products if the request searches by them."""
        last = self.last_products.ids
        return tuple(dict.fromkeys((*last, *self.excluded))) if last else self.excluded

    @property
    def excluded(self) -> tuple[str, ...]:
        """Products that not even a pin brings into the answer: the query's own, excluded ones,
        those of earlier shelves and, unless the scene answers anchors, inferred anchors."""
        query = self.query
        own = query.exclude_product_ids if self.last_products.ids else query.left_out
        anchors = () if self.plan.scene.answer_anchors else self.trace.anchors
        if not anchors and not self.shown.product_ids:
            return own
        return tuple(dict.fromkeys((*own, *self.shown.product_ids, *anchors)))

    @property
    def snapshot(self) -> CatalogSnapshot | None:
        """Snapshot that may replace the record, if there is one. Not for requests that must see a
        certain write."""
        asked = self.query
        return None if asked.min_index_token else self.deps.snapshot_of(asked.catalog_id)

    @property
    def unlisted_snapshot(self) -> CatalogSnapshot | None:
        """The snapshot, unless its products are candidates already, or the request has its own."""
        return None if self.trace.snapshot_listed or self.query.candidates else self.snapshot
