"""Validation of scene texts that are not in use: entry by entry, as for files."""

import hashlib
import re
import tomllib
from collections.abc import Iterable

from pydantic import ValidationError

from gateway.model import scene_checks
from gateway.model.errors import SceneInvalid
from gateway.model.scene import Scene
from servicekit.errors import FieldViolation

MOST_BYTES = 64 * 1024
"""Maximum size in bytes: ten times the built-in scene."""
MOST_LINE = 400
"""Maximum number of characters in a line: a key of 32,000 levels in one line took the library 22
seconds."""
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def read(name: str, text: str) -> Scene:
    """Parse the scene of that name from a file's text.

    Raises SceneInvalid with every invalid entry.
    """
    if not NAME.fullmatch(name):
        raise SceneInvalid.at("scene", "must be 1 to 64 characters of a-z, 0-9, _ and -")
    content = text.encode()
    if len(content) > MOST_BYTES:
        raise SceneInvalid.at("toml", f"is longer than {MOST_BYTES} bytes")
    if max(map(len, text.splitlines()), default=0) > MOST_LINE:
        raise SceneInvalid.at("toml", f"has a line of more than {MOST_LINE} characters")
    try:
        entries = tomllib.loads(text)
        scene = Scene(name, hashlib.sha256(content).hexdigest()[:16], **entries)
    except tomllib.TOMLDecodeError as error:
        raise SceneInvalid.at("toml", str(error)) from error
    except RecursionError as error:
        raise SceneInvalid.at("toml", "is nested too deeply") from error
    except ValidationError as error:
        raise SceneInvalid(*_problems(error)) from error
    if wrong := [each.split(": ", 1) for each in scene_checks.problems(scene)]:
        raise SceneInvalid(*(FieldViolation(f"toml.{path}", text) for path, text in wrong))
    return scene


def _problems(error: ValidationError) -> Iterable[FieldViolation]:
    for each in error.errors(include_url=False, include_input=False):
        yield FieldViolation(".".join(("toml", *map(str, each["loc"]))), each["msg"])
