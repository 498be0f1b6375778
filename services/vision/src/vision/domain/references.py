"""References: fitted photos of good pieces, their versions and states."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, TypeAdapter

from sightline_rules.ids import REFERENCE_ID
from vision.domain.inspection import PatchMemory
from vision.domain.reference_evaluation import ReferenceEvaluation

MOST_REFERENCES: Final = 100
"""References of a catalog, at most."""
MOST_DRAFTS: Final = 8
"""Drafts of a catalog, at most."""
PHOTO_ID: Final = 16
"""Hexadecimal digits of a photo's hash that a manifest has."""
KEPT_SECONDS: Final = 86_400.0
"""Seconds after its last photo for which a draft is kept."""
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
class FittedReference:
    """A fitted reference."""

    memory: PatchMemory
    model: str
    evaluation: ReferenceEvaluation | None
    """None: there is nothing to compare it with, or too few photos."""


@dataclass(frozen=True, slots=True)
class ReferenceManifest:
    """A fitted version of a reference."""

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
    photo_ids: tuple[str, ...] | None = None
    """First PHOTO_ID digits of the SHA-256 of each photo's file; None: fitted before they were
    stored."""
    evaluation: ReferenceEvaluation | None = None
    """Comparison with the version that served at the fit; None: not compared."""


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

    @classmethod
    def of(cls, manifest: ReferenceManifest, state: ReferenceState) -> "ListedReference":
        """Return a fitted version."""
        made = manifest.photos, manifest.create_time
        return cls(manifest.reference_id, state, *made, manifest)


@dataclass(frozen=True, slots=True)
class DraftPhoto:
    """A photo of a draft."""

    photo: str
    """SHA-256 of the file that a caller sent."""
    file: str
    """Name of the stored picture."""


@dataclass(frozen=True, slots=True)
class ReferenceProgress:
    """Progress of a fit, in photos; those with a drawn defect are included."""

    done: int
    total: int
    fitted: ListedReference | None = None
    """The fitted version, in the last step."""
