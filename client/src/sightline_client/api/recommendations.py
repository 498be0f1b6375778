"""Ask for products: recommendations, searches, and what a photo is of."""

from collections.abc import AsyncIterator, Iterable
from typing import Any, TypedDict, Unpack

from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, requests, to_wire
from sightline_client.values.answers import AnswerQuality, Found, Recommendations
from sightline_client.values.classifications import Classification
from sightline_client.values.controls import Control
from sightline_client.values.explanations import Explanation, HeatMap
from sightline_client.values.facets import FacetQuery, Sort
from sightline_client.values.filters import Filter
from sightline_client.values.photos import Photo, Uri, load
from sightline_client.values.signals import Box, Unlike


class RecommendOptions(TypedDict, total=False):
    """What ``recommend`` takes, but for the page's token."""

    image: Photo | None
    images: Iterable[Photo]
    text: str | None
    products: str | Iterable[str]
    user: str | None
    visitor: str | None
    session: str
    filter: Filter | None
    page_size: int
    scene: str
    language: str
    exclude: str | Iterable[str]
    min_index_token: str
    min_quality: float
    min_answer_quality: AnswerQuality | None
    explain: bool
    unlike: Unlike | None
    box: Box | None
    find_subject: bool
    anchors: str | Iterable[str]
    followed: str | Iterable[str]
    controls: Iterable[Control]
    timeout: float | None


