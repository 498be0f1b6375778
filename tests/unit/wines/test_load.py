"""`make wines` into a suite that authenticates callers."""

import fcntl
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.wines import load
from local_suite.model import layout
from servicekit.admission.access import rule
from tests.fakes.gateway import FakeGateway
from tests.unit.gateway.callers.test_admission import NAMES

TOKEN = "slk_of-who-fills-the-shop"


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with FakeGateway() as fake:
        fake.status.indexed_images, fake.status.pending_images = 100, 0
        yield fake


@pytest.fixture
def suite(gateway: FakeGateway, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Yield the environment of a script that uses this gateway."""
    made = layout(tmp_path / "data")
    made.make()
    made.facts.write_text(json.dumps({"port_base": gateway.port}))
    with made.lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield {"DATA": str(made.data)}


@pytest.mark.parametrize("by", ["SIGHTLINE_TOKEN", "SIGHTLINE_TOKEN_FILE"])
def test_every_call_says_who_calls(
    gateway: FakeGateway, suite: dict[str, str], tmp_path: Path, by: str
) -> None:
    given = tmp_path / "wines.token"
    given.write_text(f"{TOKEN}\n")
    assert load.main(suite | {by: str(given) if by.endswith("FILE") else TOKEN}) == 0
    assert set(gateway.authorizations) == {f"Bearer {TOKEN}"}
    assert gateway.requests["WriteEvents"]


def test_without_one_nobody_is_named(gateway: FakeGateway, suite: dict[str, str]) -> None:
    assert load.main(suite | {"SIGHTLINE_TOKEN": "", "GATEWAY_ADMIN_PORT": "0"}) == 0
    assert set(gateway.authorizations) == {None}


def test_the_port_of_operators_is_asked_where_there_is_one(
    gateway: FakeGateway, suite: dict[str, str]
) -> None:
    with FakeGateway() as operators:
        operators.status.indexed_images, operators.status.pending_images = 100, 0
        assert load.main(suite | {"GATEWAY_ADMIN_PORT": str(operators.port)}) == 0
    assert operators.requests["WriteEvents"]
    assert not gateway.requests


def test_a_gateway_elsewhere_is_named_and_needs_no_suite_here(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    nowhere = {"DATA": str(tmp_path / "nothing")}
    assert load.main(nowhere) == 1
    assert load.main(nowhere, ["--target", gateway.target]) == 0
    assert gateway.requests["WriteEvents"]


def test_a_file_that_is_not_there_is_named(
    suite: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert load.main(suite | {"SIGHTLINE_TOKEN_FILE": "nowhere.token"}) == 1
    assert "nowhere.token: No such file" in capsys.readouterr().out


def test_the_page_on_access_gives_the_roles_that_it_takes(
    gateway: FakeGateway, suite: dict[str, str]
) -> None:
    page = (Path(__file__).parents[3] / "docs/operate/access.md").read_text("utf-8")
    (roles,) = re.findall(r"--name wines --roles (\S+)", page)
    assert load.main(suite) == 0
    asked = [name for name in NAMES if name.rpartition("/")[2] in gateway.requests]
    assert len(asked) == len(gateway.requests)
    assert [name for name in asked if not rule(name).roles & set(roles.split(","))] == []
