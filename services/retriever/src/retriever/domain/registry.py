"""Catalogs of the registry: their values, as given by callers, and as stored."""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Final

from servicekit.catalogs.known import CatalogState, ListedCatalog
from servicekit.config import CATALOG_ID
from servicekit.errors import FieldViolation

MOST_DISPLAY_NAME: Final = 200
MOST_LANGUAGE: Final = 35
MOST_LABELS: Final = 32
MOST_LABEL_VALUE: Final = 200
LEAST_SHARE, MOST_SHARE = 0.01, 100.0
MOST_ALIASES: Final = 200

_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_LABEL = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


class SteeredBy(StrEnum):
    """What steers the scenes of a catalog."""

    FILES = "files"
    RECORD = "record"


@dataclass(frozen=True, slots=True)
class CatalogValues:
    """Values of a catalog that callers may set."""

    display_name: str = ""
    language_code: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    """Names and values, sorted."""
    quota_share: float = 1.0
    steered_by: SteeredBy = SteeredBy.FILES

    @property
    def etag(self) -> str:
        """Version of the values: equal values have the same."""
        values = asdict(self)
        if self.steered_by is SteeredBy.FILES:
            del values["steered_by"]  # as etags of release 0.40
        return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


RETRIEVER: Final = "retriever"
REMOVERS: Final = ("embedder", "ranker", RETRIEVER)
"""Services that remove what they have of a catalog."""
FIELDS: Final = ("display_name", "language_code", "labels", "quota_share", "steered_by")
"""Paths of an update."""


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A catalog of the registry, or one that settings declare."""

    catalog_id: str
    values: CatalogValues = field(default_factory=CatalogValues)
    uid: str = ""
    """Empty: the registry has nothing about it."""
    state: CatalogState = CatalogState.ACTIVE
    create_micros: int = 0
    """Microseconds since 1970 (UTC); 0: unknown."""
    update_micros: int = 0
    delete_micros: int = 0
    purge_micros: int = 0
    """Time at which its removal begins."""
    removed_by: tuple[str, ...] = ()
    """Services that have removed it."""
    copied_from: str = ""
    """The catalog whose copy fills it; empty once it is complete."""
    scenes_commit: int = 0
    """The registry's commit that last changed its published scenes; 0: none did."""

    @property
    def pending(self) -> tuple[str, ...]:
        """Services that have something of it, while it is removed."""
        if self.state is not CatalogState.REMOVING:
            return ()
        return tuple(each for each in REMOVERS if each not in self.removed_by)

    @property
    def listed(self) -> ListedCatalog:
        """The entry as services need it."""
        values = self.values
        by_record = values.steered_by is SteeredBy.RECORD
        return ListedCatalog(
            self.catalog_id,
            self.uid,
            self.state,
            values.language_code,
            values.quota_share,
            f"{self.uid}-{self.scenes_commit}" if by_record else "",
        )


@dataclass(frozen=True, slots=True)
class CatalogAlias:
    """A name that stands for a catalog."""

    alias_id: str
    catalog_id: str
    etag: str
    """Another one after each change."""
    create_micros: int
    update_micros: int


@dataclass(frozen=True, slots=True)
class CatalogUpdate:
    """Values to change, by `FIELDS`."""

    values: CatalogValues
    paths: Sequence[str]
    etag: str = ""
    """Required version; empty: any."""

    def applied(self, before: CatalogValues) -> CatalogValues:
        """Return the values after the update."""
        return replace(before, **{name: getattr(self.values, name) for name in self.paths})


def id_problems(name: str, field: str = "catalog_id") -> Iterator[FieldViolation]:
    """Yield what is wrong with the id of a new catalog, or of an alias."""
    if not CATALOG_ID.fullmatch(name):
        yield FieldViolation(
            field,
            "must be 1 to 63 of a-z, 0-9, - and _, starting with a letter or digit",
        )


def problems(values: CatalogValues) -> Iterator[FieldViolation]:
    """Yield what is wrong with values."""
    if len(values.display_name) > MOST_DISPLAY_NAME or "\0" in values.display_name:
        description = f"must have at most {MOST_DISPLAY_NAME} characters, and no NUL"
        yield FieldViolation("catalog.display_name", description)
    code = values.language_code
    if code and not (len(code) <= MOST_LANGUAGE and _LANGUAGE.fullmatch(code)):
        yield FieldViolation("catalog.language_code", 'must be a BCP 47 code, such as "de"')
    if not LEAST_SHARE <= values.quota_share <= MOST_SHARE:
        description = f"must be {LEAST_SHARE:g} to {MOST_SHARE:g}, or 0 for the default"
        yield FieldViolation("catalog.quota_share", description)
    yield from _label_problems(values.labels)


def _label_problems(labels: Sequence[tuple[str, str]]) -> Iterator[FieldViolation]:
    if len(labels) > MOST_LABELS:
        yield FieldViolation("catalog.labels", f"has more than {MOST_LABELS} entries")
        return
    if len({name for name, _ in labels}) < len(labels):
        yield FieldViolation("catalog.labels", "names a label twice")
    for index, (name, value) in enumerate(labels):
        if not _LABEL.fullmatch(name):
            yield FieldViolation(
                f"catalog.labels[{index}].name",
                "must be 1 to 63 of a-z, 0-9, ., - and _, starting with a letter or digit",
            )
        if len(value) > MOST_LABEL_VALUE or "\0" in value:
            yield FieldViolation(
                f"catalog.labels[{index}].value",
                f"must have at most {MOST_LABEL_VALUE} characters, and no NUL",
            )
