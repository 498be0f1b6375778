"""Scenes as files: one TOML file each, reloaded when one changes.

The built-in scenes are beside this file; the operator's folder adds to them or replaces them by
name. An invalid file is rejected alone: its former content stays in use, and the changes of other
files take effect. A gateway that starts with one knows no former content: it uses the scene that
the file would have replaced, if any.

A subfolder named after a catalog holds that catalog's own scenes, which may replace others by name.
In a catalog that the record steers, published scenes take their place (`recorded`).
"""

import hashlib
import time
import tomllib
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from prometheus_client import Gauge
from pydantic import ValidationError

from gateway.model import scene_checks
from gateway.model.errors import SceneNotFound
from gateway.model.scene import Scene, SceneInUse
from servicekit.telemetry import get_logger
from servicekit.watched_files import Reloaded, Unreadable, problems, read_each
from sightline_rules.ids import SCENE_NAME, SCENE_NAME_WANTED

DEFAULT = "default"

STALE = Gauge(
    "sightline_gateway_scenes_stale",
    "1 while a scene file, or a published scene of the record, is invalid: its former content stays"
    " in use. By source: files or record.",
    ("source",),
    multiprocess_mode="livemax",
)
FILE_REJECTED = "the file of this scene is invalid; ListScenes says why"


class ScenesInvalid(Unreadable):
    """Invalid scene files; the message names the files and their errors."""

    optional = True


@dataclass(frozen=True, slots=True)
class _SceneSet:
    """The files of all folders."""

    files: Mapping[Path, SceneInUse]
    by_catalog: Mapping[str, Mapping[str, SceneInUse]]
    """By catalog and name; "": of all other catalogs."""
    problems: Mapping[Path, str]
    """Rejected files, each with its problem."""


class SceneFiles:
    """The current scenes of the files."""

    def __init__(
        self,
        folder: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        catalogs: Collection[str] | None = None,
    ) -> None:
        """Read all files. Raises ScenesInvalid if a folder is missing.

        `catalogs`: declared catalogs; None: unknown.
        """
        self._folder = folder
        self._catalogs = catalogs
        self._files: Mapping[Path, SceneInUse] = {}
        self._scenes = Reloaded(
            lambda: chain.from_iterable(map(_files, (*_shared(folder), *_own(folder)))),
            self._read,
            stale=STALE.labels("files").set,
            clock=clock,
        )

    def _read(self) -> _SceneSet:
        found = _read(self._folder, self._catalogs, self._files)
        self._files = found.files
        if found.problems:
            raise ScenesInvalid("; ".join(found.problems.values()), found)
        return found

    def get(self, name: str, catalog_id: str = "") -> Scene:
        """Return the current scene of a catalog; an empty name is "default".

        Raises SceneNotFound.
        """
        found = self._of(catalog_id).get(name or DEFAULT)
        return self.in_use(name, catalog_id).scene if found is None else found.scene

    def in_use(self, name: str, catalog_id: str = "") -> SceneInUse:
        """Return the current scene of a catalog with its text; an empty name is "default".

        Raises SceneNotFound.
        """
        found = self._of(catalog_id).get(name or DEFAULT)
        if found is not None:
            return found
        if {f"{name}.toml", f"{catalog_id}/{name}.toml"} & self.problems(catalog_id).keys():
            raise SceneNotFound(FILE_REJECTED)
        raise SceneNotFound.among(name, self._of(catalog_id))

    def is_recorded(self, catalog_id: str) -> bool:  # noqa: ARG002
        """Return False: files steer all catalogs."""
        return False

    def names(self, catalog_id: str = "") -> tuple[str, ...]:
        """Return the scenes' names, sorted."""
        return tuple(sorted(self._of(catalog_id)))

    def problems(self, catalog_id: str = "") -> Mapping[str, str]:
        """Return the rejected files of a catalog, and of all catalogs, each with its problem."""
        shared, found = _shared(self._folder), dict[str, str]()
        for path, text in self._scenes.get().problems.items():
            if path.parent in shared:
                found[path.name] = text
            elif path.parent.name == catalog_id:
                found[f"{catalog_id}/{path.name}"] = text
        return found

    def _of(self, catalog_id: str) -> Mapping[str, SceneInUse]:
        scenes = self._scenes.get().by_catalog
        return scenes.get(catalog_id, scenes[""])


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
    folder: Path | None, catalogs: Collection[str] | None, former: Mapping[Path, SceneInUse]
) -> _SceneSet:
    """Read all files. An invalid one has its content of `former`. Raises ScenesInvalid if a folder
    is missing."""
    for each in _shared(folder):
        if not each.is_dir():
            raise ScenesInvalid(f"{each} is not a folder")
    own = _own(folder)
    paths = chain.from_iterable(map(_files, (*_shared(folder), *own)))
    found, problems = read_each(paths, _scene, former)
    of_folder = defaultdict[Path, dict[str, SceneInUse]](dict)
    for path, file in found.items():
        of_folder[path.parent][path.stem] = file
    shared = dict(chain.from_iterable(of_folder[each].items() for each in _shared(folder)))
    for each in own:
        if catalogs is not None and each.name not in catalogs:
            get_logger().warning("scenes of an undeclared catalog", folder=str(each))
    return _SceneSet(
        found, {"": shared, **{each.name: {**shared, **of_folder[each]} for each in own}}, problems
    )


def _scene(path: Path) -> SceneInUse:
    if not SCENE_NAME.fullmatch(path.stem):
        raise ScenesInvalid(f"{path}: a scene's name {SCENE_NAME_WANTED}")
    try:
        content = path.read_bytes()
        version = hashlib.sha256(content).hexdigest()[:16]
        text = content.decode()
        scene = Scene(path.stem, version, **tomllib.loads(text))
    except ValidationError as error:
        raise ScenesInvalid(f"{path}: {problems(error)}") from error
    except (OSError, ValueError, TypeError) as error:  # TypeError: the file sets `name` too
        raise ScenesInvalid(f"{path}: {error}") from error
    if wrong := list(scene_checks.problems(scene)):
        raise ScenesInvalid(f"{path}: {'; '.join(wrong)}")
    if idle := list(scene_checks.warnings(scene)):
        get_logger().warning("scene entries have no effect", file=str(path), problems=idle)
    return SceneInUse(scene, text)
