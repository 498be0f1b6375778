"""Files that can't be used: ways in which a test breaks one."""

import shutil
from collections.abc import Callable
from pathlib import Path


def _cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _missing(path: Path) -> None:
    path.unlink()


def _unreadable(path: Path) -> None:
    """Put a folder in its place, which not even root can read as a file."""
    path.unlink()
    path.mkdir()


BROKEN: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut in the middle": _cut,
    "not UTF-8": lambda path: path.write_bytes(b"\xff\xfe\x00 = 1"),
    "of another kind": lambda path: path.write_text('["a", 1]'),
}
"""By what is wrong: writes a file's content, of which it has some."""
GONE: dict[str, Callable[[Path], object]] = {"missing": _missing, "unreadable": _unreadable}
"""By what is wrong: leaves no file to read."""
WAYS = {**BROKEN, **GONE}


def removed(path: Path) -> None:
    """Remove what stands in a file's place."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
