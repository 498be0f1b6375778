"""Foundations of the mixed run: it finds the last release, and detects failures."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from local_suite.programs import HTTP, PORTS
from servicekit.admission.access import PeerName
from servicekit.config import PeerSettings
from servicekit.rpc.peers import PeerCredentials
from sightline_client import Recommendations
from tests import peers
from tests.chaos.model import NotMeasured, Report
from tests.chaos.suite.replicas import SECOND
from tests.chaos.suite.shop import Got
from tests.mixed.releases import last, made
from tests.mixed.run import ORDER, Phase, check_place, judge, known_by, processes
from tests.mixed.shop import fault


def git(root: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    command = ["git", *identity, *arguments]
    return subprocess.run(
        command, cwd=root, check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(root: Path, *versions: str, code: str = "") -> str:
    """Commit a changelog that describes these releases, the newest first."""
    (root / "CHANGELOG.md").write_text("".join(f"## {version}\n" for version in versions))
    (root / "code").write_text(code)
    git(root, "add", "-A")
    git(root, "commit", "-m", "x", "--allow-empty")
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def history(tmp_path: Path) -> Path:
    root = tmp_path / "clone"
    root.mkdir()
    git(root, "init", "--quiet")
    commit(root, "1.0.0")
    commit(root, "1.1.0", "1.0.0")
    return root


def test_the_last_release_is_the_commit_that_wrote_it_into_the_changelog(history: Path) -> None:
    released = git(history, "rev-parse", "HEAD")
    commit(history, "1.1.0", "1.0.0", code="of the next release")
    commit(history, "1.2.0", "1.1.0", "1.0.0")
    commit(history, "1.2.0", "1.1.0", "1.0.0", code="more")
    found = last(history)
    assert (found.version, found.commit) == ("1.1.0", released)
    assert last(history, named="HEAD").version == "1.2.0"


def test_before_a_release_has_its_number_the_newest_number_is_the_last(history: Path) -> None:
    released = git(history, "rev-parse", "HEAD")
    commit(history, "Unreleased", "1.1.0", "1.0.0", code="more")
    assert last(history).commit == released
    (history / "CHANGELOG.md").write_text("## 1.2.0\n## 1.1.0\n")
    git(history, "commit", "-am", "x")
    assert last(history).commit == released


def test_a_next_release_that_is_not_committed_yet_follows_what_is(history: Path) -> None:
    (history / "CHANGELOG.md").write_text("## 1.2.0\n## 1.1.0\n")
    assert last(history).commit == git(history, "rev-parse", "HEAD")


def test_a_tag_says_it_better(history: Path) -> None:
    git(history, "tag", "v1.1.0")
    commit(history, "1.1.0", "1.0.0", code="after it")
    commit(history, "1.2.0", "1.1.0", "1.0.0")
    assert last(history).commit == git(history, "rev-parse", "v1.1.0")


def test_without_the_history_it_is_not_measured(history: Path, tmp_path: Path) -> None:
    commit(history, "1.2.0", "1.1.0", "1.0.0")
    git(tmp_path, "clone", "--quiet", "--depth", "1", history.as_uri(), "shallow")
    with pytest.raises(NotMeasured, match="shallow"):
        last(tmp_path / "shallow")
    with pytest.raises(NotMeasured, match="no clone"):
        last(tmp_path)


def test_a_release_is_made_once_by_its_own_make(history: Path, tmp_path: Path) -> None:
    (history / "Makefile").write_text(".venv/.synced:\n\tmkdir .venv\n\techo x >> .venv/.synced\n")
    commit(history, "1.2.0", "1.1.0", "1.0.0")
    release = last(history, named="HEAD")
    folder = made(release, history, tmp_path / "releases")
    assert made(release, history, tmp_path / "releases") == folder
    assert (folder / ".venv/.synced").read_text() == "x\n"
    assert (folder / "CHANGELOG.md").read_text().startswith("## 1.2.0")


def test_every_process_of_the_services_goes_over() -> None:
    engines = {"triton", "milvus"}
    each = [name for service in ORDER for name in processes(service)]
    assert set(each) == (PORTS.keys() - engines - {HTTP}) | {f"{name}{SECOND}" for name in ORDER}
    assert len(each) == len(set(each))


@pytest.mark.parametrize("program", ["gateway", f"gateway{SECOND}", "ranker-worker"])
def test_a_process_has_keys_of_its_own(program: str, tmp_path: Path) -> None:
    peers.write_keys(tmp_path, peers.drawn())
    given = known_by(program, tmp_path)
    names = {key.partition("_")[2].lower(): value for key, value in given.items()}
    known = PeerCredentials.of(PeerSettings(**cast(Any, names)))
    called = PeerName.RETRIEVER
    assert known.calling(called).metadata().keys() == {"x-sightline-peer-key"}


def test_a_process_of_another_release_is_noticed(tmp_path: Path) -> None:
    check_place(os.getpid(), Path.cwd())
    with pytest.raises(NotMeasured, match="not in"):
        check_place(os.getpid(), tmp_path)


@pytest.mark.parametrize(("error", "clean"), [("", True), ("PAGE_TOKEN_INVALID", False)])
def test_one_failed_call_is_noticed(error: str, clean: bool) -> None:
    report = Report(lambda _line: None)
    judge([Phase("a", [Got("photo", 0, 1)]), Phase("b", [Got("next page", 0, 1, error)])], report)
    assert report.clean is clean


def test_a_phase_in_which_nobody_asked_shows_nothing() -> None:
    report = Report(lambda _line: None)
    judge([Phase("a", [Got("photo", 0, 1)]), Phase("b", [])], report)
    assert not report.clean


@pytest.mark.parametrize(
    ("rows", "broken"),
    [
        ([("a", 1, 0.5), ("b", 2, 0.4)], ""),
        ([("a", 1, 0.5), ("a", 2, 0.4)], "twice"),
        ([("a", 2, 0.5), ("b", 1, 0.4)], "order"),
        ([("a", 1, float("nan"))], "number"),
    ],
)
def test_an_answer_that_does_not_hold_is_noticed(
    rows: list[tuple[str, int, float]], broken: str
) -> None:
    results: list[Any] = [
        SimpleNamespace(product=SimpleNamespace(product_id=name), rank=rank, raw_score=score)
        for name, rank, score in rows
    ]
    answer = cast(Recommendations, SimpleNamespace(results=results))
    assert (broken in fault(answer)) if broken else not fault(answer)
