"""The advice on each error removes the error (tests/advice.py)."""

import json
import shlex
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from string import Template

import grpc
import pytest

from local_suite.suite import Suite
from sightline_client.cli.commands import doctor
from sightline_client.cli.work import local_suite
from tests.advice import FOLLOWED, Followed, commands
from tests.live.hands import WINES, Hands
from tests.waiting import SECONDS

pytestmark = pytest.mark.full

SHOP = [wine.id for wine in WINES[:8]]
PHOTOS = WINES[0].image.parent
BUYERS = 24
OTHER = "fixes-empty"
RECONNECTING = "try again in a moment"
"""Text of a Fix that may appear while the gateway reconnects."""


def flat(text: str) -> str:
    """Return only the words: printed text is wrapped."""
    return " ".join(text.split())


def fixes(text: str) -> str:
    """Return the printed text after "Fix", without next steps."""
    found = flat(text).partition("Fix: ")[2].partition("Next: ")[0]
    assert found, f"there is no Fix in {text}"
    return found


def newest_backup(hands: Hands) -> str:
    found: str = hands.facts("backup", "list")["backups"][0]["backupId"]
    return found


@pytest.fixture(scope="module")
def hands(gateway: str, tmp_path_factory: pytest.TempPathFactory) -> Hands:
    """Return the command line of a shop with a few products."""
    hands = Hands(gateway, tmp_path_factory.mktemp("fixes"), "fixes")
    hands.write("shop.csv", SHOP)
    hands.write("one.csv", SHOP[:1])
    hands.run("products", "import", "shop.csv", "--images", str(PHOTOS))
    hands.run("products", "status", "--wait", "--timeout", "60")
    events = ["event_id,type,product_id,user_id,time"] + [
        f"e{n},PURCHASE,{SHOP[(n % BUYERS + n // BUYERS) % len(SHOP)]},u{n % BUYERS},"
        f"2026-03-0{n // BUYERS + 1}T12:00:00Z"
        for n in range(BUYERS * 5)
    ]
    (hands.folder / "events.csv").write_text("\n".join(events) + "\n")
    (hands.folder / "page.jpg").write_text("<!doctype html><title>404</title>")
    large = WINES[0].image.read_bytes() + bytes(11_000_000)
    (hands.folder / "large.jpg").write_bytes(large)
    (hands.folder / "heavy.jpg").write_bytes(large[:9_000_000])
    return hands


