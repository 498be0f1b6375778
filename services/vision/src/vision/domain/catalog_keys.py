"""Keys under which rows and photos of catalogs are stored.

A catalog that was created at run time is stored by its id and uid: one that is created later under
the same id finds nothing of the former. A declared catalog, which has no uid, is stored by its id.
"""

from collections.abc import Callable
from typing import TypeAlias

from servicekit.catalogs.known import KnownCatalogs

KeyOf: TypeAlias = Callable[[str], str]
"""Returns the key of a catalog."""
MARK = "@"
"""Between id and uid; no id has it."""


def key_with(catalog_id: str, uid: str) -> str:
    """Return the key of a catalog. `uid`: empty: it is declared."""
    return f"{catalog_id}{MARK}{uid}" if uid else catalog_id


def catalog_of(key: str) -> str:
    """Return the id of the catalog of a key."""
    return key.partition(MARK)[0]


def same(catalog_id: str) -> str:
    """Return the key where all catalogs are declared."""
    return catalog_id


def keys_of(catalogs: KnownCatalogs) -> KeyOf:
    """Return the function that gives the keys of known catalogs. It raises CatalogNotFound, or
    CatalogsUnavailable, for others: under a guessed key nothing would be found, or found again."""

    def key(catalog_id: str) -> str:
        if catalog_id in catalogs.declared:
            return catalog_id
        if (listed := catalogs.listed(catalog_id)) is None:
            raise catalogs.refusal(catalog_id)
        return key_with(catalog_id, listed.uid)

    return key
