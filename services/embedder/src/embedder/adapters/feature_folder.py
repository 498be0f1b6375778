"""Cache of photo features by content: a repeated fit, or one with another seed, computes only new
photos."""

import contextlib
import io
import os
import shutil
import time
from pathlib import Path
from typing import Final

import numpy as np

from embedder.domain.fitted import Floats
from servicekit.telemetry import get_logger
from servicekit.whole_files import write_whole

log = get_logger()

KEPT_DAYS: Final = 30
"""Days after its last use for which a photo's features are kept."""


class FeatureFolder:
    """``<root>/<2 hex>/<sha256>.npy``: float32 [views, f] of a photo, by one model."""

    def __init__(self, root: Path) -> None:
        """`root` is created when the first photo is stored."""
        self.path = root

    def has(self, photo: str) -> bool:
        """Return whether a photo's features are stored, and renew their time of use.

        Those in a file that is no array, or shorter than its head says, are to be stored again:
        otherwise each fit would fail on them.
        """
        path = self._path(photo)
        try:
            np.lib.format.open_memmap(path, mode="r")
            os.utime(path)
        except FileNotFoundError:
            return False
        except (OSError, ValueError) as error:
            log.warning("features damaged", file=str(path), problem=str(error))
            return False
        return True

    def read(self, photo: str) -> Floats:
        """Return the stored features of a photo. Raises OSError or ValueError."""
        found: Floats = np.load(self._path(photo), allow_pickle=False)
        return found

    def keep(self, photo: str, features: Floats) -> None:
        """Store a photo's features atomically."""
        path = self._path(photo)
        path.parent.mkdir(parents=True, exist_ok=True)
        file = io.BytesIO()
        np.save(file, np.ascontiguousarray(features, np.float32), allow_pickle=False)
        write_whole(path, file.getvalue(), durable=False)

    def _path(self, photo: str) -> Path:
        return self.path / photo[:2] / f"{photo}.npy"


def forget(root: Path, days: float = KEPT_DAYS) -> None:
    """Delete features below `root` that were not used for `days`."""
    end = time.time() - days * 86400
    for path in root.glob("*/*/*"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < end:
                path.unlink()
    for model in root.glob("*"):
        if not any(path.is_file() for path in model.glob("*/*")):
            shutil.rmtree(model, ignore_errors=True)
