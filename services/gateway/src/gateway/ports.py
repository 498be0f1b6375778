"""Interfaces that the use cases require of their collaborators."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.model import peers
from gateway.model.experiment import ExperimentFile, RunningExperiment
from gateway.model.match import Match
from gateway.model.peers import IndexState
from gateway.model.query import AnswerScope, RequestQuery, Signal
from gateway.model.replay import RankerReplay
from gateway.model.scene import Scene, SceneInUse
from sightline_core import ranking
from sightline_core.answer import AnswerRecord
from sightline_core.columns import ProductColumns
from sightline_core.embedding import EmbeddedSignals
from sightline_core.lending import Searches
from sightline_core.opaque_messages import (
    Classification,
    EmbedderSpace,
    Facet,
    FacetRequest,
)
from sightline_core.search import (
    CatalogSuggestions,
    ListedProducts,
    ListingRequest,
    ProductRows,
    Rejection,
)
from sightline_core.shoppers import Shopper


class EmbedderPort(Protocol):
    """Embedding and classification of photos and texts. Raises ServiceError if the whole call
    fails."""

    async def embed(
        self,
        catalog_id: str,
        signals: Sequence[Signal],
        priority: int,
        space_version: str,
        *,
        space: str,
        views: int = 0,
        classify: bool = False,
        language_code: str = "",
    ) -> EmbeddedSignals:
        """Return a vector or an error for each signal, all in one space.

        `space_version`: empty: the default one. `views`: number of views of each photo; 0: the
        space's default. `classify`: with the photos' categories, which needs no further inference.
        `language_code`: of the texts; empty: unknown.
        """

    async def spaces(self, catalog_id: str) -> Sequence[EmbedderSpace]:
        """Return the spaces with their current states."""

    async def classify(self, catalog_id: str, photo: Signal, top_k: int) -> Classification:
        """Classify a photo by the catalog's newest classifier.

        Raises ServiceError also for an invalid photo.
        """

    async def embed_regions(
        self, catalog_id: str, photo: Signal, most: int, priority: int, space_version: str
    ) -> peers.EmbeddedRegions:
        """Find the objects in a photo, at most `most`, and embed each in the visual space; an empty
        version is the default one.

        Raises ServiceError also for an invalid photo.
        """

    async def read_label(self, catalog_id: str, photo: Signal, priority: int) -> peers.ReadLabel:
        """Read the texts in a photo that the request contains.

        Raises ServiceError also for an invalid photo.
        """

    async def compare(
        self, catalog_id: str, photo: Signal, other: bytes, space_version: str
    ) -> peers.HeatMap:
        """Compare a shopper's photo with a catalog photo; an empty version is the default one.

        Raises ServiceError also for invalid photos.
        """


class RetrieverPort(Searches[AnswerScope], Protocol):
    """Search of products and access to the record. Every call raises ServiceError if it fails."""

    async def categories(self, catalog_id: str, ids: Sequence[str]) -> Mapping[str, str]:
        """Return the written category paths of those of up to 1,000 products that exist."""

    async def newest(self, catalog_id: str, scope: AnswerScope, count: int) -> ProductColumns:
        """Return the newest products that pass, newest first."""

    async def products(
        self,
        catalog_id: str,
        ids: Sequence[str],
        scope: AnswerScope,
        titles: Sequence[str] = (),
        *,
        unshown: bool = False,
    ) -> ProductRows:
        """Return whole products, those of up to 1,000 that exist and pass, in the order asked.

        `titles`: up to 1,000 products whose titles are returned, whether they pass or not.
        `unshown`: with fields that no answer has, such as the cost.
        """

    async def facets(
        self, catalog_id: str, asked: Sequence[FacetRequest], scope: AnswerScope
    ) -> tuple[Facet, ...]:
        """Count the passing products by the values of some fields."""

    async def browse(
        self, catalog_id: str, asked: ListingRequest, scope: AnswerScope
    ) -> ListedProducts:
        """Return a page of all products that pass, in an order."""

    async def product_count(self, catalog_id: str, scope: AnswerScope) -> int:
        """Return the number of products that pass; variants of one parent count once."""

    async def suggest(
        self, catalog_id: str, prefix: str, language_code: str, size: int
    ) -> CatalogSuggestions:
        """Return suggestions for what was typed so far, at most `size` of each kind."""

    async def count(self, catalog_id: str, space: str) -> IndexState:
        """Return the state of a space in record and index, and its version."""

    async def photo(self, catalog_id: str, image_id: str) -> bytes:
        """Return the file of a product's photo."""

    async def rejection(
        self, catalog_id: str, product_id: str, scope: AnswerScope
    ) -> Rejection | None:
        """Return why an existing product does not pass; None if it passes."""


