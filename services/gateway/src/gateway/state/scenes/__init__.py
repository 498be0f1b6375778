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
from gateway.model.filters import of_words
from gateway.model.scene import Scene
from servicekit.reloaded import Reloaded, Unreadable, problems

DEFAULT = "default"

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
STALE = Gauge(
    "sightline_gateway_scenes_stale",
    "1 while the scene files are bad and the scenes before them go on.",
    multiprocess_mode="livemax",
)


class ScenesInvalid(Unreadable):
    """A scene file can't be used; the message names it and what is wrong."""


class SceneFiles:
    """The scenes that the files hold now."""

    def __init__(
        self, folder: Path | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Reads all files; raises ScenesInvalid when one is bad."""
        folders = [Path(__file__).parent, *([folder] if folder is not None else [])]
        self._scenes = Reloaded(
            lambda: _files(folders), lambda: _read(folders), stale=STALE.set, clock=clock
        )

    def get(self, name: str) -> Scene:
        """The scene as its file has it now; empty = "default". Raises SceneNotFound."""
        scene = self._scenes.get().get(name or DEFAULT)
        if scene is None:
            raise SceneNotFound
        return scene

    def names(self) -> tuple[str, ...]:
        """Their names, sorted."""
        return tuple(sorted(self._scenes.get()))


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
        _carry_filters(file.get("controls"))
        version = hashlib.sha256(content).hexdigest()[:16]
        return Scene(path.stem, version, **file)
    except ValidationError as error:
        raise ScenesInvalid(f"{path}: {problems(error)}") from error
    except (OSError, ValueError) as error:
        raise ScenesInvalid(f"{path}: {error}") from error


def _carry_filters(controls: object) -> None:
    """Put filters in the place of their texts. Raises ValueError."""
    for index, control in enumerate(controls if isinstance(controls, list) else ()):
        text = control.get("filter") if isinstance(control, dict) else None
        if isinstance(text, str):
            try:
                control["filter"] = of_words(text)
            except ValueError as error:
                raise ValueError(f"controls.{index}.{error}") from error
        elif text is not None:
            raise ValueError(f"controls.{index}.filter is a text: 'brand = Aurora'")
