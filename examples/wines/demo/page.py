"""The demo as one self-contained HTML page: no script, no link to a file or a site it needs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from examples.wines.demo.model import Scene, Shown
from sightline_client import SightlineClient
from sightline_client.cli.show.page import (
    HEIGHT,
    POLICY,
    data_uri,
    environment,
    part_bars,
    timing_bars,
)

__all__ = ["HEIGHT", "POLICY", "data_uri", "part_bars", "photos", "timing_bars", "write"]

TITLE = "Real wines, recommended from photos"


async def photos(client: SightlineClient, shown: Sequence[Scene]) -> dict[str, bytes]:
    """Return a photo of every product that is shown, from the suite."""
    products = {
        item.product.product_id: item.product
        for scene in shown
        for answer in scene.answers
        for item in answer.recommendations.results
    }
    return {
        product_id: (await client.get_image(product.images[0].image_id)).content
        for product_id, product in products.items()
        if product.images
    }


def write(
    path: Path,
    *,
    title: str = TITLE,
    lead: Sequence[str],
    scenes: Sequence[Scene],
    photos: Mapping[str, bytes],
) -> None:
    """Write the page and its folder. ``photos``: a photo of each product, by id."""
    thumbs = {product_id: data_uri(photo) for product_id, photo in photos.items()}
    page = environment(
        Path(__file__).parent, photo_of=lambda product_id: thumbs.get(product_id, "")
    )
    page.globals["query_photo"] = _query_photo
    text = page.get_template("page.html.j2").render(title=title, lead=lead, scenes=scenes)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _query_photo(shown: Shown) -> str:
    return data_uri(shown.photo)
