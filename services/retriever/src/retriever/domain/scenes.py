"""Scenes of catalogs in the record: a draft, and published versions. Their texts are scene files,
which the gateway checks before they are published. Under a reserved name, the text is that of the
catalog's synonyms, which is checked when it is written."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Final, Self

from retriever.domain.errors import EtagMismatch, SceneDocumentNotFound
from servicekit.errors import FieldViolation
from sightline_rules.ids import SCENE_NAME, SCENE_NAME_WANTED, SYNONYMS_DOCUMENT

MOST_SCENES: Final = 200
"""Scenes of a catalog."""
MOST_BYTES: Final = 64 * 1024
"""Bytes of the text of a scene."""
MOST_SYNONYM_BYTES: Final = 5 * 2**20
"""Bytes of the text of synonyms: the most that 2,000 rules can have."""
MOST_KEPT_BYTES: Final = 16 * 2**20
"""Bytes of the texts of the versions that are kept: an answer has all of them."""
KEPT: Final = 20
"""Default number of versions that are kept."""
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
    planned_micros: int | None = field(default=0, compare=False)
    """The time for which it was planned; 0: none, it was published at once, whatever the clock of
    the replica that did; None: as create_micros tells."""

    @property
    def is_synonyms(self) -> bool:
        """Return whether it is a text of synonyms."""
        return self.scene == SYNONYMS_DOCUMENT

    def is_planned(self, now: int) -> bool:
        """Return whether the time of a version is to come."""
        micros = self.create_micros if self.planned_micros is None else self.planned_micros
        return micros > now

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
    def is_synonyms(self) -> bool:
        """Return whether its texts are synonyms."""
        return self.scene == SYNONYMS_DOCUMENT

    @property
    def newest(self) -> SceneText | None:
        """The version in use, where the catalog is steered by the record."""
        return self.versions[0] if self.versions else None

    @property
    def published(self) -> tuple[SceneText, ...]:
        """The planned version and those before, newest first."""
        return self.versions if self.planned is None else (self.planned, *self.versions)

    @property
    def texts(self) -> tuple[SceneText, ...]:
        """The draft and all versions."""
        return self.published if self.draft is None else (self.draft, *self.published)

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

    def check_etag(self, required: str) -> None:
        """Raise EtagMismatch unless the document has the required etag; empty: any."""
        if required not in ("", self.etag):
            raise EtagMismatch

    def with_version(self, text: SceneText, now: int, keep: int) -> "SceneDocument":
        """Return the document with a text as its newest version, or, if that is planned, as the
        planned one, in place of the former plan. `keep`: number of versions that are kept."""
        planned = text.is_planned(now)
        present = self.planned if planned else self.newest
        if present is not None and present.version == text.version:
            if not planned:
                return replace(self, planned=None)
            if present.create_micros == text.create_micros:
                return self
        made = replace(text, number=1 if self.newest is None else self.newest.number + 1)
        versions = self.versions if planned else (made, *self.versions)
        sizes = accumulate(len(each.toml.encode()) for each in versions)
        most = [size <= MOST_KEPT_BYTES for size in sizes].count(True)
        kept = versions[: min(keep, most)]
        return replace(self, versions=kept, planned=made if planned else None)

    def publish(self, wanted: "ScenePublication", now: int, keep: int) -> "SceneDocument":
        """Return the document with a text of it published, or planned; itself if it is already.
        Raises SceneDocumentNotFound, EtagMismatch."""
        texts = [self.draft] if wanted.number == DRAFT else self.published
        text = next((each for each in texts if each and each.number == wanted.number), None)
        if text is None and wanted.number == DRAFT and self.newest is not None:
            if wanted.etag.partition("-")[0] != self.newest.version:
                self.check_etag(wanted.etag)
            return self  # a repeated call, or nothing to publish
        if text is None:
            raise SceneDocumentNotFound
        planned = wanted.publish_micros if wanted.publish_micros > now else 0
        made = replace(
            text,
            author=wanted.author,
            comment=wanted.comment or text.comment,
            create_micros=planned or now,
            planned_micros=planned,
        )
        after = self.with_version(made, now, keep)
        if after != self:
            self.check_etag(wanted.etag)
        is_over = wanted.number == DRAFT and not planned
        return replace(after, draft=None) if is_over else after


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
    is_scene = scene != SYNONYMS_DOCUMENT
    if is_scene and not SCENE_NAME.fullmatch(scene):
        yield FieldViolation("scene", SCENE_NAME_WANTED)
    if len(comment) > MOST_COMMENT or "\0" in comment:
        yield FieldViolation("comment", f"must have at most {MOST_COMMENT} characters, and no NUL")
    least, most = (1, MOST_BYTES) if is_scene else (0, MOST_SYNONYM_BYTES)
    if toml is not None and not least <= len(toml.encode()) <= most:
        yield FieldViolation("toml", f"must have {least} to {most} bytes")
    if toml is not None and "\0" in toml:
        yield FieldViolation("toml", "must not contain NUL")
