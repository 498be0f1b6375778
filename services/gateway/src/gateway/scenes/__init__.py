"""Scenes as files: one TOML file each, validated whole, taken up again when it changes.

The built-in ones lie beside this file; a folder of the platform team's adds to them or replaces
them by name. A set of files with one bad among them is refused as a whole, and the scenes before
it go on.
"""

import hashlib
import re
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated

from prometheus_client import Gauge
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gateway.model import Branch, Budgets, Fusion, Scene, SceneNotFound
from gateway.moving import Diversity
from servicekit.telemetry import get_logger
from sightline_rules.categories import MAX_LEVELS

DEFAULT = "default"
LOOK_SECONDS = 1.0
"""How often the files are looked at, at most."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_SIMILARITY = ("visual", "text", "text_visual", "keywords", "collaborative")
_BEHAVIOUR = ("taste", "session", "item_item", "bought_together", "trend", "popularity")
_PARTS = frozenset({*_SIMILARITY, *_BEHAVIOUR})

STALE = Gauge(
    "sightline_gateway_scenes_stale",
    "1 while the scene files are bad and the scenes before them go on.",
)

Weight = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
Level = Annotated[int, Field(ge=1, le=MAX_LEVELS)]
Cap = Annotated[int, Field(ge=1, le=200)]
Place = Annotated[int, Field(ge=2, le=200)]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


class ScenesInvalid(Exception):
    """A scene file can't be used; the message names it and what is wrong."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Branches(_Part):
    visual: Weight = 1.0
    text: Weight = 1.0
    text_visual: Weight = 1.0
    keywords: Weight = 1.0
    collaborative: Weight = 1.0


class _Budgets(_Part):
    embed: Share = 0.5
    candidates: Share = 0.65
    fallback: Share = 0.8
    rank: Share = 0.9

    @model_validator(mode="after")
    def _rising(self) -> "_Budgets":
        if not self.embed <= self.candidates <= self.fallback <= self.rank:
            raise ValueError("must rise: embed ≤ candidates ≤ fallback ≤ rank")
        return self


class _Diversity(_Part):
    diversity: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False)
    popularity: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False)
    window: int = Field(default=100, ge=2, le=500)
    cap_places: int = Field(default=10, ge=1, le=200)
    brand_cap: int = Field(default=0, ge=0, le=200)
    category_caps: dict[Level, Cap] = {}
    exploration_places: tuple[Place, ...] = Field(default=(), max_length=20)
    exploration_days: float = Field(default=30.0, gt=0, le=3650, allow_inf_nan=False)

    @model_validator(mode="after")
    def _rising(self) -> "_Diversity":
        if list(self.exploration_places) != sorted(set(self.exploration_places)):
            raise ValueError("exploration_places must rise")
        return self

    @property
    def value(self) -> Diversity:
        """The same as a value."""
        caps = tuple(sorted(self.category_caps.items()))
        return Diversity(**{**dict(self), "category_caps": caps})


