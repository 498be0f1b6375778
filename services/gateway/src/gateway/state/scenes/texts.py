"""Validation of scene texts that are not files: entry by entry, as for files."""

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from pydantic import ValidationError

from gateway.model import scene_checks
from gateway.model.errors import SceneInvalid
from gateway.model.scene import Scene
from servicekit.decoding.untrusted_toml import TomlInvalid
from servicekit.errors import FieldViolation
from sightline_rules.ids import SCENE_NAME, SCENE_NAME_WANTED

MOST_PROBLEMS = 100
"""Maximum number of reported entries."""

ParseToml = Callable[[str], Awaitable[Mapping[str, Any]]]
"""Return the entries of a TOML text. Raises TomlInvalid."""


async def read(name: str, text: str, parse: ParseToml) -> Scene:
    """Return the scene of that name from a file's text.

    Raises SceneInvalid with the invalid entries.
    """
    if not SCENE_NAME.fullmatch(name):
        raise SceneInvalid.at("scene", SCENE_NAME_WANTED)
    try:
        entries = await parse(text)
        scene = Scene(name, hashlib.sha256(text.encode()).hexdigest()[:16], **entries)
    except TomlInvalid as error:
        raise SceneInvalid.at("toml", str(error)) from error
    except ValidationError as error:
        raise SceneInvalid(*_problems(error)) from error
    except (TypeError, ValueError, OverflowError) as error:  # as an entry named `self`
        raise SceneInvalid.at("toml", f"can't be read: {error}") from error
    if wrong := [each.split(": ", 1) for each in scene_checks.problems(scene)]:
        raise SceneInvalid(*(FieldViolation(f"toml.{path}", text) for path, text in wrong))
    return scene


def _problems(error: ValidationError) -> Iterable[FieldViolation]:
    for each in islice(error.errors(include_url=False, include_input=False), MOST_PROBLEMS):
        yield FieldViolation(".".join(("toml", *map(str, each["loc"]))), each["msg"])
