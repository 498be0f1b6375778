"""The command line as a process of its own, on the whole suite."""

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
from sightline_client import SyncSightlineClient

SIGHTLINE = Path(sys.executable).with_name("sightline")
WINES = load_wines()


class Hands:
    """Somebody at a shell."""

    def __init__(self, gateway: str, folder: Path) -> None:
        self.gateway = gateway
        self.folder = folder
        self.environment = os.environ | {"SIGHTLINE_TARGET": gateway}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [SIGHTLINE, *arguments, "--catalog", "hands"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, code: int = 0) -> str:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=100)
        assert process.returncode == code, out + err
        assert "Traceback" not in err
        return out + err

    def facts(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        process = self.start(*arguments, "--json")
        out, err = process.communicate(timeout=100)
        assert process.returncode == code, out + err
        found: dict[str, Any] = json.loads(out)
        return found

    def until_stored(self, count: int) -> None:
        """Waits until the catalog holds so many products."""
        until = time.monotonic() + 30
        with SyncSightlineClient(self.gateway, catalog="hands") as client:
            while (client.status().products or 0) < count:
                assert time.monotonic() < until, "the import stands still"
                time.sleep(0.02)

    def ids(self) -> list[str]:
        listed = self.facts("products", "list", "--top", "0")
        return [product["productId"] for product in listed["products"]]

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


@pytest.fixture
def hands(gateway: str, tmp_path: Path) -> Hands:
    return Hands(gateway, tmp_path)


@pytest.mark.timeout(300)
def test_an_import_that_is_killed_again_and_again_comes_to_what_the_file_says(
    hands: Hands,
) -> None:
    photos = str(WINES[0].image.parent)
    wanted = sorted(f"{wine.id}@{copy}" for copy in range(8) for wine in WINES)
    hands.write("wines.csv", wanted, "bad;Bad;;-1;EUR;", "gone;Gone;;;;none.jpg")
    command = ("products", "import", "wines.csv", "--images", photos, "--in-flight", "2")
    for stored, blow in ((50, signal.SIGKILL), (250, signal.SIGINT), (450, signal.SIGKILL)):
        process = hands.start(*command)
        hands.until_stored(stored)
        process.send_signal(blow)
        process.communicate(timeout=30)
        assert process.returncode == (130 if blow == signal.SIGINT else -blow)
    assert len(hands.ids()) < len(wanted), "nothing was interrupted"
    facts = hands.facts(*command, code=1)
    assert facts["state"]["storedCount"] == str(len(wanted))
    assert facts["state"]["refusedCount"] == "2"
    assert hands.ids() == wanted
    kept = (hands.folder / "wines.rejected.csv").read_text().splitlines()
    assert [line.split(";")[0] for line in kept] == ["id", "bad", "gone"]
    hands.run("products", "status", "--wait", "--timeout", "20")

    some = wanted[: len(wanted) * 9 // 10]
    hands.write("wines.csv", some)
    full = (*command, "--mode", "full")
    text = hands.run(*full, "--dry-run")
    assert f"{len(wanted) - len(some)} products are not in the file" in " ".join(text.split())
    assert hands.ids() == wanted, "a dry run deleted something"
    assert hands.facts(*full)["job"]["state"] == "STATE_SUCCEEDED"
    assert hands.ids() == some

    hands.write("wines.csv", some[:10])
    text = hands.run(*full, code=1)
    assert "IMPORT_DELETES_TOO_MUCH" in text
    assert hands.ids() == some
    hands.run(*full, "--force")
    assert hands.ids() == sorted(some[:10])


@pytest.mark.timeout(200)
def test_events_offers_searches_and_purges_do_what_they_say(hands: Hands) -> None:
    hands.write("two.csv", [f"{WINES[0].id}@x", f"{WINES[1].id}@x"])
    hands.run("products", "import", "two.csv", "--images", str(WINES[0].image.parent))
    hands.run("products", "status", "--wait", "--timeout", "20")
    query = ("search", "--image", str(WINES[0].image), "--top", "1")
    (best,) = hands.facts(*query)["results"]
    assert best["similarity"] > 0.99

    (hands.folder / "offers.csv").write_text(f"id,price,currency\n{WINES[0].id}@x,7.10,EUR\n")
    hands.run("products", "offers", "offers.csv")
    cheap = ("products", "list", "--filter", "price < 8 EUR")
    assert [p["productId"] for p in hands.facts(*cheap)["products"]] == [f"{WINES[0].id}@x"]

    (hands.folder / "events.csv").write_text(
        "event_id,type,product_id,visitor_id,time\n"
        + "".join(f"h{n},VIEW,{WINES[0].id}@x,v,2026-03-01T12:00:00Z\n" for n in range(3000))
        + "x,VIEW,p,v,2999-01-01T00:00:00Z\n"
    )
    first = hands.facts("events", "import", "events.csv", code=1)
    again = hands.facts("events", "import", "events.csv", code=1)
    assert (first["writtenCount"], first["refusedCount"]) == (3000, 1)
    assert (again["writtenCount"], again["duplicateCount"]) == (0, 3000)
    assert "EVENT_TIME_INVALID" in (hands.folder / "events.rejected.csv").read_text()
    assert hands.facts("events", "purge", "--visitor", "v")["eventCount"] == "3000"
    hands.run("events", "purge", "--visitor", "v", "--force")
    assert hands.facts("events", "purge", "--visitor", "v")["eventCount"] == "0"

    everything = ("products", "purge", "--all")
    assert hands.facts(*everything)["productCount"] == str(len(hands.ids()))
    hands.run(*everything, "--force")
    assert hands.ids() == []
    assert "hands is there" in hands.run("config", "check")
    assert "MODEL_NOT_FOUND" in hands.run("models", "promote", "none", code=1)
    assert "JOB_NOT_FOUND" in hands.run("jobs", "watch", "retriever/none", code=1)
