"""References: fitted photos of good pieces, their versions and states."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, TypeAdapter

REFERENCE_ID: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
MOST_REFERENCES: Final = 100
"""References of a catalog, at most."""
MOST_DRAFTS: Final = 8
"""Drafts of a catalog, at most."""
MOST_VERSIONS: Final = 3
"""Versions of a reference; the oldest one that does not serve is deleted when another is fitted."""

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ReferenceState(StrEnum):
    """State of a version of a reference."""

    DRAFT = "DRAFT"
    CANDIDATE = "CANDIDATE"
    SERVING = "SERVING"
    RETIRED = "RETIRED"


@dataclass(frozen=True, slots=True)
class ReferenceManifest:
    """A fitted version of a reference: ``manifest.json`` in its folder."""

    catalog_id: str
    reference_id: Annotated[str, Field(pattern=f"^{REFERENCE_ID.pattern}$")]
    version: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    """Hash of the memory's arrays, the model and the product."""
    product_id: str
    photos: Annotated[int, Field(ge=1)]
    separation: float
    model: str
    """Model of the features, with the hash of its file."""
    create_time: datetime
    """Time of the fit (UTC)."""
    file: Hash
    """SHA-256 of the memory's file."""
    size_bytes: Annotated[int, Field(ge=0)]
    signature: str = ""
    """Signature of the rest by an operator's key (servicekit.keyring); empty: none."""


MANIFESTS: Final = TypeAdapter(ReferenceManifest)


@dataclass(frozen=True, slots=True)
class ListedReference:
    """A version of a reference, or its draft."""

    reference_id: str
    state: ReferenceState
    photos: int
    create_time: datetime
    manifest: ReferenceManifest | None = None
    """None: a draft."""


@dataclass(frozen=True, slots=True)
class ServedReferences:
    """Versions of a reference that serve and that did: ``state.json`` in its folder."""

    serving: str = ""
    product_id: str = ""
    """Product of the serving version."""
    promote_time: float = 0.0
    """Time of the last promotion, in seconds since 1970."""
    retired: tuple[str, ...] = ()


SERVED: Final = TypeAdapter(ServedReferences)
