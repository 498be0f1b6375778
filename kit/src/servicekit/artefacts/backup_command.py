"""The command `python -m SERVICE.backups`, which is the same for every service.

Prints a line of JSON for each backup that it created, listed, checked, deleted or restored. Errors
go to standard error, with exit status 1.
"""

import argparse
import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeAlias

from servicekit.artefacts.backup_errors import BackupNotFound
from servicekit.artefacts.backups import Backups
from servicekit.artefacts.manifest import Manifest
from servicekit.errors import ServiceError
from servicekit.rpc.server import PRIVATE
from servicekit.watched_files import Unreadable

NEWEST = "newest"


class BackupCommand(ABC):
    """Executes the verbs of the command; each verb is a method."""

    def __init__(self, backups: Backups, catalogs: Sequence[str] = ("",)) -> None:
        """`catalogs`: each has its own backups; a single empty name: one backup holds all
        catalogs."""
        self.backups, self.catalogs = backups, catalogs
        self.seconds: dict[str, float] = {}
        """Seconds by step."""

    @abstractmethod
    def make(self, catalog_id: str) -> Mapping[str, Any]:
        """Make a backup. Return the fields to print, with its id as `backup`."""

    @abstractmethod
    def bring_back(
        self, catalog_id: str, source: str, backup_id: str, given: argparse.Namespace
    ) -> Mapping[str, Any]:
        """Restore a backup of the catalog `source` into `catalog`. Return the fields to print."""

    def trim(self, catalog_id: str, keep: int) -> Sequence[str]:
        """Delete all backups but the newest. Return the ids of the deleted ones."""
        return self.backups.keep_newest(catalog_id, keep)

    def create(self, given: argparse.Namespace) -> Iterator[Mapping[str, Any]]:
        for catalog_id in self._chosen(given):
            try:
                with self.timed("create"):
                    made = self.make(catalog_id)
                deleted = self.trim(catalog_id, given.keep) if given.keep else []
                yield {**made, "deleted": deleted, "seconds": self.seconds}
            except ServiceError as error:  # the other catalogs are still backed up
                yield {"catalog": catalog_id, "error": shown(error)}

    def list(self, given: argparse.Namespace) -> Iterator[Mapping[str, Any]]:
        for catalog_id in self._chosen(given):
            for one in self.backups.ids(catalog_id):
                try:
                    yield row(one, self.backups.open(catalog_id, one, unsigned=True).manifest)
                except ServiceError as error:
                    yield {"backup": one, "catalog": catalog_id, "error": shown(error)}

    def check(self, given: argparse.Namespace) -> Iterator[Mapping[str, Any]]:
        catalog_id, backup_id = self._named(given)
        found = self.backups.open(catalog_id, backup_id, unsigned=given.accept_unsigned)
        with self.timed("check"):
            found.check()
        yield {**row(backup_id, found.manifest), "seconds": self.seconds}

    def delete(self, given: argparse.Namespace) -> Iterator[Mapping[str, Any]]:
        catalog_id, backup_id = self._named(given)
        size = self.backups.delete(catalog_id, backup_id)
        yield {"backup": backup_id, "catalog": catalog_id, "deleted": [backup_id], "bytes": size}

    def restore(self, given: argparse.Namespace) -> Iterator[Mapping[str, Any]]:
        source, backup_id = self._named(given, given.source)
        catalog_id = self._one(given)
        made = self.bring_back(catalog_id, source, backup_id, given)
        yield {"backup": backup_id, "catalog": catalog_id, **made, "seconds": self.seconds}

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Measure the duration of a step."""
        since = time.monotonic()
        yield
        self.seconds[step] = round(time.monotonic() - since, 3)

    def _chosen(self, given: argparse.Namespace) -> Sequence[str]:
        return self.catalogs if given.catalog is None else (given.catalog,)

    def _one(self, given: argparse.Namespace) -> str:
        """Return the catalog that the arguments select."""
        return self._chosen(given)[0]

    def _named(self, given: argparse.Namespace, source: str | None = None) -> tuple[str, str]:
        """Return the catalog and the id of the backup in the arguments. Raise BackupNotFound."""
        catalog_id = source or self._one(given)
        ids = self.backups.ids(catalog_id)
        backup_id = ids[0] if ids and given.id == NEWEST else given.id
        if backup_id not in ids:
            raise BackupNotFound(f"there is no backup {backup_id}")
        return catalog_id, backup_id


def row(backup_id: str, manifest: Manifest) -> dict[str, Any]:
    """Return a backup as the command prints it."""
    return {
        "backup": backup_id,
        "catalog": manifest.catalog_id,
        "time": datetime.fromtimestamp(manifest.create_micros / 10**6, UTC).isoformat(),
        "release": manifest.service_version,
        "bytes": manifest.size,
        "rows": {
            file.name.rpartition("/")[2].partition(".")[0]: file.rows
            for file in manifest.files
            if file.name.startswith("tables/")
        },
        "lost": manifest.content.get("lost"),
    }


Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def parser(service: str, *, by_catalog: bool, keep: int) -> tuple[argparse.ArgumentParser, Verbs]:
    """Return the parser of the command, and its verbs, to which a service may add options.
    `by_catalog`: each catalog has its own backups. `keep`: default number of backups that `create`
    keeps; 0: it deletes none.
    """
    made = argparse.ArgumentParser(prog=f"python -m {service}.backups", description=__doc__)
    verbs = made.add_subparsers(dest="verb", required=True, metavar="VERB")
    create = verbs.add_parser(
        "create", help="make a backup, of each catalog if catalogs have their own"
    )
    keep_help = "then delete all but the newest KEEP; 0 deletes none (default: %(default)s)"
    create.add_argument("--keep", type=_count, default=keep, help=keep_help)
    verbs.add_parser("list", help="list the backups, newest first")
    check = verbs.add_parser("check", help="verify a backup: signature, size and hash of each file")
    delete = verbs.add_parser("delete", help="delete a backup")
    restore = verbs.add_parser("restore", help="replace the stored data with a backup")
    for verb in (check, delete, restore):
        verb.add_argument("id", help=f"of the backup, or `{NEWEST}`")
    restore.add_argument("--force", action="store_true", help="even if there is data already")
    for verb in (check, restore):
        accept_unsigned(verb)
    chosen = "in the settings (default: create and list use all of them, other verbs the first)"
    for verb in (create, verbs.choices["list"], check, delete, restore):
        verb.set_defaults(catalog=None, source=None)
        if by_catalog:
            verb.add_argument("--catalog", help=f"catalog {chosen}")
    if by_catalog:
        restore.add_argument("--from", dest="source", help="catalog that the backup is of")
    return made, verbs


def _count(text: str) -> int:
    """Return a number of backups. Raise ArgumentTypeError if it is not a whole number from 0 on."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def accept_unsigned(verb: argparse.ArgumentParser) -> None:
    """Add the option that accepts files without a valid signature."""
    help_text = "accept files without a valid signature"
    verb.add_argument("--accept-unsigned", action="store_true", help=help_text)


def run(given: argparse.Namespace, command: Callable[[], BackupCommand]) -> int:
    """Execute the command line. Return the exit status."""
    os.umask(PRIVATE)
    status = 0
    try:
        for done in getattr(command(), given.verb)(given):
            failed = "error" in done
            print(json.dumps(done), file=sys.stderr if failed else sys.stdout, flush=True)
            status = max(status, int(failed))
    except (ServiceError, Unreadable, OSError) as error:
        print(shown(error), file=sys.stderr)
        return 1
    return status


def shown(error: Exception) -> str:
    """Return an error as the command prints it: its reason first."""
    return f"{error.reason}: {error}" if isinstance(error, ServiceError) else str(error)
