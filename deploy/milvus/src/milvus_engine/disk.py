"""Protection of Milvus Lite from data loss on a full disk (3.2.2, by its source and by trials,
2026-11).

Milvus Lite continues to append to a write-ahead log after a truncated record, and recovery reads up
to that record: rows that were acknowledged after a full disk were lost after a kill. Therefore

- no write begins while the disk has less free space than a reserve; reads continue;
- if a record cannot be written nevertheless, the process ends, as databases do when their log
fails. The next start reads the complete records and begins a new log.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from milvus_lite.storage.wal import WAL

RESERVE_BYTES = 16 * 1024 * 1024
"""Free bytes that a write requires. It is more than one call writes: 1,000 rows of 2,048 dimensions
are 8 MB."""

LOG_FAILED = 74
"""Exit status, EX_IOERR of sysexits(3)."""

FREEING = frozenset({"DropCollection", "LoadCollection", "ReleaseCollection"})
"""Writing calls that need no free space."""

log = logging.getLogger("milvus_engine")


def has_room(data: Path, reserve: int) -> bool:
    """Return whether the folder's disk has `reserve` bytes left. A missing folder counts as yes."""
    with suppress(FileNotFoundError):
        return shutil.disk_usage(data).free >= reserve
    return True


def end_when_the_log_fails() -> None:
    """Patch the write-ahead log to end this process at once when it can't be written."""
    WAL.write_insert = _or_end(WAL.write_insert)
    WAL.write_delete = _or_end(WAL.write_delete)


def _or_end(write: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    def whole(self: Any, batch: Any) -> None:
        try:
            # The folder may have been deleted, and the vendor creates each new log in it.
            Path(self.wal_dir).mkdir(parents=True, exist_ok=True)
            write(self, batch)
        except OSError as error:
            log.critical("the log of writes can't be written, so this process ends: %s", error)
            os._exit(LOG_FAILED)  # a regular exit would write again

    return whole
