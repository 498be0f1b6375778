"""Ask for products: recommendations, searches, and what a photo is of.

Made from api/recommendations.py by generate_sync.py: change that one and run it.
"""

from collections.abc import Iterable, Iterator
from typing import Unpack

from sightline_client._generated.base import SyncConnected
from sightline_client.api.recommendations import RecommendOptions
from sightline_client.values.answers import AnswerQuality, Found, Recommendations
from sightline_client.values.classifications import Classification
from sightline_client.values.controls import Control
from sightline_client.values.explanations import Explanation, HeatMap
from sightline_client.values.facets import FacetQuery, Sort
from sightline_client.values.filters import Filter
from sightline_client.values.photos import Photo
from sightline_client.values.signals import Box, Unlike


class SyncRecommendationCalls(SyncConnected):
    """Ask for products: recommendations, searches, and what a photo is of."""

    def recommend(
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
        return self._loop.run(
            self._client.recommend(
                image=image,
                images=images,
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
                unlike=unlike,
                box=box,
                find_subject=find_subject,
                anchors=anchors,
                followed=followed,
                controls=controls,
                timeout=timeout,
            )
        )

    def recommend_pages(self, **request: Unpack[RecommendOptions]) -> Iterator[Recommendations]:
        """An answer page by page, until there is no more or you stop: takes what ``recommend``
        takes. NotFound (ANSWER_RECORD_MISSING) when the answer has expired meanwhile."""
        return self._loop.iterate(self._client.recommend_pages(**request))

    def explain(self, product_id: str, **request: Unpack[RecommendOptions]) -> Explanation:
        """Why a product is, or is not, in the answer to a request: takes what ``recommend`` takes.
        The request is carried out anew and not recorded."""
        return self._loop.run(self._client.explain(product_id, **request))

    def search(
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
        return self._loop.run(
            self._client.search(
                image=image,
                images=images,
                text=text,
                products=products,
                filter=filter,
                page_size=page_size,
                min_index_token=min_index_token,
                unlike=unlike,
                box=box,
                find_subject=find_subject,
                facets=facets,
                sort=sort,
                timeout=timeout,
            )
        )

    def heat_map(
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
        return self._loop.run(
            self._client.heat_map(
                image,
                product_id,
                image_id=image_id,
                box=box,
                find_subject=find_subject,
                timeout=timeout,
            )
        )

    def classify(
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
        return self._loop.run(
            self._client.classify(
                image, box=box, find_subject=find_subject, top=top, timeout=timeout
            )
        )
