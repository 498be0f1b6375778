"""Errors of a store, and their mapping from the drivers' codes."""

import sqlite3
import sys
import traceback
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError

from servicekit.errors import DataLoss, ResourceExhausted, ServiceError, Unavailable

T = TypeVar("T")


class StoreBusy(Unavailable, reason="STORE_BUSY"):
    """Another writer held the store for too long, or too many calls wait for it."""

    message = "the store is busy"
    retry_after = timedelta(milliseconds=500)


class StoreUnavailable(Unavailable, reason="STORE_UNAVAILABLE"):
    """The store can't be reached or opened."""

    message = "the store can't be reached"
    retry_after = timedelta(seconds=2)


class StoreFull(ResourceExhausted, reason="STORE_FULL"):
    """The disk of the store is full. The write was rolled back."""

    message = "the disk of the store is full"


class StoreDamaged(DataLoss, reason="STORE_DAMAGED"):
    """The store's file is not a valid database."""

    message = "the store is damaged"


SQLITE_ERRORS: Mapping[int, type[StoreBusy | StoreUnavailable | StoreFull | StoreDamaged]] = (
    MappingProxyType(
        {
            sqlite3.SQLITE_BUSY: StoreBusy,
            sqlite3.SQLITE_LOCKED: StoreBusy,
            sqlite3.SQLITE_PROTOCOL: StoreBusy,
            sqlite3.SQLITE_FULL: StoreFull,
            sqlite3.SQLITE_CANTOPEN: StoreUnavailable,
            sqlite3.SQLITE_IOERR: StoreUnavailable,
            sqlite3.SQLITE_READONLY: StoreUnavailable,
            sqlite3.SQLITE_PERM: StoreUnavailable,
            sqlite3.SQLITE_NOMEM: StoreUnavailable,
            sqlite3.SQLITE_CORRUPT: StoreDamaged,
            sqlite3.SQLITE_NOTADB: StoreDamaged,
        }
    )
)
"""Primary result codes of SQLite (https://www.sqlite.org/rescode.html) that are not caused by bugs
of this code."""

POSTGRES_ERRORS: Mapping[str, type[StoreBusy | StoreUnavailable | StoreFull | StoreDamaged]] = (
    MappingProxyType(
        {
            "53100": StoreFull,
            "53": StoreUnavailable,
            "08": StoreUnavailable,
            "25P03": StoreUnavailable,
            "57P": StoreUnavailable,
            "40001": StoreBusy,
            "40P01": StoreBusy,
            "55P03": StoreBusy,
            "XX001": StoreDamaged,
            "XX002": StoreDamaged,
        }
    )
)
"""SQLSTATEs of PostgreSQL or their prefixes; the longest match counts."""


def run(work: Callable[[Connection], T], connection: Connection) -> T:
    """Return the result of work with a connection.

    An error, and those that it arose from, lose the frames of the work. Whoever holds the error
    would hold cursors that were not read to their end, which lock tables and keep an old state of
    the store.
    """
    before = sys.exc_info()[1]
    try:
        return work(connection)
    except BaseException as error:
        found: list[BaseException | None] = [error]
        cleared = [before]
        while found:
            if (each := found.pop()) is not None and each not in cleared:
                cleared.append(each)
                traceback.clear_frames(each.__traceback__)
                found += [each.__cause__, each.__context__]
        raise


def translate(error: DBAPIError) -> ServiceError | None:
    """Return the ServiceError for a driver's `error`; None for an error of our code."""
    driver = error.orig
    if isinstance(driver, sqlite3.Error):
        code = getattr(driver, "sqlite_errorcode", None)
        kind = SQLITE_ERRORS.get(code & 0xFF) if isinstance(code, int) else None
        return kind() if kind else None
    state = getattr(driver, "sqlstate", None)
    if isinstance(state, str):
        fitting = [known for known in POSTGRES_ERRORS if state.startswith(known)]
        return POSTGRES_ERRORS[max(fitting, key=len)]() if fitting else None
    if error.connection_invalidated or isinstance(error, OperationalError):
        return StoreUnavailable()
    return None
