"""Watches: what a camera sees, and rules about it."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import isfinite
from typing import Final, Literal, TypeAlias

from servicekit.errors import FieldViolation
from sightline_rules import ids
from sightline_rules.photo_areas import PhotoArea
from vision.domain.errors import WatchInvalid

SECOND: Final = 1_000_000
DAY: Final = 86_400 * SECOND
MOST_WATCHES: Final = 100
"""Watches of a catalog."""
MOST_REGIONS, MOST_RULES, MOST_NAME, MOST_PHOTO_DAYS = 64, 16, 200, 90
MOST_FOUND: Final = 64
"""Objects that are found in a frame."""
MOST_COMPARED: Final = 64
"""Parts of a frame that the rules of a watch compare, together."""
LEAST_SIDE: Final = 0.02
MOST_HOLD, MOST_COOL_DOWN = 7 * DAY, 30 * DAY
MOST_OFFSET: Final = 840
DEFAULT_SNAPSHOT_SECONDS, MOST_SNAPSHOT_SECONDS = 5, 3_600
MOST_URI: Final = 2_048
PRODUCT_SIMILARITY, PHOTO_SIMILARITY, OBJECT_SIMILARITY = 0.6, 0.75, 0.7
"""Default similarities, to photos of a product, and of a part or of an object to another photo: one
that the camera took is much more like its frames than the photos of a catalog, and so are other
goods of its kind. An object is cut out anew in each frame."""
DEFAULT_DEVIATIONS, DEFAULT_FRAMES = 10.0, 100
DEFAULT_HOLD, DEFAULT_COOL_DOWN = 10 * SECOND, 300 * SECOND
WHOLE: Final = ""
"""Stands for the whole frame among the ids of regions."""

_ID = re.compile(r"[a-z0-9_-]{1,64}")


class Direction(StrEnum):
    """Direction of a presence condition."""

    APPEARS = "appears"
    GONE = "gone"


class Fault(StrEnum):
    """Fault of a picture."""

    BLACK = "black"
    FROZEN = "frozen"
    BLURRED = "blurred"
    SILENT = "silent"
    """No frame is checked for the rule's `hold`."""


class AlertKind(StrEnum):
    """Kind of an alert."""

    STARTED = "started"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class WatchRegion:
    """A part of the frame."""

    region_id: str
    box: PhotoArea


@dataclass(frozen=True, slots=True)
class WatchTarget:
    """Target of a rule: a product, or anything that looks like a photo."""

    product_id: str = ""
    image_id: str = ""
    min_similarity: float = PRODUCT_SIMILARITY


@dataclass(frozen=True, slots=True)
class PresenceCondition:
    """A target appears, or is gone."""

    target: WatchTarget
    direction: Direction
    region_ids: tuple[str, ...] = ()
    kind: Literal["presence"] = "presence"


@dataclass(frozen=True, slots=True)
class CountCondition:
    """Fewer regions than wanted show a target."""

    target: WatchTarget
    region_ids: tuple[str, ...]
    below: int
    kind: Literal["count"] = "count"


@dataclass(frozen=True, slots=True)
class DetectedCondition:
    """Fewer objects than wanted are found in the frame."""

    target: WatchTarget | None
    """None: all objects are counted."""
    region_id: str
    below: int
    kind: Literal["detected"] = "detected"


@dataclass(frozen=True, slots=True)
class UnusualCondition:
    """The frame is unlike those of its hour of the day."""

    region_id: str = WHOLE
    min_deviations: float = DEFAULT_DEVIATIONS
    min_frames: int = DEFAULT_FRAMES
    kind: Literal["unusual"] = "unusual"


@dataclass(frozen=True, slots=True)
class FaultCondition:
    """The picture shows nothing usable."""

    fault: Fault
    kind: Literal["fault"] = "fault"


SILENT: Final = FaultCondition(Fault.SILENT)

