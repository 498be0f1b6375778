"""Scenes, checks of their files, and the effect of a changed file, as plain values.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from dataclasses import dataclass
from datetime import datetime

from sightline_client.values.catalogs import SteeredBy


@dataclass(frozen=True, slots=True)
class SceneProblem:
    """A problem with one entry of a scene's file, or with a file."""

    path: str
    """Entry, e.g. "diversity.brand_cap". Empty for the whole file. In lists of invalid files: the
    file, e.g. "home.toml", or "wines/home.toml" of the catalog "wines"; of a version of the record
    "home (version 3)"."""
    text: str
    """The problem, in words."""


@dataclass(frozen=True, slots=True)
class SceneText:
    """A text of a scene: its draft, or a published version."""

    number: int
    """Number of the version, from 1. 0: the draft."""
    toml: str
    """The file (TOML); of synonyms a rule a line. Empty in lists, but for newest versions if they
    were asked for."""
    version: str
    """Hash of the text, as in Versions."""
    author: str
    """Name of the caller who wrote the draft, or published the version. Empty: unknown."""
    comment: str
    """Comment of the author."""
    create_time: datetime | None
    """When it was written or published (UTC); of a planned version: when it will be."""


@dataclass(frozen=True, slots=True)
class SceneEntryChange:
    """An entry that differs between two scenes."""

    path: str
    """Entry, e.g. "parts_with_signals.taste"."""
    before: str
    """Value in the current scene, as text."""
    after: str
    """Value in the changed scene, as text."""
    replayed: bool
    """True if ``diff_scene`` shows the effect of the change: of every entry in answers that are
    given anew; in recorded answers not of entries that select candidates, nor of controls.
    ``check_scene`` says it for recorded answers."""


@dataclass(frozen=True, slots=True)
class ExposureChange:
    """Exposure of one product, brand or category. Rank r has an exposure of 1 ÷ log₂(r + 1), as in
    nDCG."""

    dimension: str
    """What the exposure is of: "product", "brand" or "category" (topmost level)."""
    name: str
    """Id or name. Empty if unknown."""
    before: float
    """Share of the total exposure before the change, 0 to 1."""
    after: float
    """Share of the total exposure after the change, 0 to 1."""


@dataclass(frozen=True, slots=True)
class ExposureFigure:
    """A summary figure of exposure."""

    name: str
    """"gini_products" (Gini index of exposure over the products shown; 0: all equal, 1: one product
    has all exposure), "products" (number of distinct products shown), or "new_share" (share of
    exposure of products that the catalog has held for less than 30 days, 0 to 1)."""
    before: float
    """Value before the change."""
    after: float
    """Value after the change."""


@dataclass(frozen=True, slots=True)
class ChangedAnswer:
    """An answer whose first places change."""

    answer_id: str
    """Id of the answer. Empty if it was given anew: such an answer is not recorded."""
    before_product_ids: tuple[str, ...]
    """Products in the first places before the change."""
    after_product_ids: tuple[str, ...]
    """Products in the first places after the change."""


@dataclass(frozen=True, slots=True)
class EstimatedValue:
    """A value with its 95% interval."""

    value: float
    """The estimate."""
    lower: float
    """Lower bound."""
    upper: float
    """Upper bound."""


@dataclass(frozen=True, slots=True)
class SceneFile:
    """A scene in its current form."""

    scene: str
    """Name of the scene."""
    version: str
    """Hash of the file's content, as in Versions."""
    toml: str
    """The file (TOML). Empty in lists."""
    warnings: tuple[SceneProblem, ...]
    """Warnings about entries of a valid file."""
    number: int = 0
    """Published version of the record that is in use, from 1. 0: a file."""


