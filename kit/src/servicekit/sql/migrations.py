"""Migration of a store's tables at start, or by a separate job. Needs the extra `sql`.

On one machine each process migrates when it starts. Where several start while others serve, as on
Kubernetes, a separate job migrates (`python -m SERVICE.migrate`), and they wait for it.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from typing import Literal, NoReturn

from pydantic import SecretStr
from sqlalchemy import MetaData
from sqlalchemy.exc import DBAPIError

from servicekit.config import Secret, ServiceSettings
from servicekit.errors import ServiceError
from servicekit.liveness import may_block
from servicekit.sql.database import (
    Database,
    StoreBusy,
    StoreUnavailable,
    has_guessable_password,
    tls_remedy,
)
from servicekit.sql.revisions import SchemaRevision, SchemaTooOld
from servicekit.telemetry import get_logger

LOOK_SECONDS = 1.0
"""Seconds between two checks of a waiting process."""
SAY_SECONDS = 30.0
"""Seconds between two log lines of a waiting process."""
LOCK_SECONDS = 3.0
"""Seconds that a migration waits for a table lock, which blocks other users of the table meanwhile.
"""
TRIES = 20

DONE, TO_DO, FAILED = 0, 1, 2
"""Exit statuses of the command; TO_DO with `--check` only."""


class MigrationSettings(ServiceSettings):
    """Settings of migrations; a mixin of the settings of a service with a store."""

    migrations: Literal["run", "wait"] = "run"
    """Which process creates and upgrades the tables. `run`: this process when it starts. `wait`:
    the command `python -m retriever.migrate` or `python -m ranker.migrate`, for which this process
    waits without being ready."""

    plain_stores: bool = False
    """If true, production mode accepts plain text to PostgreSQL and Milvus on other machines: where
    the network itself encrypts, as a service mesh does."""

    database_url: Secret = SecretStr("")
    """SQLAlchemy URL of the store."""

    def unsafe(self) -> Iterator[str]:
        yield from super().unsafe()
        url, variable = self.database_url.get_secret_value(), self.variable("database_url")
        if has_guessable_password(url):
            yield f"{variable}: has a well-known password: change it"
        yield from self.unsafe_store(variable, tls_remedy(url))

    def unsafe_store(self, variable: str, remedy: str) -> Iterator[str]:
        """Yield that a store's address is unsafe, unless that is accepted. An empty `remedy`: it is
        safe."""
        if remedy and not self.plain_stores:
            accepted = f"{self.variable('plain_stores')}=true accepts it"
            yield f"{variable}: a store is called without verified TLS: {remedy}; {accepted}"


def settle(
    database: Database,
    metadata: MetaData,
    settings: MigrationSettings,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Migrate, or wait, until the store has the tables of this release or of a later one that is
    compatible with this release's `metadata`. Blocks; call it before serving.

    Raises SystemExit if the store is incompatible; with `run` also StoreUnavailable and the like.
    """
    with may_block("migrations"):
        try:
            if settings.migrations == "run":
                database.migrate()
            else:
                _wait(database, sleep)
        except SchemaTooOld as error:
            raise SystemExit(f"does not start: {error}") from None
    at = database.schema()
    if at.newer:
        if obstacles := database.obstacles(metadata):
            raise SystemExit(f"does not start: {_too_new(at, obstacles)}")
        get_logger().warning("later schema", found=at.found, known=at.newest)


def _wait(database: Database, sleep: Callable[[float], None]) -> None:
    said = -SAY_SECONDS
    while (waiting := _what_is_missing(database)) is not None:
        if time.monotonic() - said >= SAY_SECONDS:
            said = time.monotonic()
            get_logger().warning("waiting for migrations", **waiting)
        sleep(LOOK_SECONDS)


def _what_is_missing(database: Database) -> dict[str, str] | None:
    """Return the log fields of the reason to wait; None: no reason."""
    try:
        at = database.schema()
    except (StoreBusy, StoreUnavailable) as error:
        return {"problem": error.message}
    return {"found": at.found or "no tables", "wanted": at.newest} if at.missing else None


def _too_new(at: SchemaRevision, obstacles: list[str]) -> str:
    problems = "; ".join(obstacles)
    return f"the store is at {at.found}, too new for this release ({at.newest}): {problems}"


def command(database: Database, metadata: MetaData, *, check: bool) -> int:
    """Migrate, or with `check` print what is to be done. Return the exit status."""
    try:
        at = database.schema()
        print(_state(at))
        for revision, purpose in at.missing.items():
            print(f"  {revision}  {purpose}", flush=True)
        if at.newer and (obstacles := database.obstacles(metadata)):
            return _fail(_too_new(at, obstacles))
        if check:
            return TO_DO if at.missing else DONE
        if at.missing:
            _migrate(database)
            print(f"the store is at {at.newest}")
    except ServiceError as error:
        return _fail(error.message, error.__cause__)
    except SchemaTooOld as error:
        return _fail(str(error))
    except DBAPIError as error:
        return _fail("a migration failed and changed nothing", error)
    finally:
        database.close()
    return DONE


def _state(at: SchemaRevision) -> str:
    if at.newer:
        return f"the store is at {at.found}, by a later release: nothing to do"
    if not at.missing:
        return f"the store is at {at.found}: nothing to do"
    where = f"is at {at.found}" if at.found else "has no tables"
    return f"the store {where}; to do: {len(at.missing)}"


def _migrate(database: Database) -> None:
    """Migrate, and retry while the tables are in use: their users proceed between attempts."""
    for left in reversed(range(TRIES)):
        since = time.monotonic()

        def made(revision: str, since: float = since) -> None:
            print(f"  {revision}  applied after {time.monotonic() - since:.1f} s", flush=True)

        try:
            return database.migrate(made, LOCK_SECONDS)
        except StoreBusy:
            if not left:
                raise
            print("the tables are in use and nothing was changed; trying again", flush=True)
            time.sleep(LOOK_SECONDS)


def _fail(message: str, cause: BaseException | None = None) -> int:
    """Print an error with the database's own message but none of its statements."""
    own = getattr(cause, "orig", None) or ""
    print(": ".join(filter(None, [f"error: {message}", str(own).strip()])), file=sys.stderr)
    return FAILED


def main(program: str, opened: Callable[[], tuple[Database, MetaData]]) -> NoReturn:
    """Run the command line of a service's `migrate`; `opened` reads the settings."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {program}",
        description="Create and upgrade the tables of the store that the settings name. Concurrent"
        " runs wait for one another. Exits with 0 when all is done, and with 2 on failure, which"
        " changes nothing.",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="change nothing: print what is to be done; exit with 1 if there is anything",
    )
    check = parser.parse_args().check
    database, metadata = opened()
    sys.exit(command(database, metadata, check=check))