Condition: TypeAlias = (
    PresenceCondition | CountCondition | DetectedCondition | UnusualCondition | FaultCondition
)
CONDITIONS: Final[Mapping[str, type[Condition]]] = {
    "presence": PresenceCondition,
    "count": CountCondition,
    "detected": DetectedCondition,
    "unusual": UnusualCondition,
    "fault": FaultCondition,
}
"""Conditions by their kind."""
_Targeted = PresenceCondition | CountCondition | DetectedCondition


@dataclass(frozen=True, slots=True)
class WatchRule:
    """A condition, and when it becomes an alert. Times are microseconds."""

    rule_id: str
    condition: Condition
    hold: int = DEFAULT_HOLD
    release: int = DEFAULT_HOLD
    cool_down: int = DEFAULT_COOL_DOWN

    @property
    def target(self) -> WatchTarget | None:
        """Return what the rule looks for; None: nothing."""
        return getattr(self.condition, "target", None)

    @property
    def region_ids(self) -> tuple[str, ...]:
        """Return the parts of the frame that it is about; WHOLE: the whole one."""
        match self.condition:
            case PresenceCondition(region_ids=found) | CountCondition(region_ids=found):
                return found or (WHOLE,)
            case UnusualCondition(region_id=found) | DetectedCondition(region_id=found):
                return (found,)
            case _:
                return ()


@dataclass(frozen=True, slots=True)
class Watch:
    """Rules that are checked on the frames of one camera."""

    watch_id: str
    display_name: str = ""
    regions: tuple[WatchRegion, ...] = ()
    rules: tuple[WatchRule, ...] = ()
    photo_days: int = 0
    utc_offset_minutes: int = 0
    snapshot_uri: str = ""
    """Address from which the worker takes frames; empty: callers send them."""
    snapshot_seconds: int = 0
    """Seconds between two of them; 0 without an address."""
    whole_frames: bool = False
    """True: photos of alerts show the whole frame, not the part that the alert is about."""

    @property
    def compared(self) -> tuple[str, ...]:
        """Return the parts of a frame that rules compare, each once."""
        comparing = (rule for rule in self.rules if rule.condition.kind != "detected")
        return tuple(dict.fromkeys(part for rule in comparing for part in rule.region_ids))

    @property
    def detects(self) -> bool:
        """Return whether a rule counts the objects in a frame."""
        return any(rule.condition.kind == "detected" for rule in self.rules)

    @property
    def recognises(self) -> bool:
        """Return whether a rule counts the objects that show its target."""
        return any(
            rule.condition.kind == "detected" and rule.target is not None for rule in self.rules
        )

    @property
    def image_ids(self) -> frozenset[str]:
        """Return the photos that rules look for."""
        targets = (rule.target for rule in self.rules)
        return frozenset(each.image_id for each in targets if each is not None and each.image_id)

    def boxes(self) -> Mapping[str, PhotoArea | None]:
        """Return the boxes of the parts that rules are about; None: the whole frame."""
        known = {region.region_id: region.box for region in self.regions}
        return {part: known.get(part) for rule in self.rules for part in rule.region_ids}

    def condition_key(self, rule: WatchRule) -> str:
        """Return a key that changes when a rule measures something else."""
        boxes = self.boxes()
        places = [(part, boxes.get(part)) for part in rule.region_ids]
        # The key of former releases, which named the box otherwise.
        named = repr(places).replace("PhotoArea(", "WatchBox(")
        return ids.derive_id(rule.rule_id, repr(rule.condition), named)


@dataclass(frozen=True, slots=True)
class SnapshotSource:
    """An address from which frames of a watch are taken."""

    catalog_id: str
    watch_id: str
    uri: str
    seconds: int
    repeats: bool = False
    """True if a rule tells something by a picture that comes again."""


@dataclass(frozen=True, slots=True)
class SilenceSource:
    """A watch with a rule that tells when its camera stops."""

    catalog_id: str
    watch_id: str
    hold: int
    """Shortest silence that starts an alert, in microseconds."""


