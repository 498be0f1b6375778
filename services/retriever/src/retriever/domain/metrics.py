"""Labels of metrics."""

from collections.abc import Collection

MAX_CATALOG_LABELS = 20


def catalog_label(catalog: str, catalogs: Collection[str]) -> str:
    """Return the catalog's label in metrics: with many catalogs, one for all."""
    return catalog if len(catalogs) <= MAX_CATALOG_LABELS else "several"
