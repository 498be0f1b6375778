"""The values of sightline_core.columns, by the name under which the gateway knows them."""

from sightline_core.columns import (
    NO_PRODUCTS,
    Block,
    ProductColumns,
    _blocks,
    _column,
    _joined,
    gathered,
)

__all__ = ["NO_PRODUCTS", "Block", "ProductColumns", "_blocks", "_column", "_joined", "gathered"]
