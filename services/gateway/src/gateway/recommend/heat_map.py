"""Regions in which a shopper's photo and a product's are similar."""

from dataclasses import dataclass

from gateway.model.errors import NoPhoto, ProductNotFound
from gateway.model.peers import HeatMap
from gateway.model.price import photo_price
from gateway.model.query import AnswerScope, Signal
from gateway.recommend.validate import check_heat_map
from gateway.retrieval.embedding import photo_error
from gateway.state.request_context import RequestDependencies
from servicekit.errors import FieldViolation, ServiceError
from servicekit.rpc.requests import RequestInvalid
from sightline_core.branch import SPACES, Branch
from sightline_core.opaque_messages import ProductRow


@dataclass(frozen=True, slots=True)
class HeatMapQuery:
    """Request to compare a photo with a product."""

    catalog_id: str
    photo: Signal
    product_id: str
    image_id: str = ""
    """Photo of the product; empty: its first."""


async def heat_map(asked: HeatMapQuery, deps: RequestDependencies) -> tuple[str, HeatMap]:
    """Compare a photo with a product's. Return the id of the product's photo, and the similarity by
    region.

    Uses the version of the space that searches use. Raises NoPhoto, and errors of the caller and of
    peers, such as HEAT_MAP_UNAVAILABLE.
    """
    check_heat_map(asked.catalog_id, asked.photo, asked.product_id, deps.catalogs)
    with deps.in_time():
        async with deps.prices.charged(photo_price(asked.photo.image), asked.catalog_id):
            return await _compared(asked, deps)


async def _compared(asked: HeatMapQuery, deps: RequestDependencies) -> tuple[str, HeatMap]:
    found = await deps.peers.retriever.products(asked.catalog_id, [asked.product_id], AnswerScope())
    if not found.rows:
        raise ProductNotFound("product_id")
    image_id = _image(found.rows[0], asked.image_id)
    content = await deps.peers.retriever.photo(asked.catalog_id, image_id)
    # Versions learned from searches are not enough: this process may not have searched yet.
    state = await deps.peers.retriever.count(asked.catalog_id, SPACES[Branch.VISUAL])
    version = state.space.version if state.space else ""
    try:
        compared = deps.peers.embedder.compare(asked.catalog_id, asked.photo, content, version)
        return image_id, await compared
    except ServiceError as error:
        raise photo_error(asked.photo, error) or error from error


def _image(row: ProductRow, wanted: str) -> str:
    """Return the id of the product's photo to compare. Raises NoPhoto, RequestInvalid."""
    ids = [image.image_id for image in row.images]
    if not ids:
        raise NoPhoto
    if wanted and wanted not in ids:
        raise RequestInvalid(FieldViolation("image_id", "is not a photo of the product"))
    return wanted or ids[0]