class RecommendationCalls(Connected):
    """Ask for products: recommendations, searches, and what a photo is of."""

    async def recommend(
        self,
        *,
        image: Photo | None = None,
        images: Iterable[Photo] = (),
        text: str | None = None,
        products: str | Iterable[str] = (),
        user: str | None = None,
        visitor: str | None = None,
        session: str = "",
        filter: Filter | None = None,
        page_size: int = 0,
        page_token: str = "",
        scene: str = "",
        language: str = "",
        exclude: str | Iterable[str] = (),
        min_index_token: str = "",
        min_quality: float = 0.0,
        min_answer_quality: AnswerQuality | None = None,
        explain: bool = False,
        unlike: Unlike | None = None,
        box: Box | None = None,
        find_subject: bool = False,
        anchors: str | Iterable[str] = (),
        followed: str | Iterable[str] = (),
        controls: Iterable[Control] = (),
        timeout: float | None = None,
    ) -> Recommendations:
        """Ranked, explained products.

        Near to any mix of photos, a text and products (up to 8 in all), for a known ``user`` or a
        ``visitor``; with none of these, what is popular. ``filter``: only products that pass.
        ``page_size``: 1 to 200, 0 = 20. ``scene``: the named plan, "" = "default".
        ``exclude``: product ids to leave out. ``min_index_token``: see at least that catalog
        write. ``min_quality``: similarity (0 to 1) below which ``no_good_match`` is set, 0 = the
        scene's own. ``min_answer_quality``: what is poorer is refused (Unavailable,
        ANSWER_DEGRADED), None = the scene's own. ``explain``: split the parts of scores by feature,
        on the first page.
        ``unlike``: what is not wanted. ``box``: the part of the photos that is meant, None = all of
        them; ``find_subject``: look for it, and say where it is in ``subjects``. ``anchors``: what
        the request is about, such as the product of a page or those of a cart (up to 50);
        ``followed``: whom the shopper follows, for a scene that can follow.
        them; ``find_subject``: look for it, and say where it is in ``subjects``.
        ``controls``: what to pin, boost, bury and exclude; see ``control_outcomes``.
        """
        request = requests.recommend(
            catalog=self.catalog,
            images=await _photos(image, images),
            text=text,
            products=products,
            user=user,
            visitor=visitor,
            session=session,
            filter=filter,
            page_size=page_size,
            page_token=page_token,
            scene=scene,
            language=language,
            exclude=exclude,
            min_index_token=min_index_token,
            min_quality=min_quality,
            min_answer_quality=min_answer_quality,
            explain=explain,
            unlike=await _unlike(unlike),
            box=box,
            find_subject=find_subject,
            anchors=anchors,
            followed=followed,
            controls=controls,
        )
        return from_wire.recommendations(
            await self._call(self.calls.recommendation.Recommend, request, timeout)
        )

    async def recommend_pages(
        self, **request: Unpack[RecommendOptions]
    ) -> AsyncIterator[Recommendations]:
        """An answer page by page, until there is no more or you stop: takes what ``recommend``
        takes. NotFound (ANSWER_RECORD_MISSING) when the answer has expired meanwhile."""
        request["images"] = await _photos(request.pop("image", None), request.pop("images", ()))
        request["unlike"] = await _unlike(request.get("unlike"))
        request["products"] = requests.ids(request.get("products", ()))
        request["exclude"] = requests.ids(request.get("exclude", ()))
        request["anchors"] = requests.ids(request.get("anchors", ()))
        request["followed"] = requests.ids(request.get("followed", ()))
        request["controls"] = tuple(request.get("controls", ()))
        token = ""
        while True:
            page = await self.recommend(**request, page_token=token)
            yield page
            token = page.next_page_token
            if not token:
                return

    async def explain(self, product_id: str, **request: Unpack[RecommendOptions]) -> Explanation:
        """Why a product is, or is not, in the answer to a request: takes what ``recommend`` takes.
        The request is carried out anew and not recorded."""
        options: dict[str, Any] = {**request}
        timeout = options.pop("timeout", None)
        images = await _photos(options.pop("image", None), options.pop("images", ()))
        options["unlike"] = await _unlike(options.get("unlike"))
        asked = requests.recommend(catalog=self.catalog, images=images, **options)
        with to_wire.sendable("product_id"):
            explained = rec.ExplainRecommendationRequest(request=asked, product_id=product_id)
        method = self.calls.recommendation.ExplainRecommendation
        return from_wire.explanation(await self._call(method, explained, timeout))

    async def search(
        self,
        *,
        image: Photo | None = None,
        images: Iterable[Photo] = (),
        text: str | None = None,
        products: str | Iterable[str] = (),
        filter: Filter | None = None,
        page_size: int = 0,
        min_index_token: str = "",
        unlike: Unlike | None = None,
        box: Box | None = None,
        find_subject: bool = False,
        facets: Iterable[FacetQuery | str] = (),
        sort: Sort = Sort.NEAREST,
        timeout: float | None = None,
    ) -> Found:
        """The products nearest to photos, a text and products, not ranked for anyone; see
        ``recommend``. ``facets``: fields whose values are counted over all products that pass the
        filter. ``sort``: the order of the nearest 100, or of as many as five pages hold."""
        photos, away = await _photos(image, images), await _unlike(unlike)
        near = requests.ids(products)
        with to_wire.sendable("request"):
            request = rec.SearchRequest(
                catalog_id=self.catalog,
                signals=to_wire.signals(
                    photos, text, near, unlike=away, box=box, find_subject=find_subject
                ),
                filter=to_wire.filter_(filter),
                page_size=page_size,
                min_index_token=min_index_token,
                facets=map(to_wire.facet, facets),
                sort=rec.Sort.Value(f"SORT_{sort}"),
            )
        return from_wire.found(await self._call(self.calls.recommendation.Search, request, timeout))

    async def heat_map(
        self,
        image: Photo,
        product_id: str,
        *,
        image_id: str = "",
        box: Box | None = None,
        find_subject: bool = False,
        timeout: float | None = None,
    ) -> HeatMap:
        """Which regions of a photo and of a product's make them similar, as a picture.
        ``image_id``: of the product's photos; "" = its first. FailedPrecondition
        (HEAT_MAP_UNAVAILABLE) where the product has no photo, or the space shows no positions."""
        photo = await load(image)
        with to_wire.sendable("request"):
            request = rec.DrawHeatMapRequest(
                catalog_id=self.catalog,
                box=None if box is None else to_wire.box_(box),
                find_subject=find_subject,
                product_id=product_id,
                image_id=image_id,
            )
            if isinstance(photo, Uri):
                request.image_uri = photo
            else:
                request.image = photo
        method = self.calls.recommendation.DrawHeatMap
        return from_wire.heat_map(await self._call(method, request, timeout))

    async def classify(
        self,
        image: Photo,
        *,
        box: Box | None = None,
        find_subject: bool = False,
        top: int = 0,
        timeout: float | None = None,
    ) -> Classification:
        """What a photo is of: categories with their chances, and filters to search on with.
        ``top``: how many categories, 1 to 20, 0 = 5. FailedPrecondition (CLASSIFIER_UNAVAILABLE)
        where no fitted space of the catalog has learned categories."""
        photo = await load(image)
        with to_wire.sendable("request"):
            request = rec.ClassifyRequest(
                catalog_id=self.catalog,
                box=None if box is None else to_wire.box_(box),
                find_subject=find_subject,
                top_k=top,
            )
            if isinstance(photo, str):
                request.image_uri = photo
            else:
                request.image = photo
        response = await self._call(self.calls.recommendation.Classify, request, timeout)
        return from_wire.classification(response)


async def _photos(image: Photo | None, images: Iterable[Photo]) -> list[bytes | Uri]:
    photos = [*images] if image is None else [image, *images]
    return [await load(photo) for photo in photos]


async def _unlike(value: Unlike | None) -> Unlike | None:
    """The same with its photos loaded; what can be read once only is read here."""
    if value is None:
        return None
    texts, products = requests.ids(value.texts), requests.ids(value.products)
    return Unlike(await _photos(None, value.images), texts, products, value.weight)
