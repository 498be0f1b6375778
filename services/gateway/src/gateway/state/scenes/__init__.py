"""Scenes as files: one TOML file each, validated together, reloaded when one changes.

The built-in scenes are beside this file; the operator's folder adds to them or replaces them by
name. If one file is invalid, the whole set is rejected and the previous scenes stay in use.

A subfolder named after a catalog holds that catalog's own scenes, which may replace others by name.
"""

import hashlib
import re
import time
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import chain
from pathlib import Path

from prometheus_client import Gauge
from pydantic import ValidationError

from gateway.model import scene_checks
from gateway.model.errors import SceneNotFound
from gateway.model.scene import Scene
from servicekit.reloaded import Reloaded, Unreadable, problems
from servicekit.telemetry import get_logger

DEFAULT = "default"

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
STALE = Gauge(
    "sightline_gateway_scenes_stale",
    "1 while the scene files are invalid and the previous scenes stay in use.",
    multiprocess_mode="livemax",
)


class ScenesInvalid(Unreadable):
    """An invalid scene file; the message names the file and the error."""


class SceneFiles:
    """The current scenes of the files."""

    def __init__(
        self,
        folder: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        catalogs: Collection[str] | None = None,
    ) -> None:
        """Read all files. Raises ScenesInvalid if one is invalid.

        `catalogs`: declared catalogs; None: unknown.
        """
        self._folder = folder
        self._scenes = Reloaded(
            lambda: chain.from_iterable(map(_files, (*_shared(folder), *_own(folder)))),
            lambda: _read(folder, catalogs),
            stale=STALE.set,
            clock=clock,
        )

    def get(self, name: str, catalog_id: str = "") -> Scene:
        """Return the current scene of a catalog; an empty name is "default".

        Raises SceneNotFound.
        """
        scenes = self._scenes.get()
        scene = scenes.get(catalog_id, scenes[""]).get(name or DEFAULT)
        if scene is None:
            raise SceneNotFound
        return scene

    def text(self, name: str, catalog_id: str = "") -> str:
        """Return the file of a scene; an empty name is "default". Raises SceneNotFound."""
        file = f"{self.get(name, catalog_id).name}.toml"
        own = [self._folder / catalog_id] if self._folder and catalog_id else []
        paths = [folder / file for folder in (*_shared(self._folder), *own)]
        return [path.read_text(encoding="utf-8") for path in paths if path.is_file()][-1]

    def names(self, catalog_id: str = "") -> tuple[str, ...]:
        """Return the scenes' names, sorted."""
        scenes = self._scenes.get()
        return tuple(sorted(scenes.get(catalog_id, scenes[""])))


def _files(folder: Path) -> Sequence[Path]:
    return sorted(folder.glob("*.toml"))


def _shared(folder: Path | None) -> Sequence[Path]:
    """Return the folders of scenes for all catalogs; scenes of later folders replace earlier
    ones."""
    return [Path(__file__).parent, *([folder] if folder is not None else [])]


def _own(folder: Path | None) -> Sequence[Path]:
    """Return the folders of single catalogs. Hidden folders, as in mounted volumes, are ignored."""
    if folder is None or not folder.is_dir():
        return ()
    return sorted(each for each in folder.iterdir() if each.is_dir() and each.name[0] != ".")


def _read(
    folder: Path | None, catalogs: Collection[str] | None
) -> Mapping[str, Mapping[str, Scene]]:
    """Return the scenes by catalog; "": scenes of all other catalogs."""
    for each in _shared(folder):
        if not each.is_dir():
            raise ScenesInvalid(f"{each} is not a folder")
    shared = {path.stem: _scene(path) for each in _shared(folder) for path in _files(each)}
    scenes = {"": shared}
    for own in _own(folder):
        scenes[own.name] = {**shared, **{path.stem: _scene(path) for path in _files(own)}}
        if catalogs is not None and own.name not in catalogs:
            get_logger().warning("scenes of an undeclared catalog", folder=str(own))
    return scenes


def _scene(path: Path) -> Scene:
    if not _NAME.fullmatch(path.stem):
        raise ScenesInvalid(
            f"{path}: a scene's name must be 1 to 64 characters of a-z, 0-9, _ and -"
        )
    try:
        content = path.read_bytes()
        version = hashlib.sha256(content).hexdigest()[:16]
        scene = Scene(path.stem, version, **tomllib.loads(content.decode()))
    except ValidationError as error:
        raise ScenesInvalid(f"{path}: {problems(error)}") from error
    except (OSError, ValueError) as error:
        raise ScenesInvalid(f"{path}: {error}") from error
    if wrong := list(scene_checks.problems(scene)):
        raise ScenesInvalid(f"{path}: {'; '.join(wrong)}")
    if idle := list(scene_checks.warnings(scene)):
        get_logger().warning("scene entries have no effect", file=str(path), problems=idle)
    return scene
