"""Labels of metrics."""

from collections.abc import Sequence

MAX_CATALOG_LABELS = 20


def catalog_label(catalog: str, catalogs: Sequence[str]) -> str:
    """The catalog's name in metrics: where catalogs are many, one for all."""
    return catalog if len(catalogs) <= MAX_CATALOG_LABELS else "several"