class RankerPort(Protocol):
    """Ranking by behaviour. Every call raises ServiceError if it fails."""

    async def generate(self, order: ranking.NominateRequest) -> ranking.RankerCandidates:
        """Return candidates by the shopper's behaviour, else popular products, and the lists of
        the recommenders."""

    async def rank(self, order: ranking.RankRequest) -> ranking.Ranked:
        """Rank the candidates; hidden ones are dropped."""

    async def reasons(self, order: ranking.ReasonRequest) -> ranking.Reasoned:
        """Return reasons of up to 200 products that were ranked before."""

    async def answer(self, catalog_id: str, asked: ranking.AnswerRange) -> AnswerRecord:
        """Return a recorded answer with a part of its products; its shopper is None.

        Raises ANSWER_RECORD_MISSING.
        """

    async def newest_answers(
        self, catalog_id: str, scene: str, since_micros: int, limit: int
    ) -> Sequence[str]:
        """Return ids of a scene's newest answers, served at that time or later."""

    async def replay(
        self, catalog_id: str, answer_id: str, limit: int, rules: peers.ReplayRules | None = None
    ) -> RankerReplay:
        """Rank a recorded answer again, and by other rules; return its first products.

        Raises ANSWER_RECORD_MISSING, ANSWER_RECORD_OUTDATED.
        """

    async def searches(self, catalog_id: str) -> Sequence[str]:
        """Return the texts that most shoppers searched for, most shoppers first."""

    async def control_counts(
        self, catalog_id: str, day: int, names: Sequence[str]
    ) -> Mapping[str, int]:
        """Count the answers of a day (UTC, in days since 1970) that each of up to 1,000 controls
        changed."""


class RecordQueue(Protocol):
    """Queue of answer records, sent after the answer."""

    def offer(self, catalog_id: str, record: AnswerRecord) -> bool:
        """Queue a record. Return False if the queue is full: the record is dropped."""

    def find(self, catalog_id: str, answer_id: str) -> AnswerRecord | None:
        """Return a queued record that was not sent yet; None if there is none."""


class SceneSource(Protocol):
    """The scenes that answer requests."""

    def get(self, name: str, catalog_id: str = "") -> Scene:
        """Return the current scene of a catalog; an empty name is "default". Raises
        SceneNotFound."""


class ListedScenes(SceneSource, Protocol):
    """The available scenes, with their texts and problems."""

    def is_recorded(self, catalog_id: str) -> bool:
        """Return whether the record steers a catalog, in place of files."""

    def in_use(self, name: str, catalog_id: str = "") -> SceneInUse:
        """Return the current scene of a catalog with its text; an empty name is "default". Raises
        SceneNotFound."""

    def names(self, catalog_id: str = "") -> tuple[str, ...]:
        """Return the scenes' names, sorted."""

    def problems(self, catalog_id: str = "") -> Mapping[str, str]:
        """Return the invalid files, or published scenes, that a catalog would use, each with its
        problem."""


class ArmAssignment(Protocol):
    """Assignment of shoppers to experiment arms."""

    def answering(self, query: RequestQuery, time_micros: int) -> tuple[str, tuple[str, ...]]:
        """Return the scene of an answer, and the arms that chose it."""

    async def permitted(self, query: RequestQuery, time_micros: int) -> bool:
        """Return whether the arms of `answering` may be used: there are none, or the shopper does
        not refuse experiments. Raises nothing."""


class ExperimentKeeper(Protocol):
    """Store of experiments. Every call raises ServiceError if it fails."""

    async def register(self, catalog_id: str, experiments: Sequence[ExperimentFile]) -> None:
        """Replace the experiments of a catalog. Raises EXPERIMENT_CHANGED if a running one was
        changed."""

    async def experiments(self, catalog_id: str) -> Sequence[RunningExperiment]:
        """Return the stored experiments."""

    async def in_experiments(self, catalog_id: str, shopper: Shopper) -> bool:
        """Return whether a shopper consents to experiments."""


class MatchCodec(Protocol):
    """Serialization of the best match for page tokens."""

    def pack(self, match: Match | None) -> bytes:
        """Return the match as bytes; empty without a match."""

    def unpack(self, data: bytes) -> Match:
        """Return the match of these bytes. Raises ValueError."""
