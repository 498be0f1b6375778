"""Scenes of catalogs in the record: a draft, and published versions. Their texts are scene files,
which the gateway checks before they are published."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

from servicekit.errors import FieldViolation
from sightline_rules.ids import SCENE_NAME, SCENE_NAME_WANTED

MOST_SCENES: Final = 200
"""Scenes of a catalog."""
MOST_BYTES: Final = 64 * 1024
"""Bytes of a text."""
MOST_COMMENT: Final = 500
MOST_AHEAD_MICROS: Final = 366 * 86_400 * 10**6
"""Maximum time ahead for which a publication is planned."""
DRAFT: Final = 0
"""Number of a draft. Published versions count from 1."""
NO_DOCUMENT: Final = "none"
"""Etag of a scene that the record does not have."""


@dataclass(frozen=True, slots=True)
class SceneText:
    """A text of a scene: its draft, or a published version."""

    scene: str
    toml: str
    """Empty where it was not asked for."""
    version: str
    """Hash of the text, as the gateway computes it of a file."""
    author: str
    """Name of the caller; empty: unknown."""
    comment: str
    number: int = DRAFT
    create_micros: int = 0
    """When it was written or published; of a planned version: when it will be."""

    @classmethod
    def of(cls, scene: str, toml: str, author: str, comment: str) -> Self:
        """Return a draft."""
        version = hashlib.sha256(toml.encode()).hexdigest()[:16]
        return cls(scene, toml, version, author, comment)


@dataclass(frozen=True, slots=True)
class SceneDocument:
    """A scene of the record; without a draft and versions, one that the record does not have."""

    scene: str
    draft: SceneText | None = None
    versions: tuple[SceneText, ...] = ()
    """Newest first."""
    planned: SceneText | None = None
    """The version whose time is to come."""

    @property
    def newest(self) -> SceneText | None:
        """The version in use, where the catalog is steered by the record."""
        return self.versions[0] if self.versions else None

    @property
    def etag(self) -> str:
        """Identifies the state of the document. It begins with the version of the text that would
        be published next, or was published last, which gateways read."""
        latest = self.draft or self.newest or self.planned
        if latest is None:
            return NO_DOCUMENT
        number = 0 if self.newest is None else self.newest.number
        planned = self.planned and (self.planned.version, self.planned.create_micros)
        state = repr((number, self.draft is not None, latest.comment, *filter(None, [planned])))
        return f"{latest.version}-{hashlib.sha256(state.encode()).hexdigest()[:16]}"

    def has_published(self, etag: str) -> bool:
        """Return whether the newest version has the text of a document with that etag."""
        return self.newest is not None and etag.partition("-")[0] == self.newest.version

    def text(self, number: int) -> SceneText | None:
        """Return the draft or a version by its number; None: there is none."""
        if number == DRAFT:
            return self.draft
        published = [*filter(None, [self.planned]), *self.versions]
        return next((each for each in published if each.number == number), None)


@dataclass(frozen=True, slots=True)
class ScenePublication:
    """Request to publish a text of a scene."""

    scene: str
    author: str
    number: int = DRAFT
    comment: str = ""
    """Empty: that of the text."""
    etag: str = ""
    """Required version of the document; empty: any."""
    in_advance: bool = False
    """Also while the catalog is steered by files."""
    publish_micros: int = 0
    """When it is published; 0, or a time that has passed: at once."""


def problems(scene: str, comment: str = "", toml: str | None = None) -> Iterator[FieldViolation]:
    """Yield what is wrong with fields of a request; `toml`: None: it has no text."""
    if not SCENE_NAME.fullmatch(scene):
        yield FieldViolation("scene", SCENE_NAME_WANTED)
    if len(comment) > MOST_COMMENT or "\0" in comment:
        yield FieldViolation("comment", f"must have at most {MOST_COMMENT} characters, and no NUL")
    if toml is not None and not 0 < len(toml.encode()) <= MOST_BYTES:
        yield FieldViolation("toml", f"must have 1 to {MOST_BYTES} bytes")
    if toml is not None and "\0" in toml:
        yield FieldViolation("toml", "must not contain NUL")
