"""Files of a suite that runs: they come and go while a test reads their names."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def stored_files(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield each file and folder below a folder, without those that end meanwhile."""
    for folder, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = Path(folder, name)
            with suppress(FileNotFoundError):
                yield path, path.lstat()
