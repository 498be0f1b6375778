"""The demo as one self-contained HTML page: no script, no link to a file or a site it needs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from examples.wines.demo.model import Scene, Shown
from sightline_client.cli.show.page import HEIGHT, data_uri, environment, part_bars, timing_bars

__all__ = ["HEIGHT", "data_uri", "part_bars", "timing_bars", "write"]


def write(
    path: Path, *, lead: Sequence[str], scenes: Sequence[Scene], photos: Mapping[str, bytes]
) -> None:
    """Writes the page, its folder too. ``photos``: a photo of each product, by id."""
    thumbs = {product_id: data_uri(photo) for product_id, photo in photos.items()}
    page = environment(
        Path(__file__).parent, photo_of=lambda product_id: thumbs.get(product_id, "")
    )
    page.globals["query_photo"] = _query_photo
    text = page.get_template("page.html.j2").render(lead=lead, scenes=scenes)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _query_photo(shown: Shown) -> str:
    return data_uri(shown.photo)
