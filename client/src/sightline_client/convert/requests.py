"""Requests of the recommendation calls, from plain values."""

import uuid
from collections.abc import Iterable

from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_client.convert import to_wire
from sightline_client.convert.to_wire import ids
from sightline_client.values.answers import AnswerQuality
from sightline_client.values.controls import Control
from sightline_client.values.filters import Filter
from sightline_client.values.photos import Uri
from sightline_client.values.signals import Box, Unlike

__all__ = ["ids", "own_id", "recommend"]


def own_id(request_id: str = "") -> str:
    """The id given, else a new one: a call that starts a job may be tried again, and must not start
    a second one."""
    return request_id or str(uuid.uuid4())


def recommend(
    *,
    catalog: str = "",
    images: Iterable[bytes | Uri] = (),
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
) -> rec.RecommendRequest:
    """See ``SightlineClient.recommend``. InvalidRequest for a user and a visitor at once."""
    with to_wire.sendable("request"):
        return rec.RecommendRequest(
            catalog_id=catalog,
            signals=to_wire.signals(
                images, text, ids(products), unlike=unlike, box=box, find_subject=find_subject
            ),
            shopper=to_wire.shopper(user, visitor),
            session_id=session,
            filter=to_wire.filter_(filter),
            page_size=page_size,
            page_token=page_token,
            scene=scene,
            language_code=language,
            exclude_product_ids=ids(exclude),
            min_index_token=min_index_token,
            min_quality=min_quality,
            min_answer_quality=to_wire.answer_quality(min_answer_quality),
            explain=explain,
            anchor_product_ids=ids(anchors),
            followed=ids(followed),
            controls=[to_wire.control(each) for each in controls],
        )
