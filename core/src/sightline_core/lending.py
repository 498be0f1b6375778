"""What a service lends to the others of its process. Values cross as they are: the borrower has
checked them, and neither side changes them. Errors are those of the calls on the wire."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sightline_core.columns import ProductColumns
from sightline_core.opaque_messages import Facet, FacetRequest, Vector
from sightline_core.ranking import (
    Ranked,
    RankerCandidates,
    RankRequest,
    Reasoned,
    ReasonRequest,
    Recommenders,
)
from sightline_core.search import CheckedProducts, NearestProducts, ProductRows, VectorBlend
from sightline_core.shoppers import Shopper
from sightline_rules.filters import Filter


@dataclass(frozen=True, slots=True)
class ReadFilter:
    """A filter that the retriever has read and found valid."""

    condition: Filter
    market_id: str
    """Market whose values conditions and products have; empty: the products' own."""
    sent: object
    """The message, whose paths rejections name; not changed."""


class LentRetriever(Protocol):
    """Searches of a catalog and reads of its record."""

    def read_filter(self, message: object) -> ReadFilter:
        """Return the filter of a message; None: every product passes. Raises FILTER_INVALID."""

    async def search(
        self,
        catalog_id: str,
        near: Vector | str | VectorBlend,
        passing: ReadFilter,
        *,
        top_k: int,
        exclude: Sequence[str],
        min_index_token: str,
    ) -> NearestProducts:
        """Return the products nearest to a vector, to a product, or to several together."""

    async def search_each(
        self,
        catalog_id: str,
        blends: Sequence[VectorBlend],
        passing: ReadFilter,
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
        passing: ReadFilter,
        *,
        top_k: int,
        exclude: Sequence[str],
        language_code: str,
        correct: bool,
        labelled: bool,
    ) -> NearestProducts:
        """Return the products whose words match a text best."""

    async def columns(
        self, catalog_id: str, ids: Sequence[str], passing: ReadFilter
    ) -> ProductColumns:
        """Return those of up to 1,000 products that exist and pass, in the order asked."""

    async def checked(
        self, catalog_id: str, ids: Sequence[str], passing: ReadFilter
    ) -> CheckedProducts:
        """Return the products as `columns` does, and why the others are excluded."""

    async def newest(self, catalog_id: str, passing: ReadFilter, count: int) -> ProductColumns:
        """Return the newest products that pass, newest first."""

    async def products(
        self,
        catalog_id: str,
        ids: Sequence[str],
        passing: ReadFilter,
        titles: Sequence[str],
        *,
        unshown: bool,
    ) -> tuple[ProductRows, int]:
        """Return whole products, and titles of others; and the number of the catalog's products,
        0 if unknown."""

    async def facets(
        self, catalog_id: str, asked: Sequence[FacetRequest], passing: ReadFilter
    ) -> tuple[tuple[Facet, ...], int]:
        """Return the values of some fields of the products that pass, and the number of these;
        variants of one parent count once."""


class LentRanker(Protocol):
    """Ranking by behaviour."""

    async def generate(
        self,
        catalog_id: str,
        shopper: Shopper | None,
        *,
        top_k: int,
        exclude: Sequence[str],
        accept_vectors: bool,
        recommenders: Recommenders,
        model_version: str,
    ) -> RankerCandidates:
        """Return candidates by the shopper's behaviour, and the lists of `recommenders`."""

    async def rank(self, order: RankRequest) -> Ranked:
        """Rank the candidates; hidden ones are dropped. Queue the record of the answer, if the
        request has one."""

    async def reasons(self, order: ReasonRequest) -> Reasoned:
        """Return reasons of products that were ranked before."""
