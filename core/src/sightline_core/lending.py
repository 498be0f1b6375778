"""What a service lends to the others of its process. Values cross as they are: the borrower has
checked them, and neither side changes them. Errors are those of the calls on the wire."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from sightline_core.columns import ProductColumns
from sightline_core.embedding import Content, EmbeddedSignals
from sightline_core.opaque_messages import Facet, FacetRequest, Vector
from sightline_core.ranking import (
    AnswerRange,
    NominateRequest,
    Ranked,
    RankerCandidates,
    RankRequest,
    Reasoned,
    ReasonRequest,
)
from sightline_core.search import (
    CatalogSuggestions,
    CheckedProducts,
    ListedProducts,
    ListingRequest,
    NearestProducts,
    ProductRows,
    VectorBlend,
)
from sightline_rules.fast_dataclass import fast_dataclass
from sightline_rules.filters import Filter

S_contra = TypeVar("S_contra", contravariant=True)


@fast_dataclass(frozen=True, slots=True)
class ReadFilter:
    """A filter that the retriever has read and found valid."""

    condition: Filter
    market_id: str
    """Market whose values conditions and products have; empty: the products' own."""
    sent: object
    """The message, whose paths rejections name; not changed."""


class Searches(Protocol[S_contra]):
    """Searches of a catalog and reads of its record. What passes is said by an S_contra. Every call
    raises ServiceError if it fails."""

    async def search(
        self,
        catalog_id: str,
        near: Vector | str | VectorBlend,
        scope: S_contra,
        *,
        top_k: int,
        exclude: Sequence[str],
        min_index_token: str,
    ) -> NearestProducts:
        """Return the `top_k` products nearest to a vector, to a product, or to several together.

        Near-duplicates of one another count as one, and all are returned.
        """

    async def search_each(
        self,
        catalog_id: str,
        blends: Sequence[VectorBlend],
        scope: S_contra,
        *,
        top_k: int,
        exclude: Sequence[str],
        min_index_token: str,
    ) -> Sequence[NearestProducts | Any]:
        """Return for each blend of one space what `search` returns, or the error that it raises."""

    async def keywords(
        self,
        catalog_id: str,
        text: str,
        scope: S_contra,
        *,
        top_k: int,
        exclude: Sequence[str],
        language_code: str = "",
        correct: bool = False,
        labelled: bool = False,
        guess_language: bool = False,
    ) -> NearestProducts:
        """Return the `top_k` products whose words match a text best, with similarities 0 to 1.

        `labelled`: the text is that of a label, and words of the products' labels count too.
        `guess_language`: the code is a default, not that of the request.

        Near-duplicates of one another count as one, and all are returned.
        """

    async def columns(self, catalog_id: str, ids: Sequence[str], scope: S_contra) -> ProductColumns:
        """Return those of up to 1,000 products that exist and pass, in the order asked."""

    async def checked(
        self, catalog_id: str, ids: Sequence[str], scope: S_contra
    ) -> CheckedProducts:
        """Return the products as `columns` does, and why the others are excluded."""


class LentRetriever(Searches[ReadFilter], Protocol):
    """Searches and reads that the retriever lends to the other services of its process."""

    def read_filter(self, message: object) -> ReadFilter:
        """Return the filter of a message; None: every product passes. Raises FILTER_INVALID."""

    async def newest(
        self, catalog_id: str, scope: ReadFilter, count: int, token: str
    ) -> tuple[ProductColumns, str]:
        """Return a page of the newest products that pass, newest first, and the token of the next
        one; empty on the last."""

    async def products(
        self,
        catalog_id: str,
        ids: Sequence[str],
        scope: ReadFilter,
        titles: Sequence[str],
        *,
        unshown: bool,
    ) -> tuple[ProductRows, int]:
        """Return whole products, and titles of others; and the number of the catalog's products,
        0 if unknown."""

    async def facets(
        self, catalog_id: str, asked: Sequence[FacetRequest], scope: ReadFilter
    ) -> tuple[Sequence[Facet], int]:
        """Return the values of some fields of the products that pass, and the number of these;
        variants of one parent count once."""

    async def browse(
        self, catalog_id: str, asked: ListingRequest, scope: ReadFilter, last: ReadFilter | None
    ) -> tuple[ListedProducts, int]:
        """Return a page of the products that pass, of which those of `last` follow after all
        others; and the number of the catalog's products, 0 if unknown. `asked.last` is not
        read."""

    async def suggest(
        self, catalog_id: str, prefix: str, language_code: str, size: int
    ) -> CatalogSuggestions:
        """Return suggestions for what was typed so far, at most `size` of each kind."""


class LentEmbedder(Protocol):
    """Embedding of photos and texts."""

    async def embed(
        self,
        catalog_id: str,
        signals: Sequence[Content],
        priority: int,
        *,
        space: str,
        version: str,
        views: int,
        guesses: int,
        language_code: str,
    ) -> EmbeddedSignals:
        """Return a vector or an error for each signal, all in one space.

        `priority`: its number in the contract; `version`: empty: the space's default; `views`: of
        each photo; 0: the space's default; `guesses`: categories of each photo; `language_code`: of
        the texts; empty: unknown.
        """


class LentRanker(Protocol):
    """Ranking by behaviour."""

    async def generate(self, order: NominateRequest) -> RankerCandidates:
        """Return candidates by the shopper's behaviour, and the lists of `recommenders`."""

    async def rank(self, order: RankRequest) -> Ranked:
        """Rank the candidates; hidden ones are dropped. Queue the record of the answer, if the
        request has one."""

    async def reasons(self, order: ReasonRequest) -> Reasoned:
        """Return reasons of products that were ranked before."""

    async def answer(self, catalog_id: str, asked: AnswerRange) -> object:
        """Return a part of a recorded answer, as the message that the store has. Raises
        ANSWER_RECORD_MISSING."""
