"""Self-contained HTML page of the answers that a changed scene would have given."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path
from types import MappingProxyType

from sightline_client.cli.show import page, scenes
from sightline_client.values.products import Product
from sightline_client.values.scenes import SceneDiff

HEIGHT = 120
"""Pixels of a photo: a page has up to 400 products, each before and after."""


def shown(value: SceneDiff) -> Sequence[str]:
    """Return the products of the answers on the page."""
    return list(
        dict.fromkeys(
            product_id
            for each in value.answers
            for product_id in (*each.before_product_ids, *each.after_product_ids)
        )
    )


def write(
    path: Path,
    scene: str,
    value: SceneDiff,
    products: Mapping[str, Product] = MappingProxyType({}),
    photos: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Write the page and its folder. ``products`` and ``photos``: by product id, as far as they are
    known."""
    made = page.environment(photo_of=page.thumbnails(photos, HEIGHT))
    made.globals.update(words=scenes, zip=partial(zip_longest, fillvalue=""))
    template = made.get_template("scene_diff.html.j2")
    page.render(path, template, scene=scene, found=value, products=products)
