"""Changes of products, as plain values."""

from dataclasses import dataclass

from sightline_client.values.products import Product


@dataclass(frozen=True, slots=True)
class ProductUpdate:
    """A change of one product."""

    product: Product
    """Its id, the new values, and, if the change depends on what was read, its etag."""
    fields: tuple[str, ...] = ()
    """Names of the contract's fields to replace as a whole, e.g. ("title", "category_path"); an
    empty value clears the field. Default: every field that is set in ``product``."""
