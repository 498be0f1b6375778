"""Labels of metrics."""

from collections.abc import Sequence

MAX_CATALOG_LABELS = 20


def catalog_label(catalog: str, catalogs: Sequence[str]) -> str:
    """Return the catalog's label in metrics: with many catalogs, one for all."""
    return catalog if len(catalogs) <= MAX_CATALOG_LABELS else "several"
