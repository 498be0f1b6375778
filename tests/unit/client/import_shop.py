"""A file of products, and the command line that imports it."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from google.rpc import code_pb2
from typer.testing import CliRunner, Result

from sightline_client.cli import app
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status

DOWN = status(code_pb2.UNAVAILABLE, "draining", reason="DRAINING")


class Shop:
    """A file of products, and the command line that imports it."""

    def __init__(self, gateway: FakeGateway, folder: Path) -> None:
        self.gateway = gateway
        self.folder = folder
        self.file = folder / "wines.csv"
        gateway.products.clear()

    def write(self, *rows: str, header: str = "id,title,images") -> None:
        self.file.write_text("\n".join((header, *rows)) + "\n")

    def run(self, *arguments: str, file: str = "") -> Result:
        path = str(self.folder / file) if file else str(self.file)
        return self.call("import", path, *arguments)

    def call(self, *arguments: str) -> Result:
        target = ("--target", self.gateway.target)
        return CliRunner().invoke(app, ["products", *arguments, *target])

    def facts(self, *arguments: str) -> dict[str, Any]:
        result: dict[str, Any] = json.loads(self.run(*arguments, "--json").stdout)
        return result

    def rejected(self) -> list[dict[str, str]]:
        with (self.folder / "wines.rejected.csv").open(newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def shop(gateway: FakeGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # where columns are remembered
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    (tmp_path / "a.jpg").write_bytes(b"A")
    return Shop(gateway, tmp_path)