@pytest.fixture(scope="module")
def named(hands: Hands, suite: Suite) -> dict[str, str]:
    """Return the values of `$name`."""
    hands.run("events", "import", "events.csv")
    job = hands.facts("models", "train")
    hands.run("backup", "create")
    backup = newest_backup(hands)
    backups = suite.layout.data / "retriever" / "backups"
    strange = _backup_of_other(hands, backups)
    newer = _as_of_a_newer_version(backups / hands.catalog / backup)
    damaged = f"{backup[:-1]}{'1' if backup.endswith('0') else '0'}"
    shutil.copytree(backups / hands.catalog / backup, backups / hands.catalog / damaged)
    table = backups / hands.catalog / damaged / "tables" / "products.parquet"
    content = bytearray(table.read_bytes())
    content[len(content) // 2] ^= 0xFF
    table.write_bytes(content)
    return {
        "product": SHOP[0],
        "photo": str(WINES[0].image),
        "photos": str(PHOTOS),
        "page": "page.jpg",
        "large": "large.jpg",
        "job": job["jobId"],
        "version": next(x["value"] for x in job["results"] if x["name"] == "model_version"),
        "backup": backup,
        "damaged": damaged,
        "strange": strange,
        "newer": newer,
        "heavy": "heavy.jpg",
        "condition": shlex.quote(" OR ".join(f"attributes.k{n}:x" for n in range(40))),
        "served": hands.facts("status")["embedderSpaces"][-1]["version"],
        "other": "hands",
    }


def _backup_of_other(hands: Hands, backups: Path) -> str:
    """Copy a backup of the catalog "hands" among those of this one. Return it."""
    other = Hands(hands.gateway, hands.folder, "hands")
    other.run("backup", "create")
    found = newest_backup(other)
    (backups / hands.catalog).mkdir(exist_ok=True)
    shutil.copytree(backups / "hands" / found, backups / hands.catalog / found)
    return found


def _as_of_a_newer_version(backup: Path) -> str:
    """Return a copy whose manifest names a later release."""
    copy = backup.with_name(f"{backup.name[:-1]}{'3' if backup.name.endswith('2') else '2'}")
    shutil.copytree(backup, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["format_version"] += 1
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy.name


def words(typed: str, named: dict[str, str]) -> list[str]:
    """Return the words that a user types, with names filled in and a FILE of the required kind."""
    file = "events.csv" if typed.startswith("events") else "shop.csv"
    return shlex.split(Template(typed.replace("FILE", file)).substitute(named))


@pytest.mark.parametrize("each", FOLLOWED, ids=lambda each: each.reason)
def test_what_a_fix_says_helps(each: Followed, hands: Hands, named: dict[str, str]) -> None:
    shop = Hands(hands.gateway, hands.folder, each.catalog)
    if "$newest" in " ".join(each.typed):
        named = {**named, "newest": "later"}
    said = shop.run(*words(each.fault, named), code=1)
    assert each.reason in said
    named_ones = commands(fixes(said))
    lines = []
    for typed in each.typed:
        if "$newest" in typed:
            named["newest"] = newest_backup(shop)
        shop.run(*words(typed, named))
        lines.append(f"sightline {typed.replace('$version', 'VERSION')}")
    for command in named_ones:
        assert any(line.startswith(command) for line in lines), f"nobody typed {command}"


def test_a_model_that_was_not_evaluated_is_measured(
    hands: Hands, named: dict[str, str], suite: Suite
) -> None:
    shown = ("models", "evaluate", named["version"], "--show")
    hands.run("models", "evaluate", named["version"])
    hands.run(*shown)
    with record(suite, "ranker/ranker.db") as database:
        database.execute("DELETE FROM evaluations WHERE version = ?", [named["version"]])
    said = hands.run(*shown, code=1)
    assert "EVALUATION_NOT_FOUND" in said
    (command,) = commands(fixes(said))
    hands.run(*shlex.split(command.replace("VERSION", named["version"]))[1:])
    hands.run(*shown)


def test_the_logs_say_what_an_internal_fault_is(
    hands: Hands, named: dict[str, str], suite: Suite
) -> None:
    shown = ("models", "evaluate", named["version"], "--show")
    with record(suite, "ranker/ranker.db") as database:
        database.execute("ALTER TABLE evaluations RENAME TO taken_away")
    try:
        said = hands.run(*shown, code=1)
    finally:
        with record(suite, "ranker/ranker.db") as database:
            database.execute("ALTER TABLE taken_away RENAME TO evaluations")
    assert "INTERNAL" in said
    assert "DATA/logs" in fixes(said)
    assert "OperationalError" in (suite.layout.data / "logs" / "ranker.log").read_text()
    hands.run(*shown)


def test_a_gateway_that_lacks_a_method_is_named_as_older(hands: Hands) -> None:
    older = grpc.server(ThreadPoolExecutor())
    port = older.add_insecure_port("127.0.0.1:0")
    older.start()
    try:
        said = Hands(f"127.0.0.1:{port}", hands.folder, hands.catalog).run("status", code=1)
    finally:
        older.stop(None)
    assert "UNIMPLEMENTED" in said
    assert "update it" in fixes(said)
    hands.run("status")


def test_what_a_full_disk_holds_can_be_looked_at(suite: Suite) -> None:
    local = local_suite.LocalSuite(suite.layout.data, ports={}, again="make up", running=True)
    full = next(doctor.of_machine(local, free=0))
    (command,) = commands(full.fix)
    shown = subprocess.run(shlex.split(command), capture_output=True, text=True, check=True)
    assert str(suite.layout.data) in shown.stdout
    assert not list(doctor.of_machine(local, free=doctor.LEAST_FREE))


@contextmanager
def record(suite: Suite, name: str) -> Iterator[sqlite3.Connection]:
    """Open a service's SQLite database; changes are committed at the end."""
    with closing(sqlite3.connect(suite.layout.data / name, timeout=SECONDS)) as database, database:
        yield database


def test_a_catalog_that_does_not_exist_is_not_taken_for_one_that_does(hands: Hands) -> None:
    said = Hands(hands.gateway, hands.folder, "nowhere").run("products", "list", code=1)
    assert commands(fixes(said)) == ["sightline config check"]
    default = Hands(hands.gateway, hands.folder, "default")
    assert "default is there" in default.run("config", "check")


def test_status_names_what_is_down(hands: Hands, suite: Suite) -> None:
    suite.stop("ranker")
    try:
        said = hands.run("models", "list", "--timeout", "3", code=1)
        assert commands(fixes(said)) == ["sightline status"]
        poor = ("--min-answer-quality", "full", "--timeout", "3")
        said = hands.run("recommend", *poor, code=1)
        assert "ANSWER_DEGRADED" in said
        assert commands(fixes(said)) == ["sightline status"]
        down = json.loads(json.dumps(hands.facts("status", code=1)))["components"]
        assert [each["component"] for each in down if each["status"]["code"]] == ["ranker"]
        found = hands.run("doctor", code=1)
        assert "ranker does not answer" in flat(found)
    finally:
        suite.start("ranker")
    typed_until(hands, "models", "list", before=RECONNECTING)
    assert "ranker does not answer" not in hands.run("doctor")


def test_status_names_what_is_down_when_nothing_can_be_recommended(
    hands: Hands, suite: Suite
) -> None:
    suite.stop("retriever")
    try:
        photo = ("--image", str(WINES[0].image), "--filter", "brand = nobody")
        said = hands.run("recommend", *photo, code=1)
        assert "NOTHING_AVAILABLE" in said
        assert commands(fixes(said)) == ["sightline status"]
        assert "retriever" in hands.run("status", code=1)
    finally:
        suite.start("retriever")
    typed_until(hands, "recommend", "--image", str(WINES[0].image), before=RECONNECTING)


def test_the_help_that_a_refused_filter_points_to_has_the_fields(hands: Hands) -> None:
    refused = hands.run("products", "list", "--filter", "nosuch = 3", code=2)
    assert "no field 'nosuch'" in flat(refused)
    assert "attributes.KEY" in hands.run("recommend", "--help")
    hands.run("products", "list", "--filter", "price < 30 EUR")


def test_an_empty_catalog_and_a_missing_model_are_next_steps_that_can_be_taken(
    hands: Hands,
) -> None:
    empty = Hands(hands.gateway, hands.folder, "fixes-new")
    said = flat(empty.run("doctor"))
    assert "the catalog is empty" in said
    assert {"sightline products import FILE", "sightline models train --promote"} <= set(
        commands(said)
    )
    empty.run("products", "import", "shop.csv", "--images", str(PHOTOS))
    empty.run("products", "status", "--wait", "--timeout", "60")
    assert "the catalog is empty" not in flat(empty.run("doctor"))
    learned = empty.run("models", "train", "--promote")
    assert commands(fixes(learned)) == ["sightline events import FILE"]
    empty.run("events", "import", "events.csv")
    unproven = empty.run("models", "train", "--promote")
    for command in commands(fixes(unproven)):
        empty.run(*shlex.split(command)[1:])
    assert "ranking model: none yet" not in flat(empty.run("doctor"))


def test_a_photo_that_was_lost_is_named_and_comes_back_with_its_product(
    hands: Hands, suite: Suite
) -> None:
    shop, lost = Hands(hands.gateway, hands.folder, "fixes-new"), WINES[len(SHOP)].id
    shop.write("lost.csv", [lost])
    suite.stop("retriever-worker")
    try:
        shop.run("products", "import", "lost.csv", "--images", str(PHOTOS))
        (photo,) = shop.photos()[lost]
        stored = [
            path
            for path in (suite.layout.data / "retriever" / "photos").rglob(f"*{photo}*")
            if shop.catalog in path.parts
        ]
        assert stored
        for path in stored:
            path.unlink()
    finally:
        suite.start("retriever-worker")
    said = typed_until(shop, "doctor", expected="1 photos or texts could not be embedded", code=1)
    assert commands(fixes(said)) == ["sightline products import FILE"]
    assert photo in suite.log("retriever-worker").read_text()
    shop.run("products", "import", "lost.csv", "--images", str(PHOTOS))
    shop.run("products", "status", "--wait", "--timeout", "60")
    assert "0 could not" in flat(shop.run("products", "status"))
    typed_until(shop, "doctor", expected="No problem found")


def typed_until(
    hands: Hands, *arguments: str, expected: str = "", code: int = 0, before: str = ""
) -> str:
    """Run a command until it prints `expected` and exits with `code`. Return its output. `before`:
    required text of its error until then."""
    end = time.monotonic() + SECONDS
    while True:
        process = hands.start(*arguments)
        out, err = process.communicate(timeout=SECONDS)
        if expected in flat(out) and process.returncode == code:
            return out
        assert before in flat(err), out + err
        assert time.monotonic() < end, out + err
