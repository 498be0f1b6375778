"""Recommendations, searches, and classification of photos."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar, Unpack, cast

from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_client.api.base import Connected
from sightline_client.convert import classifying, from_wire, requests, to_wire
from sightline_client.values.answers import (
    Listing,
    Recommendations,
    RecommendedValues,
    SearchResults,
    Shelves,
)
from sightline_client.values.classifications import Classification
from sightline_client.values.explanations import Explanation, HeatMap
from sightline_client.values.parts import Unlike
from sightline_client.values.photos import Photo, Uri, load
from sightline_client.values.requests import (
    ListOptions,
    QueryOptions,
    RecommendOptions,
    SearchOptions,
    Shelf,
    ShelvesOptions,
)
from sightline_client.values.signals import Box
from sightline_client.values.suggestions import Suggestions

Options = TypeVar("Options", bound=QueryOptions)


class RecommendationCalls(Connected):
    """Calls for recommendations, searches, and classification of photos."""

    async def recommend(
        self, *, page_token: str = "", **options: Unpack[RecommendOptions]
    ) -> Recommendations:
        """Return ranked, explained products: a page of an answer.

        Args:
            page_token: ``next_page_token`` of the page before, with the same options; "" = the
                first page.
            **options: See ``RecommendOptions``.
        """
        asked = await _loaded(options)
        request = requests.recommend(catalog=self.catalog, page_token=page_token, **asked)
        method = self.calls.recommendation.Recommend
        return from_wire.recommendations(await self._call(method, request, options.get("timeout")))

    async def recommend_pages(
        self, **options: Unpack[RecommendOptions]
    ) -> AsyncIterator[Recommendations]:
        """Yield an answer page by page, to its end.

        NotFound (ANSWER_RECORD_MISSING) when the answer has expired meanwhile.

        Args:
            **options: See ``RecommendOptions``.
        """
        asked = await _loaded(options)
        token = ""
        while True:
            page = await self.recommend(**asked, page_token=token)
            yield page
            token = page.next_page_token
            if not token:
                return

    async def recommend_values(
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
        asked = await _loaded(options)
        request = requests.values(
            field,
            catalog=self.catalog,
            below=below,
            products_per_value=products_per_value,
            **asked,
        )
        method = self.calls.recommendation.RecommendValues
        return from_wire.recommended_values(
            await self._call(method, request, options.get("timeout"))
        )

    async def shelves(self, shelves: Iterable[Shelf], **options: Unpack[ShelvesOptions]) -> Shelves:
        """Return several shelves of a page for one shopper: no product is on two of them.

        Args:
            shelves: 1 to 10, most important first.
            **options: See ``ShelvesOptions``.
        """
        loaded = [await _loaded_shelf(shelf) for shelf in shelves]
        request = requests.shelves(loaded, catalog=self.catalog, **options)
        method = self.calls.recommendation.RecommendShelves
        return from_wire.shelves(await self._call(method, request, options.get("timeout")))

    async def explain(self, product_id: str, **options: Unpack[RecommendOptions]) -> Explanation:
        """Explain why a product is, or is not, in the answer to a request.

        The request is executed again and not recorded.

        Args:
            product_id: The product to explain.
            **options: The request's; see ``RecommendOptions``.
        """
        asked = requests.recommend(catalog=self.catalog, **await _loaded(options))
        with to_wire.sendable("product_id"):
            explained = rec.ExplainRecommendationRequest(request=asked, product_id=product_id)
        method = self.calls.recommendation.ExplainRecommendation
        return from_wire.explanation(await self._call(method, explained, options.get("timeout")))

    async def search(self, **options: Unpack[SearchOptions]) -> SearchResults:
        """Return the products nearest to photos, a text and products, not ranked for a shopper.

        Args:
            **options: See ``SearchOptions``.
        """
        request = requests.search(catalog=self.catalog, **await _loaded(options))
        method = self.calls.recommendation.Search
        return from_wire.found(await self._call(method, request, options.get("timeout")))

    async def listing(self, *, page_token: str = "", **options: Unpack[ListOptions]) -> Listing:
        """Return a page of all products that pass a filter, in an order: a category page.

        Args:
            page_token: ``next_page_token`` of the page before, with the same options; "" = the
                first page.
            **options: See ``ListOptions``.
        """
        request = requests.listing(catalog=self.catalog, page_token=page_token, **options)
        method = self.calls.recommendation.List
        return from_wire.listing(await self._call(method, request, options.get("timeout")))

    async def suggest(
        self, prefix: str, *, top: int = 0, language: str = "", timeout: float | None = None
    ) -> Suggestions:
        """Return suggestions for what was typed so far into a search box.

        Args:
            prefix: Text as typed, up to 256 characters.
            top: Maximum number of suggestions, 1 to 20; 0: 10.
            language: BCP 47 language of the text; "": "en".
            timeout: Timeout of the call in seconds; None: the client's default.
        """
        method, kind = self.calls.recommendation.Suggest, rec.SuggestRequest
        fields = {"prefix": prefix, "page_size": top, "language_code": language}
        return from_wire.suggested(await self._ask(method, kind, timeout, **fields))

    async def listing_pages(self, **options: Unpack[ListOptions]) -> AsyncIterator[Listing]:
        """Yield a listing page by page, to its end.

        Args:
            **options: See ``ListOptions``.
        """
        token = ""
        while True:
            page = await self.listing(page_token=token, **options)
            yield page
            token = page.next_page_token
            if not token:
                return

    async def heat_map(
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
        method, kind = self.calls.recommendation.DrawHeatMap, rec.DrawHeatMapRequest
        fields = {"product_id": product_id, "image_id": image_id, "box": box}
        fields |= to_wire.photo(await load(image))
        return from_wire.heat_map(await self._ask(method, kind, timeout, **fields))

    async def classify(
        self,
        image: Photo,
        *,
        box: Box | None = None,
        top: int = 0,
        timeout: float | None = None,
    ) -> Classification:
        """Classify a photo: return categories with their probabilities, and filters to search with.

        FailedPrecondition (CLASSIFIER_UNAVAILABLE) when no fitted space of the catalog has learned
        categories.

        Args:
            image: The photo.
            box: The part that is meant; None = all of it.
            top: Number of categories, 1 to 20; 0 = 5.
        """
        method, kind = self.calls.recommendation.Classify, rec.ClassifyRequest
        fields = {"box": box, "top_k": top} | to_wire.photo(await load(image))
        return classifying.classification(await self._ask(method, kind, timeout, **fields))


async def _loaded(options: Options) -> Options:
    """Return the options with photos as bytes or addresses, and with what can be read only once
    as tuples."""
    asked: Mapping[str, Any] = options
    kept = str, Mapping  # can be read again
    made = {
        name: tuple(value) if isinstance(value, Iterable) and not isinstance(value, kept) else value
        for name, value in asked.items()
        if name != "image"
    }
    image, unlike = asked.get("image"), asked.get("unlike")
    photos = [*([] if image is None else [image]), *made.get("images", ())]
    made["images"] = await _photos(photos)
    if isinstance(unlike, Unlike):
        texts, products = requests.ids(unlike.texts), requests.ids(unlike.products)
        made["unlike"] = Unlike(await _photos(unlike.images), texts, products, unlike.weight)
    return cast("Options", made)


async def _loaded_shelf(shelf: Shelf) -> Shelf:
    """Return the shelf with photos as bytes or addresses."""
    recommend, search = shelf.recommend, shelf.search
    return replace(
        shelf,
        recommend=None if recommend is None else await _loaded(recommend),
        search=None if search is None else await _loaded(search),
    )


async def _photos(images: Iterable[Photo]) -> list[bytes | Uri]:
    return [await load(photo) for photo in images]
