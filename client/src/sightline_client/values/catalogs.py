"""Catalogs that are created and changed at run time, as plain values.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class CatalogState(StrEnum):
    """State of a catalog."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    ACTIVE = "ACTIVE"
    """In use."""
    DELETED = "DELETED"
    """Deleted: no call may use it, and it can be restored."""
    REMOVING = "REMOVING"
    """All that services have of it is being removed."""
    REMOVED = "REMOVED"
    """Removed: only its id is left, for the audit log. The id can be used again."""
    COPYING = "COPYING"
    """A copy fills it: no call may use it before the copy is complete."""


class SteeredBy(StrEnum):
    """The source of the scenes of a catalog. Built-in scenes, and files that are shared by all
    catalogs, are used under names that it has no scene for."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    FILES = "FILES"
    """Files of the gateway."""
    RECORD = "RECORD"
    """The record: versions that ``publish_scene`` has published."""


@dataclass(frozen=True, slots=True)
class CatalogAlias:
    """A name that stands for a catalog. A request that names it is a request to that catalog."""

    alias_id: str
    """Name: 1 to 63 of a-z, 0-9, - and _, starting with a letter or digit. No catalog has it as its
    id."""
    catalog_id: str
    """Id of the catalog that it stands for."""
    etag: str
    """Version of the alias, of the server: each change gives it another one."""
    create_time: datetime | None
    """When the alias was created (UTC)."""
    update_time: datetime | None
    """When it last began to stand for another catalog (UTC)."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """A catalog: a shop with its own products, events and models."""

    catalog_id: str
    """Id: 1 to 63 of a-z, 0-9, - and _, starting with a letter or digit. It never changes."""
    display_name: str
    """Name for people, up to 200 characters. Default: empty."""
    language_code: str
    """Language of answers to requests that name none (BCP 47), up to 35 characters, such as "de".
    Default: English."""
    labels: Mapping[str, str]
    """Labels, for tools of the operator. Names are unique."""
    quota_share: float
    """Factor of the quotas of each caller in this catalog (GATEWAY_QUOTA_…), 0.01 to 100. 0: the
    default, 1."""
    etag: str
    """Version of these values, of the server. Given with an update, it must match."""
    state: CatalogState
    """State of the catalog. Set by the server."""
    declared: bool
    """True if the settings of the retriever declare the catalog: it is there without the registry.
    Set by the server."""
    create_time: datetime | None
    """When the catalog was created (UTC). None for a declared one. Set by the server."""
    update_time: datetime | None
    """When the values last changed (UTC). None if they never did. Set by the server."""
    delete_time: datetime | None
    """When the catalog was deleted (UTC). None unless it was. Set by the server."""
    purge_time: datetime | None
    """When the removal of a deleted catalog begins (UTC); until then it can be restored. Set by the
    server."""
    pending_services: tuple[str, ...]
    """Services that still have something of a catalog whose removal has begun: "embedder", "ranker"
    and "retriever". Set by the server."""
    copied_from: str
    """Catalog whose copy fills it, or ended before it was complete; such a catalog can be deleted,
    but not be used or restored. Empty for all others. Set by the server."""
    steered_by: SteeredBy = SteeredBy.UNKNOWN
    """The source of the scenes of the catalog, with their controls. Default: files."""