@dataclass(frozen=True, slots=True)
class SceneDocument:
    """A scene of the record. Its texts are scene files."""

    scene: str
    """Name of the scene."""
    draft: SceneText | None
    """The draft. None: there is none."""
    versions: tuple[SceneText, ...]
    """Published versions, newest first; in lists the newest alone."""
    etag: str
    """Identifies the state of the document: its newest text, the number of its newest version, what
    is said of the draft, and the planned version."""
    planned: SceneText | None
    """Version that is published at its create_time, which is to come. None: none is planned."""


@dataclass(frozen=True, slots=True)
class SceneCheck:
    """Result of validating a scene file."""

    valid: bool
    """True if the file is valid."""
    problems: tuple[SceneProblem, ...]
    """Errors: of the file, and goals of exposure whose products the catalog does not have. Empty if
    the file is valid."""
    warnings: tuple[SceneProblem, ...]
    """Warnings about entries of a valid file."""
    version: str
    """Version that the scene would have."""
    changes: tuple[SceneEntryChange, ...]
    """Entries that differ from the current scene of that name. Empty if there is no such scene."""


@dataclass(frozen=True, slots=True)
class ExpectedFigure:
    """An expected figure for 100 answers, by the products' probabilities of a click or purchase, as
    learned from impressions, and by those of their places to be examined. Intervals are of 95%, by
    resampling the answers: they do not cover the errors of the learned probabilities."""

    name: str
    """"clicks", "purchases", "revenue" or "margin"."""
    currency: str
    """ISO 4217 code of revenue and margin; otherwise empty."""
    before: EstimatedValue | None
    """Before the change."""
    after: EstimatedValue | None
    """After the change."""
    change: EstimatedValue | None
    """After less before, of the same answers."""
    answer_count: int
    """Number of answers."""


@dataclass(frozen=True, slots=True)
class SceneList:
    """The scenes."""

    scenes: tuple[SceneFile, ...]
    """Scenes by name."""
    problems: tuple[SceneProblem, ...]
    """Invalid files, as in ``status``."""
    steered_by: SteeredBy = SteeredBy.UNKNOWN
    """The source of the scenes of the catalog."""


@dataclass(frozen=True, slots=True)
class SceneDocuments:
    """The scenes of the record."""

    documents: tuple[SceneDocument, ...]
    """Scenes by name, at most 200."""
    steered_by: SteeredBy
    """The source of the scenes of the catalog."""


@dataclass(frozen=True, slots=True)
class SceneDiff:
    """Comparison of a scene's answers with those of a changed scene."""

    answer_count: int
    """Number of answers compared."""
    skipped_count: int
    """Number of answers that could not be compared: they could not be given anew, were recorded by
    an older release, not ranked by the ranker, or have expired meanwhile."""
    changed_count: int
    """Number of compared answers whose first places change."""
    changed_place_share: float
    """Mean share of the first places with another product after the change, 0 to 1."""
    replaced_share: float
    """Mean share of the products in the first places that are no longer there after the change, 0
    to 1."""
    changes: tuple[SceneEntryChange, ...]
    """Entries that differ from the current scene."""
    exposures: tuple[ExposureChange, ...]
    """Exposure by product, brand and category, largest changes first, up to 20 of each
    dimension."""
    figures: tuple[ExposureFigure, ...]
    """Summary figures of exposure."""
    answers: tuple[ChangedAnswer, ...]
    """The answers that change most, up to 10."""
    warnings: tuple[SceneProblem, ...]
    """Warnings about the changed file."""
    version: str
    """Version of the current scene."""
    changed_version: str
    """Version of the changed scene."""
    expected: tuple[ExpectedFigure, ...]
    """Expected clicks, purchases, revenue and margin. Empty if the ranker has not learned
    probabilities from impressions; revenue and margin also if no prices or costs are known. For
    callers without the role ``operate``, answers are compared as if no product had a cost, and
    those whose scores weighed margins have no figures. They are of recorded answers, also if others
    are given anew."""
    anew_count: int
    """Number of compared answers that were given anew, 0 to 200. 0: recorded answers were ranked
    again."""
