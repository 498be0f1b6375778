"""Checks of the stores that a service is going to use, made from where it is going to run.

`python -m retriever.preflight` and `python -m ranker.preflight` print a line of JSON for each
finding, and a last one that says that none was cut off; `sightline preflight` runs them as Jobs
and reads these lines.
"""

import asyncio
import json
import socket
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

import fsspec
import sqlalchemy
from sqlalchemy import Connection, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from servicekit.config import ServiceSettings

SECONDS = 10.0
"""Timeout of each connection, in seconds."""
LEAST_POSTGRES = 16
_UNREACHED = (
    "check the address; a network policy has to allow it: its network in the overlay's"
    " installation.yaml or the chart's values, or the label sightline/stores=true on its namespace"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    check: str
    """settings, port, database, milvus or bucket."""
    subject: str
    """The checked thing, without passwords."""
    problem: str = ""
    """Empty: passed."""
    fix: str = ""


async def run(checks: Iterable[AsyncIterator[Finding]]) -> int:
    """Print the findings of all checks. Return 1 if one has a problem, else 0."""
    failed = False
    for check in checks:
        async for finding in check:
            print(json.dumps(asdict(finding)), flush=True)
            failed = failed or bool(finding.problem)
    print(json.dumps({"end": True}), flush=True)
    return int(failed)


def port(host: str, number: int) -> Finding:
    """Connect to a port by TCP."""
    subject = f"{host}:{number}"
    try:
        with socket.create_connection((host, number), SECONDS):
            return Finding("port", subject)
    except socket.gaierror as error:
        fix = (
            "check the name; pods look names up at the pods of kube-system labeled k8s-app=kube-dns"
        )
        return Finding("port", subject, f"the name can't be looked up: {error.strerror}", fix)
    except OSError as error:
        return Finding("port", subject, f"no connection: {error.strerror or error}", _UNREACHED)
    except (UnicodeError, OverflowError) as error:
        return Finding("port", subject, f"not an address: {error}", "correct it")


async def unsafe(settings: ServiceSettings) -> AsyncIterator[Finding]:
    """Find the settings with which a process does not start in production."""
    for said in settings.unsafe() if settings.mode == "production" else ():
        subject, colon, problem = said.partition(": ")
        if not colon or " " in subject:
            subject, problem = "together", said
        yield Finding("settings", subject, problem, "correct it in the overlay or the Secret")


async def address(url: str, default: int) -> AsyncIterator[Finding]:
    """Check the port of a URL, which has `default` if it names none."""
    parsed = urlsplit(url)
    try:
        number = parsed.port or default
    except ValueError as error:
        yield Finding("port", parsed.hostname or "", str(error), "correct it")
        return
    if parsed.hostname:
        yield await asyncio.to_thread(port, parsed.hostname, number)


async def database(
    url: str, script: str = "deploy/k8s/components/postgres/roles.sh"
) -> AsyncIterator[Finding]:
    """Check address, login, version and rights of a PostgreSQL. `script` creates what it needs."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "postgresql":
        yield Finding(
            "database", parsed.get_backend_name(), "it serves one machine", "use PostgreSQL"
        )
        return
    if parsed.host:
        hosts, number = parsed.host.split(","), parsed.port or 5432
        found = [await asyncio.to_thread(port, host, number) for host in hosts]
        reached = [each for each in found if not each.problem]
        for each in reached[:1] or found:
            yield each
        if not reached:
            return
    for finding in await asyncio.to_thread(lambda: [*_postgres(parsed, script)]):
        yield finding


def _postgres(url: URL, script: str) -> Iterator[Finding]:
    subject = f"{url.username or ''}@{url.host or 'localhost'}/{url.database}"
    # Without client_encoding a database of no encoding answers in bytes.
    options = {"connect_timeout": int(SECONDS), "client_encoding": "utf8"}
    engine = sqlalchemy.create_engine(url, connect_args=options)
    try:
        with engine.connect() as connection:
            yield from _facts(connection, subject, script)
    except SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or type(error).__name__).strip().splitlines()
        fix = f"correct the URL in the Secret, or create the database and its user ({script})"
        yield Finding("database", subject, said[-1] if said else "no connection", fix)
    finally:
        engine.dispose()


def _facts(connection: Connection, subject: str, script: str) -> Iterator[Finding]:
    number = int(connection.execute(text("SHOW server_version_num")).scalar_one()) // 10_000
    encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    may = connection.execute(
        text("SELECT has_schema_privilege(current_user, current_schema(), 'CREATE')")
    ).scalar_one()
    if number < LEAST_POSTGRES:
        problem = f"PostgreSQL {number} is too old"
        yield Finding("database", subject, problem, f"use {LEAST_POSTGRES} or later")
    elif encoding != "UTF8":
        problem = f"its encoding is {encoding}"
        yield Finding("database", subject, problem, "create it with ENCODING 'UTF8'")
    elif not may:
        problem = "its user may not create tables"
        yield Finding("database", subject, problem, f"GRANT CREATE ON SCHEMA, as {script} does")
    else:
        yield Finding("database", f"{subject} (PostgreSQL {number})")


async def bucket(url: str) -> AsyncIterator[Finding]:
    """Write, read and delete an object; a folder is not checked."""
    if "://" not in url:
        return
    try:
        await asyncio.wait_for(asyncio.to_thread(_written, url), 3 * SECONDS)
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        fix = (
            "check bucket, region, endpoint and the Secret object-store, whose user has to read,"
            " write and delete there; the network policy object-store has to allow the store's"
            " address"
        )
        yield Finding("bucket", url, said, fix)
    else:
        yield Finding("bucket", url)


def _written(url: str) -> None:
    files, root = fsspec.core.url_to_fs(url)
    path, content = f"{root}/preflight-{uuid.uuid4().hex}", b"sightline"
    files.pipe_file(path, content)
    try:
        if files.cat_file(path) != content:
            raise ValueError("an object was read with another content than was written")
    finally:
        with suppress(FileNotFoundError):
            files.rm_file(path)