@dataclass(frozen=True, slots=True)
class WatchDraft:
    """A watch as a caller gave it."""

    watch: Watch
    etag: str = ""
    images: Mapping[str, bytes] = field(default_factory=dict)
    """New photos by the id of their rule."""

    def with_images(self, image_ids: Mapping[str, str]) -> Watch:
        """Return the watch with photos by the id of their rule."""

        def placed(rule: WatchRule) -> WatchRule:
            found, condition = image_ids.get(rule.rule_id), rule.condition
            if found is None or not isinstance(condition, _Targeted) or not condition.target:
                return rule
            target = replace(condition.target, image_id=found)
            return replace(rule, condition=replace(condition, target=target))

        return replace(self.watch, rules=tuple(map(placed, self.watch.rules)))


@dataclass(frozen=True, slots=True)
class StoredWatch:
    """A watch in the record. Times are microseconds since 1970 (UTC)."""

    watch: Watch
    etag: str
    create_micros: int
    update_micros: int


@dataclass(frozen=True, slots=True)
class WatchPhoto:
    """A photo that a watch has in the photo store."""

    image_id: str
    media_type: str
    width: int
    height: int
    expire_micros: int = 0
    """0: as long as the watch has it."""


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition of a watch has held, or was over, for long enough."""

    alert_id: str
    watch_id: str
    rule_id: str
    kind: AlertKind
    frame_micros: int
    since_micros: int
    score: float
    product_id: str = ""
    started_alert_id: str = ""
    image_id: str = ""
    create_micros: int = 0
    """Set by the record, as is `sequence`."""
    sequence: int = 0
    box: PhotoArea | None = None
    """The part of the frame that it is about; None: the whole frame."""


Note = Callable[[str, str], None]


def check(draft: WatchDraft, stored: Watch | None = None) -> Watch:
    """Return a draft's watch. Raises WatchInvalid with every field that is wrong.

    `stored`: the watch that it replaces, whose photos it may keep.
    """
    watch, wrong = draft.watch, list[FieldViolation]()

    def note(path: str, description: str) -> None:
        wrong.append(FieldViolation(f"watch.{path}", description))

    _check_id(note, "watch_id", watch.watch_id)
    if len(watch.display_name) > MOST_NAME:
        note("display_name", f"has more than {MOST_NAME} characters")
    _check_range(note, "photo_days", watch.photo_days, 0, MOST_PHOTO_DAYS)
    _check_range(note, "utc_offset_minutes", watch.utc_offset_minutes, -MOST_OFFSET, MOST_OFFSET)
    _check_snapshot(note, watch)
    _check_regions(note, watch.regions)
    if not 1 <= len(watch.rules) <= MOST_RULES:
        note("rules", f"has {len(watch.rules)} entries; 1 to {MOST_RULES} are taken")
    known = {region.region_id for region in watch.regions}
    kept = frozenset() if stored is None else stored.image_ids
    for place, rule in enumerate(watch.rules[:MOST_RULES]):
        of_rule = _below(note, f"rules[{place}]")
        _check_rule(of_rule, rule, known)
        if rule.condition == SILENT and rule.hold < (1 + watch.snapshot_seconds) * SECOND:
            of_rule("hold", "must be 1 second or more, and longer than snapshot_seconds")
        _check_target(of_rule, rule, rule.rule_id in draft.images, kept)
    _check_unique(note, "rules", [rule.rule_id for rule in watch.rules])
    if len(watch.compared) > MOST_COMPARED:
        note("rules", f"compare {len(watch.compared)} parts of the frame; at most {MOST_COMPARED}")
    if wrong:
        raise WatchInvalid(*wrong)
    return watch


def _below(note: Note, path: str) -> Note:
    """Return the function that notes what is wrong with a part of a field."""
    return lambda name, description: note(f"{path}.{name}", description)


def _check_snapshot(note: Note, watch: Watch) -> None:
    if len(watch.snapshot_uri) > MOST_URI:
        note("snapshot_uri", f"has more than {MOST_URI:,} characters")
    if watch.snapshot_uri:
        _check_range(note, "snapshot_seconds", watch.snapshot_seconds, 1, MOST_SNAPSHOT_SECONDS)
    elif watch.snapshot_seconds:
        note("snapshot_seconds", "needs a snapshot_uri")


def _check_regions(note: Note, regions: Sequence[WatchRegion]) -> None:
    if len(regions) > MOST_REGIONS:
        note("regions", f"has {len(regions)} entries; at most {MOST_REGIONS} are taken")
    for place, region in enumerate(regions[:MOST_REGIONS]):
        _check_id(note, f"regions[{place}].region_id", region.region_id)
        box = region.box
        sides = (box.left, box.top, box.right, box.bottom)
        # Sides are float32 on the wire.
        if not (
            all(isfinite(each) and 0 <= each <= 1 for each in sides)
            and box.right - box.left >= LEAST_SIDE - 1e-6
            and box.bottom - box.top >= LEAST_SIDE - 1e-6
        ):
            note(
                f"regions[{place}].box",
                f"must lie in the frame (0 to 1), with sides of at least {LEAST_SIDE}",
            )
    _check_unique(note, "regions", [region.region_id for region in regions])


def _check_rule(note: Note, rule: WatchRule, known: Iterable[str]) -> None:
    _check_id(note, "rule_id", rule.rule_id)
    for name, value, most in (
        ("hold", rule.hold, MOST_HOLD),
        ("release", rule.release, MOST_HOLD),
        ("cool_down", rule.cool_down, MOST_COOL_DOWN),
    ):
        if not 0 <= value <= most:
            note(name, f"must be 0 to {most // DAY} days")
    condition = rule.condition
    named = [part for part in rule.region_ids if part != WHOLE]
    path = f"{condition.kind}.region_id{'s' if hasattr(condition, 'region_ids') else ''}"
    if len(named) > MOST_REGIONS or len(set(named)) < len(named):
        note(path, f"must be at most {MOST_REGIONS}, each once")
    elif unknown := [part for part in named if part not in set(known)]:
        note(path, f"{unknown[0]!r} is no region of this watch")
    match condition:
        case CountCondition():
            if not condition.region_ids:
                note("count.region_ids", "must name 1 region or more: the place of each piece")
            _check_range(note, "count.below", condition.below, 1, max(1, len(condition.region_ids)))
        case DetectedCondition():
            _check_range(note, "detected.below", condition.below, 1, MOST_FOUND)
        case UnusualCondition():
            _check_range(note, "unusual.min_deviations", condition.min_deviations, 3, 100)
            _check_range(note, "unusual.min_frames", condition.min_frames, 20, 100_000)


def _check_target(note: Note, rule: WatchRule, given: bool, kept: frozenset[str]) -> None:
    target = rule.target
    if target is None:
        return
    path = f"{rule.condition.kind}.target"
    if sum((bool(target.product_id), given or bool(target.image_id))) != 1:
        note(path, "needs either a product_id or a photo")
    elif target.product_id:
        try:
            ids.check_id(target.product_id)
        except ids.IdInvalidError as error:
            note(f"{path}.product_id", str(error))
    elif not given and target.image_id not in kept:
        note(f"{path}.image_id", "is no photo of the stored watch: send the photo as `image`")
    _check_range(note, f"{path}.min_similarity", target.min_similarity, 0.05, 1)


def _check_id(note: Note, path: str, value: str) -> None:
    if not _ID.fullmatch(value):
        note(path, "must be 1 to 64 characters of a-z, 0-9, - and _")


def _check_range(note: Note, path: str, value: float, least: float, most: float) -> None:
    if not (isfinite(value) and least <= value <= most):
        note(path, f"must be {least} to {most}")


def _check_unique(note: Note, path: str, names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        note(path, "names an id twice")
