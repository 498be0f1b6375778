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

from prometheus_client import Gauge
from pydantic import ValidationError

from gateway.model.errors import SceneNotFound
from gateway.model.scene import Scene
from servicekit.telemetry import get_logger

DEFAULT = "default"
LOOK_SECONDS = 1.0
"""How often the files are looked at, at most."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
STALE = Gauge(
    "sightline_gateway_scenes_stale",
    "1 while the scene files are bad and the scenes before them go on.",
    multiprocess_mode="livemax",
)


class ScenesInvalid(Exception):
    """A scene file can't be used; the message names it and what is wrong."""


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
                stat = path.stat()
            except OSError:
                continue
            marks[str(path)] = (stat.st_mtime_ns, stat.st_size)
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
        file = tomllib.loads(content.decode())
        version = hashlib.sha256(content).hexdigest()[:16]
        return Scene(path.stem, version, **file)
    except (OSError, UnicodeError, tomllib.TOMLDecodeError) as error:
        raise ScenesInvalid(f"{path}: {error}") from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'together'}: {item['msg']}"
            for item in error.errors(include_url=False, include_input=False)
        )
        raise ScenesInvalid(f"{path}: {problems}") from error
