"""The command line as a process or in this one."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sightline_client.cli import app
from tests.fakes.gateway import FakeGateway

PROGRAM = (sys.executable, "-c", "from sightline_client.cli import app; app()")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def flat(text: str) -> str:
    """Return only the words: tables wrap them over lines."""
    return " ".join(text.split())


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"jpeg")
    return path


class Line:
    """The command line on a gateway."""

    def __init__(self, gateway: FakeGateway) -> None:
        self.gateway = gateway

    def __call__(self, *arguments: str, catalog: str = "shop") -> Result:
        where = ("--target", self.gateway.target, "--catalog", catalog)
        return CliRunner().invoke(app, [*arguments, *where])


@pytest.fixture
def line(gateway: FakeGateway) -> Line:
    return Line(gateway)
