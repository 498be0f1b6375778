"""Consistent reads of a collection, also while its memory is flushed to files.

Milvus Lite (3.2.2, by its source and by trials, 2026-11) begins a flush by emptying its memory,
and a read uses the files and then, up to twice, the memory. So a read during a flush missed rows
that were only in memory, or returned rows whose deletion was only in memory. Here a flush is atomic
for reads, and each read sees the state at its begin.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import wraps
from typing import Any

from milvus_lite.engine.collection import Collection

READS = ("search", "query", "get", "_num_entities")
"""The vendor's methods that read files and memory."""


def read_one_state() -> None:
    """Patch collections so that each read sees one state."""
    for name in READS:
        setattr(Collection, name, _of_one_state(getattr(Collection, name)))
    Collection._trigger_flush = _at_once(Collection._trigger_flush)


def _of_one_state(read: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(read)
    def steady(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self._maintenance_lock:
            files = self._read_snapshot()
            view = copy.copy(self)  # with the memory that belongs to these files
        view._read_snapshot = lambda: files
        return read(view, *args, **kwargs)

    return steady


def _at_once(flush: Callable[[Any], None]) -> Callable[[Any], None]:
    @wraps(flush)
    def whole(self: Any) -> None:
        with self._maintenance_lock:  # the vendor takes it only after emptying the memory
            flush(self)

    return whole
