"""Pages made of templates, in the language of their reader."""

from datetime import UTC, datetime
from pathlib import Path

from sightline_client.cli.show import explained, page, tables
from sightline_client.values.answers import FoundProduct, RecommendedProduct
from sightline_client.values.products import Product
from sightline_console.web.addresses import address, segment

HERE = Path(__file__).parent
STATIC = HERE / "static"


class Pages:
    """The templates."""

    def __init__(self, http_address: str) -> None:
        """`http_address`: that of the gateway over HTTP, for examples."""
        self.http_address = http_address
        self._templates = page.environment(HERE / "templates", photo_of=lambda _product_id: "")
        self._templates.globals.update(
            address=address,
            photo=_photo,
            moment=_moment,
            typed_moment=typed_moment,
            first_photo=_first_photo,
            causes=explained.CAUSES,
            qualities=tables.QUALITIES,
            has_htmx=(STATIC / "htmx.min.js").exists(),
        )

    def render(self, template: str, **values: object) -> str:
        """Return a page as HTML."""
        return self._templates.get_template(f"{template}.html.j2").render(values)


def _moment(value: object) -> str:
    """Write a time for people."""
    typed = typed_moment(value)
    return f"{typed.replace('T', ' ')} UTC" if typed else ""


def typed_moment(value: object) -> str:
    """Write a time as a field holds it, in UTC; empty: there is none in any calendar."""
    if not isinstance(value, datetime):
        return ""
    try:
        utc = value.astimezone(UTC) if value.tzinfo else value
    except OverflowError:
        return ""
    return utc.replace(tzinfo=None).isoformat(timespec="minutes")


def _photo(item: RecommendedProduct | FoundProduct) -> str:
    """Return the address of the photo that matched, else of the first one; empty: there is none."""
    if item.matched_image_id:
        return f"/photos/{segment(item.matched_image_id)}"
    return _first_photo(item.product)


def _first_photo(product: Product) -> str:
    images = product.images
    return f"/photos/{segment(images[0].image_id)}" if images else ""
