"""Catalogs that are created and changed at run time, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class CatalogState(StrEnum):
    """State of a catalog."""

    UNKNOWN = "UNKNOWN"
    ACTIVE = "ACTIVE"
    DELETED = "DELETED"
    """No call may use it; it can be restored."""
    REMOVING = "REMOVING"
    REMOVED = "REMOVED"
    """Only its id is left, which can be used again."""
    COPYING = "COPYING"
    """A copy fills it, or ended before it was complete; no call may use it."""


@dataclass(frozen=True, slots=True)
class CatalogAlias:
    """A name that stands for a catalog."""

    alias_id: str
    catalog_id: str
    etag: str
    """Version of the alias: each change gives it another one."""
    create_time: datetime | None
    update_time: datetime | None
    """Time at which it last began to stand for another catalog."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """A shop with its own products, events and models."""

    catalog_id: str
    display_name: str
    language_code: str
    """Language of answers to requests that name none; "" = English."""
    labels: Mapping[str, str]
    quota_share: float
    """Factor of the quotas of each caller, 0.01 to 100."""
    etag: str
    state: CatalogState
    declared: bool
    """True if settings declare it."""
    create_time: datetime | None
    update_time: datetime | None
    delete_time: datetime | None
    purge_time: datetime | None
    """Time at which the removal of a deleted catalog begins."""
    pending_services: tuple[str, ...]
    """Services that still have something of a catalog whose removal has begun."""
    copied_from: str
    """Catalog whose copy fills it, or ended before it was complete; "" for all others."""
