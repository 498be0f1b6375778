"""Small separate disks (tmpfs) that can be filled and freed again.

They are mounted in a mount namespace of this run alone, so that nothing is left of them whatever
becomes of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.model import NotMeasured

_PRIVATE = "SIGHTLINE_CHAOS_PRIVATE"
"""Set once this process has a mount namespace of its own."""
_CHUNK = 64 * 2**10
_LOOK_SECONDS = 0.1


def enter_private_mounts(module: str, arguments: Sequence[str]) -> None:
    """Restart this program in a mount namespace; do nothing where the system forbids that."""
    if os.environ.get(_PRIVATE):
        return
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "-r"]
    with contextlib.suppress(FileNotFoundError):
        if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode == 0:
            os.environ[_PRIVATE] = "1"
            command = [*unshare, sys.executable, "-m", module, *arguments]
            os.execvp(command[0], command)  # noqa: S606 - no shell is wanted


@dataclass(frozen=True, slots=True)
class Disk:
    """A file system of its own."""

    path: Path

    def fill(self) -> None:
        """Leave nothing free."""
        with (self.path / "ballast").open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while left := shutil.disk_usage(self.path).free:
                file.write(bytes(min(_CHUNK, left)))

    async def stay_full(self, seconds: float) -> None:
        """Fill it, and again whatever becomes free meanwhile."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.fill()
            await asyncio.sleep(_LOOK_SECONDS)

    def free(self) -> None:
        """Take the ballast off again."""
        (self.path / "ballast").unlink()


@contextlib.contextmanager
def small_disks(
    sizes: Mapping[str, int],
) -> Iterator[tuple[Callable[[Path], None], dict[str, Disk]]]:
    """Yield a function that mounts disks below a suite's folder, outermost first, and the disks
    once it was called. `sizes`: MiB by folder. The disks are removed at the end. Raise NotMeasured
    where mounting is impossible."""
    if not os.environ.get(_PRIVATE):
        raise NotMeasured("this user can't mount: unshare(1) is missing or forbidden")
    mounted: dict[str, Disk] = {}
    roots: list[Path] = []

    def prepare(data: Path) -> None:
        roots.append(data)
        for name, size in sizes.items():
            place = data / name
            place.mkdir(parents=True, exist_ok=True)
            command = ["mount", "-t", "tmpfs", "-o", f"size={size}m", "tmpfs", str(place)]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode:
                raise NotMeasured(f"no small disk: {done.stderr.strip()}")
            mounted[name] = Disk(place)

    try:
        yield prepare, mounted
    finally:
        for disk in reversed(mounted.values()):
            subprocess.run(["umount", "--lazy", str(disk.path)], check=False)
        for root in roots:
            with contextlib.suppress(OSError):
                _remove_empty(root)


def _remove_empty(root: Path) -> None:
    """Remove a folder in which nothing but folders is left. Raises OSError when there is."""
    for folder, _, _ in os.walk(root, topdown=False):
        Path(folder).rmdir()
