"""Recommendations, searches, and classification of photos.

Made by generate_sync.py from
api/recommendations.py: change that one and run it.
"""

from collections.abc import Iterable, Iterator
from typing import Unpack

from sightline_client._generated.base import SyncConnected
from sightline_client.values.answers import (
    Listing,
    Recommendations,
    RecommendedValues,
    SearchResults,
    Shelves,
)
from sightline_client.values.classifications import Classification
from sightline_client.values.explanations import Explanation, HeatMap
from sightline_client.values.photos import Photo
from sightline_client.values.requests import (
    ListOptions,
    RecommendOptions,
    SearchOptions,
    Shelf,
    ShelvesOptions,
)
from sightline_client.values.signals import Box
from sightline_client.values.suggestions import Suggestions


class SyncRecommendationCalls(SyncConnected):
    """Recommendations, searches, and classification of photos."""

    def recommend(
        self, *, page_token: str = "", **options: Unpack[RecommendOptions]
    ) -> Recommendations:
        """Return ranked, explained products: a page of an answer.

        Args:
            page_token: ``next_page_token`` of the page before, with the same options; "" = the
                first page.
            **options: See ``RecommendOptions``.
        """
        return self._loop.run(self._client.recommend(page_token=page_token, **options))

    def recommend_pages(self, **options: Unpack[RecommendOptions]) -> Iterator[Recommendations]:
        """Yield an answer page by page, to its end.

        NotFound (ANSWER_RECORD_MISSING) when the answer has expired meanwhile.

        Args:
            **options: See ``RecommendOptions``.
        """
        return self._loop.iterate(self._client.recommend_pages(**options))

    def recommend_values(
        self,
        field: str,
        *,
        below: str | Iterable[str] = (),
        products_per_value: int = 0,
        **options: Unpack[RecommendOptions],
    ) -> RecommendedValues:
        """Return the values of a field, such as brands, in the order for a shopper, each with its
        best products.

        Args:
            field: "brand", "category", "tags" or "attributes.<key>".
            below: For "category": the category path whose subcategories are ranked; () = the
                topmost categories.
            products_per_value: Number of products of each value, 1 to 10; 0 = 4.
            **options: See ``RecommendOptions``; ``page_size`` is the number of values, 1 to 50.
        """
        return self._loop.run(
            self._client.recommend_values(
                field, below=below, products_per_value=products_per_value, **options
            )
        )

    def shelves(self, shelves: Iterable[Shelf], **options: Unpack[ShelvesOptions]) -> Shelves:
        """Return several shelves of a page for one shopper: no product is on two of them.

        Args:
            shelves: 1 to 10, most important first.
            **options: See ``ShelvesOptions``.
        """
        return self._loop.run(self._client.shelves(shelves, **options))

    def explain(self, product_id: str, **options: Unpack[RecommendOptions]) -> Explanation:
        """Explain why a product is, or is not, in the answer to a request.

        The request is executed again and not recorded.

        Args:
            product_id: The product to explain.
            **options: The request's; see ``RecommendOptions``.
        """
        return self._loop.run(self._client.explain(product_id, **options))

    def search(self, **options: Unpack[SearchOptions]) -> SearchResults:
        """Return the products nearest to photos, a text and products, not ranked for a shopper.

        Args:
            **options: See ``SearchOptions``.
        """
        return self._loop.run(self._client.search(**options))

    def listing(self, *, page_token: str = "", **options: Unpack[ListOptions]) -> Listing:
        """Return a page of all products that pass a filter, in an order: a category page.

        Args:
            page_token: ``next_page_token`` of the page before, with the same options; "" = the
                first page.
            **options: See ``ListOptions``.
        """
        return self._loop.run(self._client.listing(page_token=page_token, **options))

    def suggest(
        self, prefix: str, *, top: int = 0, language: str = "", timeout: float | None = None
    ) -> Suggestions:
        """Return suggestions for what was typed so far into a search box.

        Args:
            prefix: Text as typed, up to 256 characters.
            top: Maximum number of suggestions, 1 to 20; 0: 10.
            language: BCP 47 language of the text; "": "en".
            timeout: Timeout of the call in seconds; None: the client's default.
        """
        return self._loop.run(
            self._client.suggest(prefix, top=top, language=language, timeout=timeout)
        )

    def listing_pages(self, **options: Unpack[ListOptions]) -> Iterator[Listing]:
        """Yield a listing page by page, to its end.

        Args:
            **options: See ``ListOptions``.
        """
        return self._loop.iterate(self._client.listing_pages(**options))

    def heat_map(
        self,
        image: Photo,
        product_id: str,
        *,
        image_id: str = "",
        box: Box | None = None,
        timeout: float | None = None,
    ) -> HeatMap:
        """Draw which regions of a photo and of a product's photo make them similar.

        FailedPrecondition (HEAT_MAP_UNAVAILABLE) when the product has no photo, or the space has no
        positions.

        Args:
            image: The query.
            product_id: The product.
            image_id: Of the product's photos; "" = its first.
            box: The part of the query that is meant; None = all of it.
        """
        return self._loop.run(
            self._client.heat_map(image, product_id, image_id=image_id, box=box, timeout=timeout)
        )

    def classify(
        self, image: Photo, *, box: Box | None = None, top: int = 0, timeout: float | None = None
    ) -> Classification:
        """Classify a photo: return categories with their probabilities, and filters to search with.

        FailedPrecondition (CLASSIFIER_UNAVAILABLE) when no fitted space of the catalog has learned
        categories.

        Args:
            image: The photo.
            box: The part that is meant; None = all of it.
            top: Number of categories, 1 to 20; 0 = 5.
        """
        return self._loop.run(self._client.classify(image, box=box, top=top, timeout=timeout))
