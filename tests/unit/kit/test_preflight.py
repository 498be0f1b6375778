"""Checks of stores before the first start, on a real PostgreSQL and real sockets."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from servicekit import preflight
from servicekit.preflight import Finding
from tests.engines import free_port
from tests.stores import Stores

ROLE = "preflight_reader"


async def all_of(check: AsyncIterator[Finding]) -> list[Finding]:
    return [each async for each in check]


async def test_an_address_that_listens_passes_and_another_says_what_may_be_wrong() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        (found,) = await all_of(preflight.address(url, 1))
    assert (found.check, found.problem) == ("port", "")
    (found,) = await all_of(preflight.address(f"http://127.0.0.1:{free_port()}", 1))
    assert "Connection refused" in found.problem
    assert "network policy" in found.fix
    (found,) = await all_of(preflight.address("https://nobody.invalid", 19530))
    assert found.subject == "nobody.invalid:19530"
    assert "can't be looked up" in found.problem
    assert "kube-dns" in found.fix
    (found,) = await all_of(preflight.address("https://milvus..shop.example", 19530))
    assert "label" in found.problem
    (found,) = await all_of(preflight.address("https://milvus.shop.example:195300", 19530))
    assert "port" in found.problem.lower()


async def test_a_database_passes_with_its_version_and_without_its_password(stores: Stores) -> None:
    (found,) = await all_of(preflight.database(stores.server().url("postgres")))
    assert (found.check, found.problem) == ("database", "")
    assert found.subject.startswith("postgres@")
    assert "PostgreSQL 1" in found.subject


async def test_what_is_wrong_with_a_database_is_said_with_a_fix(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = stores.server()
    url = server.url("postgres")
    (found,) = await all_of(preflight.database(url.replace("/postgres?", "/nothing?")))
    assert 'database "nothing" does not exist' in found.problem
    assert "roles.sh" in found.fix
    server.execute(f"CREATE ROLE {ROLE} LOGIN")
    server.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    (found,) = await all_of(preflight.database(url.replace("postgres@", f"{ROLE}@")))
    assert found.problem == "its user may not create tables"
    server.execute("CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0")
    (found,) = await all_of(preflight.database(server.url("ascii")))
    assert found.problem == "its encoding is SQL_ASCII"
    monkeypatch.setattr(preflight, "LEAST_POSTGRES", 99)
    (found,) = await all_of(preflight.database(url))
    assert "too old" in found.problem
    assert "99 or later" in found.fix


async def test_a_database_that_no_port_answers_for_is_asked_no_further() -> None:
    url = f"postgresql+psycopg://a:secret@127.0.0.1:{free_port()}/a"
    (found,) = await all_of(preflight.database(url))
    assert found.check == "port"
    (found,) = await all_of(preflight.database("sqlite:////x.db"))
    assert "one machine" in found.problem


async def test_one_of_several_hosts_is_enough() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        url = f"postgresql+psycopg://a:b@nobody.invalid,127.0.0.1:{number}/a"
        found = await anext(preflight.database(url))
    assert found == Finding("port", f"127.0.0.1:{number}")


async def test_a_bucket_is_written_read_and_left_as_it_was(tmp_path: Path) -> None:
    (found,) = await all_of(preflight.bucket(f"file://{tmp_path}"))
    assert found == Finding("bucket", f"file://{tmp_path}")
    assert not os.listdir(tmp_path)
    (found,) = await all_of(preflight.bucket(f"file://{tmp_path}/none"))
    assert "FileNotFoundError" in found.problem
    assert "object-store" in found.fix
    assert not await all_of(preflight.bucket(str(tmp_path)))


class Settings:
    def __init__(self, mode: str) -> None:
        self.mode = mode

    def unsafe(self) -> Iterator[str]:
        yield "RANKER_DATABASE_URL: has a well-known password: change it"


async def test_what_production_refuses_is_found_before_the_first_start() -> None:
    made: Any = Settings("production")
    (found,) = await all_of(preflight.unsafe(made))
    assert (found.check, found.subject) == ("settings", "RANKER_DATABASE_URL")
    assert found.problem == "has a well-known password: change it"
    assert found.fix
    made = Settings("development")
    assert not await all_of(preflight.unsafe(made))


def test_findings_are_lines_of_json_and_one_problem_fails_the_job(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def found(*problems: str) -> AsyncIterator[Finding]:
        for problem in problems:
            yield Finding("port", "a:1", problem)

    assert asyncio.run(preflight.run([found(""), found("")])) == 0
    assert asyncio.run(preflight.run([found("closed"), found("")])) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each.get("problem") for each in lines] == ["", "", None, "closed", "", None]
    assert lines[2] == lines[5] == {"end": True}, "without it, a check was cut off"
