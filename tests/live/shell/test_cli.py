"""The command line as a process of its own, on the whole suite."""

import signal
import time
from pathlib import Path

import pytest

from local_suite.suite import Suite
from sightline_client import Job, Product, SyncSightlineClient
from tests.live.hands import WINES, Hands
from tests.waiting import SECONDS

pytestmark = pytest.mark.full

PHOTOS = str(WINES[0].image.parent)
COPIES = 4
"""Copies of each wine in a file, enough to interrupt its import several times."""


@pytest.fixture
def hands(gateway: str, tmp_path: Path) -> Hands:
    return Hands(gateway, tmp_path)


@pytest.mark.timeout(300)
def test_an_import_that_is_killed_again_and_again_comes_to_what_the_file_says(
    hands: Hands,
) -> None:
    wanted = sorted(f"{wine.id}@{copy}" for copy in range(COPIES) for wine in WINES)
    hands.write("wines.csv", wanted, "bad;Bad;;-1;EUR;", "gone;Gone;;;;none.jpg")
    command = ("products", "import", "wines.csv", "--images", PHOTOS, "--in-flight", "2")
    for blow in (signal.SIGKILL, signal.SIGINT, signal.SIGKILL):
        stored = hands.settled()  # what was under way when the last one died
        process = hands.start(*command)
        hands.until_stored(stored + 1)
        process.send_signal(blow)
        _, err = process.communicate(timeout=SECONDS)
        assert process.returncode == (130 if blow == signal.SIGINT else -blow), err
    assert len(hands.ids()) < len(wanted), "nothing was interrupted"
    facts = hands.facts(*command, code=1)
    assert facts["state"]["storedCount"] == str(len(wanted))
    assert facts["state"]["refusedCount"] == "2"
    assert hands.ids() == wanted
    kept = (hands.folder / "wines.rejected.csv").read_text("utf-8-sig").splitlines()
    assert [line.split(";")[0] for line in kept] == ["id", "bad", "gone"]
    hands.run("products", "status", "--wait", "--timeout", "20")

    some = wanted[: len(wanted) * 9 // 10]
    hands.write("wines.csv", some)
    full = (*command, "--mode", "full")
    text = hands.run(*full, "--dry-run")
    expected = f"as missing from the file: {len(wanted) - len(some)} products"
    assert expected in " ".join(text.split())
    assert hands.ids() == wanted, "a dry run deleted something"
    assert hands.facts(*full)["job"]["state"] == "STATE_SUCCEEDED"
    assert hands.ids() == some

    hands.write("wines.csv", some[:10])
    text = hands.run(*full, code=1)
    assert "IMPORT_DELETES_TOO_MUCH" in text
    assert hands.ids() == some
    hands.run(*full, "--force")
    assert hands.ids() == sorted(some[:10])


@pytest.mark.timeout(300)
def test_an_import_whose_servers_are_killed_comes_to_the_same_as_one_in_peace(
    suite: Suite, gateway: str, tmp_path: Path
) -> None:
    command = ("products", "import", "wines.csv", "--images", PHOTOS, "--in-flight", "2")
    wanted = [f"{wine.id}@{copy}" for copy in range(COPIES) for wine in WINES]
    in_peace, at_war = (Hands(gateway, tmp_path / name, name) for name in ("peace", "war"))
    for hands in (in_peace, at_war):
        hands.folder.mkdir()
        hands.write("wines.csv", wanted, "bad;Bad;;-1;EUR;", "gone;Gone;;;;none.jpg", "x;;;;;")
    expected = in_peace.facts(*command, code=1)

    process = at_war.start(*command, "--json")
    # The gateway last: who counts what is stored asks it, and waits longer for it than the import.
    for stored, program in ((30, "retriever"), (130, "retriever-worker"), (230, "gateway")):
        at_war.until_stored(stored)
        suite.kill(program)
        assert process.poll() is None, f"the import ended before {program} was killed"
    found = at_war.outcome(process, again=command)

    assert found["state"] == expected["state"]
    assert found["state"]["storedCount"] == str(len(wanted))
    assert at_war.photos() == in_peace.photos()
    assert at_war.ids() == sorted(wanted)
    kept = [(hands.folder / "wines.rejected.csv").read_bytes() for hands in (in_peace, at_war)]
    assert kept[0] == kept[1]
    assert len(kept[0].splitlines()) == 1 + 3
    for program in ("retriever", "gateway", "retriever-worker"):
        suite.wait_healthy(program)
    at_war.run("products", "status", "--wait", "--timeout", "60")


def test_a_full_import_deletes_all_it_said_though_the_worker_is_killed_while_it_deletes(
    suite: Suite, gateway: str, tmp_path: Path
) -> None:
    hands = Hands(gateway, tmp_path, "war")
    kept = sorted(f"{wine.id}@0" for wine in WINES[:10])
    hands.write("ten.csv", kept)
    with SyncSightlineClient(gateway, catalog="war", timeout=SECONDS) as client:
        surplus = (Product(f"surplus-{n:04}", "To go") for n in range(4_000))
        assert client.upsert_products(surplus).report().failures == ()
        before = set(hands.ids())
        process = hands.start(
            *("products", "import", "ten.csv", "--images", PHOTOS, "--mode", "full", "--force"),
            "--json",
        )
        job = killed_half_way(suite, client)
    found = hands.outcome(process)
    assert found["job"]["jobId"] == job.job_id
    assert found["job"]["state"] == "STATE_SUCCEEDED"
    assert found["deleteCount"] == str(len(before - set(kept)))
    assert hands.ids() == kept


def killed_half_way(suite: Suite, client: SyncSightlineClient) -> Job:
    """Return the job that deletes, as it was when its worker was killed halfway."""
    worker, until = "retriever-worker", time.monotonic() + SECONDS
    while time.monotonic() < until:
        job = next(iter(client.list_jobs(kind="close_import")), None)
        if job is None or job.ended or not job.done:
            continue
        suite.kill(worker, signal.SIGSTOP)  # it must not end while it is looked at
        try:
            job = client.get_job(job.job_id)
        finally:
            suite.kill(worker)
        assert not job.ended, "it was done before the worker could be killed"
        assert 0 < job.done < job.total
        return job
    raise AssertionError("no job deletes anything")


def test_events_offers_searches_and_purges_do_what_they_say(hands: Hands) -> None:
    hands.write("two.csv", [f"{WINES[0].id}@x", f"{WINES[1].id}@x"])
    hands.run("products", "import", "two.csv", "--images", PHOTOS)
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