class _File(_Part):
    """A scene file; what each entry does stands in default.toml."""

    over_fetch: float = Field(default=5.0, ge=1, le=100, allow_inf_nan=False)
    least_candidates: int = Field(default=100, ge=1, le=1000)
    most_candidates: int = Field(default=1000, ge=1, le=2000)
    buyable_only: bool = True
    drop_seen: bool = False
    min_quality: float = Field(default=0.0, ge=0, le=1)
    popular_fallback: bool = True
    new_fallback: bool = True
    fusion: Fusion = Fusion.VECTOR
    views: int = Field(default=0, ge=0, le=4)
    branches: _Branches = _Branches()
    parts_with_signals: dict[str, Weight] = {"visual": 1.0}
    parts_without_signals: dict[str, Weight] = dict.fromkeys(_BEHAVIOUR, 1.0)
    budgets: _Budgets = _Budgets()
    diversity: _Diversity = _Diversity()

    @model_validator(mode="after")
    def _known_parts(self) -> "_File":
        unknown = (set(self.parts_with_signals) | set(self.parts_without_signals)) - _PARTS
        if unknown:
            raise ValueError(f"unknown parts {sorted(unknown)}; there are {sorted(_PARTS)}")
        return self

    def scene(self, name: str, version: str) -> Scene:
        """The scene that the file describes."""
        return Scene(
            name=name,
            version=version,
            over_fetch=self.over_fetch,
            least_candidates=self.least_candidates,
            most_candidates=self.most_candidates,
            buyable_only=self.buyable_only,
            drop_seen=self.drop_seen,
            min_quality=self.min_quality,
            popular_fallback=self.popular_fallback,
            new_fallback=self.new_fallback,
            branches={
                Branch.VISUAL: self.branches.visual,
                Branch.TEXT: self.branches.text,
                Branch.TEXT_VISUAL: self.branches.text_visual,
                Branch.KEYWORDS: self.branches.keywords,
                Branch.COLLABORATIVE: self.branches.collaborative,
            },
            parts_with_signals=self.parts_with_signals,
            parts_without_signals=self.parts_without_signals,
            budgets=Budgets(
                embed=self.budgets.embed,
                candidates=self.budgets.candidates,
                fallback=self.budgets.fallback,
                rank=self.budgets.rank,
            ),
            diversity=self.diversity.value,
            fusion=self.fusion,
            views=self.views,
        )


class SceneFiles:
    """The scenes that the files hold now."""

    def __init__(
        self, folder: Path | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Reads all files; raises ScenesInvalid when one is bad."""
        self._folders = [Path(__file__).parent, *([folder] if folder is not None else [])]
        self._clock = clock
        self._seen = self._marks()
        self._scenes = _read(self._folders)
        self._looked = clock()

    def get(self, name: str) -> Scene:
        """The scene as its file has it now; empty = "default". Raises SceneNotFound."""
        self._look()
        scene = self._scenes.get(name or DEFAULT)
        if scene is None:
            raise SceneNotFound
        return scene

    def names(self) -> tuple[str, ...]:
        """Their names, sorted."""
        self._look()
        return tuple(sorted(self._scenes))

    def _look(self) -> None:
        now = self._clock()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        marks = self._marks()
        if marks == self._seen:
            return
        self._seen = marks
        try:
            self._scenes = _read(self._folders)
        except ScenesInvalid as error:
            STALE.set(1)
            get_logger().error("scene files refused; the former scenes go on", problem=str(error))
            return
        STALE.set(0)
        get_logger().info("scenes read", scenes=sorted(self._scenes))

    def _marks(self) -> dict[str, tuple[int, int]]:
        """Modification time (ns) and size of each file."""
        marks = {}
        for path in _files(self._folders):
            try:
                told = path.stat()
            except OSError:
                continue
            marks[str(path)] = (told.st_mtime_ns, told.st_size)
        return marks


def _files(folders: list[Path]) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(folder.glob("*.toml"))


def _read(folders: list[Path]) -> Mapping[str, Scene]:
    for folder in folders:
        if not folder.is_dir():
            raise ScenesInvalid(f"{folder} is not a folder")
    return {path.stem: _scene(path) for path in _files(folders)}


def _scene(path: Path) -> Scene:
    if not _NAME.fullmatch(path.stem):
        raise ScenesInvalid(f"{path}: a scene's name is 1 to 64 of a-z, 0-9, _ and -")
    try:
        content = path.read_bytes()
        file = _File.model_validate(tomllib.loads(content.decode()))
    except (OSError, UnicodeError, tomllib.TOMLDecodeError) as error:
        raise ScenesInvalid(f"{path}: {error}") from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'together'}: {item['msg']}"
            for item in error.errors(include_url=False, include_input=False)
        )
        raise ScenesInvalid(f"{path}: {problems}") from error
    return file.scene(path.stem, hashlib.sha256(content).hexdigest()[:16])
