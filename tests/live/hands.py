"""The command line as a user runs it: a process for each command."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from examples.wines.catalogue import load_wines
from sightline_client import DeadlineExceeded, SyncSightlineClient, Unavailable
from tests.waiting import SECONDS

SIGHTLINE = Path(sys.executable).with_name("sightline")
WINES = load_wines()


class Hands:
    """User of the command line."""

    def __init__(self, gateway: str, folder: Path, catalog: str = "hands") -> None:
        self.gateway = gateway
        self.folder = folder
        self.catalog = catalog
        self.environment = os.environ | {
            "SIGHTLINE_TARGET": gateway,
            "HOME": str(folder / "home"),  # where columns are remembered
            "PYTHONFAULTHANDLER": "1",  # a crash says where
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [SIGHTLINE, *arguments, "--catalog", self.catalog],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ended(self, process: subprocess.Popen[str]) -> tuple[str, str]:
        """Return the output of a command that ends in time."""
        try:
            return process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # it says where it was
            out, err = process.communicate()
            pytest.fail(f"{process.args} took more than {SECONDS:.0f} s:\n{out}{err}")

    def run(self, *arguments: str, code: int = 0) -> str:
        process = self.start(*arguments)
        out, err = self.ended(process)
        assert process.returncode == code, out + err
        assert "Traceback" not in err
        return out + err

    def facts(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        process = self.start(*arguments, "--json")
        out, err = self.ended(process)
        assert process.returncode == code, out + err
        found: dict[str, Any] = json.loads(out)
        return found

    def outcome(
        self, process: subprocess.Popen[str], again: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """Return the outcome of an import. If it timed out, run ``again``, as its user would."""
        out, err = self.ended(process)
        assert "Traceback" not in err
        if not out and again:
            return self.facts(*again, code=1)
        assert out, err
        found: dict[str, Any] = json.loads(out)
        return found

    def until_stored(self, count: int) -> None:
        """Wait until the catalog has this many products, also while services are down."""
        until = time.monotonic() + SECONDS
        with SyncSightlineClient(self.gateway, catalog=self.catalog) as client:
            while _products(client) < count:
                assert time.monotonic() < until, "the import stands still"
                time.sleep(0.05)

    def settled(self) -> int:
        """Return the number of products once it has not changed for half a second."""
        with SyncSightlineClient(self.gateway, catalog=self.catalog) as client:
            count, since = _products(client), time.monotonic()
            while time.monotonic() - since < 0.5:
                time.sleep(0.05)
                if (now := _products(client)) != count:
                    count, since = now, time.monotonic()
        return count

    def ids(self) -> list[str]:
        return list(self.photos())

    def photos(self) -> dict[str, list[str]]:
        """Return the ids of each product's photos, by product id."""
        listed = self.facts("products", "list", "--top", "0")
        return {
            product["productId"]: [image["imageId"] for image in product["images"]]
            for product in listed["products"]
        }

    def write(self, name: str, wines: list[str], *more: str) -> None:
        rows = {wine.id: wine for wine in WINES}
        with (self.folder / name).open("w", newline="", encoding="utf-8-sig") as file:
            writer = csv.writer(file, delimiter=";")
            writer.writerow(["id", "title", "category", "price", "currency", "images"])
            for key in wines:
                wine = rows[key.partition("@")[0]]
                category = f"Wine > {wine.type}"
                writer.writerow([key, wine.title, category, "12.50", "EUR", wine.image.name])
            file.writelines(f"{line}\n" for line in more)


def _products(client: SyncSightlineClient) -> int:
    """Return the number of products; 0 while no service answers."""
    try:
        return client.status().products or 0
    except (DeadlineExceeded, Unavailable):
        return 0
