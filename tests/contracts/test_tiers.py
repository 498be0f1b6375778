"""Which tests run for each change: every file is in one part; what is typed or installed runs when
its files have changed."""

import subprocess
import tomllib
from pathlib import Path

import pytest

from tests import tiers, tools

ROOT = Path(__file__).parents[2]


class Item:
    """A test with its marks."""

    def __init__(self, nodeid: str, *marks: pytest.MarkDecorator) -> None:
        self.nodeid = nodeid
        self.marks = [each.mark for each in marks]

    def iter_markers(self, name: str) -> list[pytest.Mark]:
        return [each for each in self.marks if each.name == name]

    def add_marker(self, mark: pytest.MarkDecorator) -> None:
        self.marks.append(mark.mark)

    @property
    def is_left_out(self) -> bool:
        return bool(self.iter_markers("full"))


def git(root: Path, *command: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *who, *command], cwd=root, check=True, capture_output=True)


def left_out(root: Path, *paths: str) -> bool:
    item = Item("test_a", pytest.mark.when(*paths))
    tiers.leave_out([item], root)  # type: ignore[list-item]
    return item.is_left_out


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a checkout with two commits, of which the second changed docs/note.txt."""
    monkeypatch.delenv("SINCE", raising=False)
    git(tmp_path, "init", "--initial-branch", "main")
    for folder in ("docs", "client"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "note.txt").write_text("first")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-m", "first")
    (tmp_path / "docs/note.txt").write_text("second")
    git(tmp_path, "commit", "-a", "-m", "second")
    return tmp_path


def test_on_main_the_last_commit_and_the_work_on_it_count(root: Path) -> None:
    assert not left_out(root, "protos", "docs")
    assert left_out(root, "client")
    assert left_out(root, "doc")
    (root / "client/new.py").write_text("not committed yet")
    assert not left_out(root, "client")
    assert not left_out(root, "client/new.py")


def test_on_a_branch_all_its_commits_count(root: Path) -> None:
    git(root, "update-ref", "refs/remotes/origin/main", "HEAD~1")
    (root / "client/note.txt").write_text("third")
    git(root, "commit", "-a", "-m", "third")
    assert not left_out(root, "docs")
    assert not left_out(root, "client")


def test_a_commit_can_be_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SINCE", "HEAD")
    assert left_out(root, "docs")


def test_without_a_history_they_are_left_to_the_full_run(tmp_path: Path) -> None:
    assert left_out(tmp_path, "docs")


def test_unit_tests_of_a_leaf_run_where_it_or_what_it_imports_changed(root: Path) -> None:
    names = ("client", "agents", "triton", "kit")
    items = [Item(f"tests/unit/{name}/test_a.py::test") for name in names]
    tiers.leave_out(items, root)  # type: ignore[arg-type]
    found = {name: each.is_left_out for name, each in zip(names, items, strict=True)}
    assert found == {"client": False, "agents": True, "triton": True, "kit": False}  # docs changed


def test_what_compares_a_leaf_with_a_service_runs_for_each_change(tmp_path: Path) -> None:
    folder = tmp_path / "tests/unit/client"
    folder.mkdir(parents=True)
    lines = {"own": "import gateway_like", "twin": "import re\nfrom gateway.callers import keys"}
    for name, line in lines.items():
        (folder / f"test_{name}.py").write_text(f"{line}\n")
    items = [Item(f"tests/unit/client/test_{name}.py::test") for name in lines]
    tiers.leave_out(items, tmp_path)  # type: ignore[arg-type]
    assert [each.is_left_out for each in items] == [True, False]


def test_no_service_imports_a_leaf() -> None:
    leaves = {Path(folder).name for folder in tiers.LEAVES}
    for path in [*ROOT.glob("services/*/pyproject.toml"), ROOT / "kit/pyproject.toml"]:
        needed = tomllib.loads(path.read_text("utf-8"))["project"]["dependencies"]
        names = {each.partition("==")[0].removeprefix("sightline-") for each in needed}
        assert leaves.isdisjoint(names), path
    for folder, paths in tiers.LEAVES.items():
        assert all((ROOT / path).exists() for path in (folder, *paths, *tiers.ENVIRONMENT))


def test_the_first_cases_run_for_each_change() -> None:
    first = pytest.mark.first(2)
    items = [Item(f"a.py::test_{name}[{case}]", first) for name in "ab" for case in range(3)]
    tiers.leave_out(items)  # type: ignore[arg-type]
    assert [each.is_left_out for each in items] == [False, False, True] * 2


def test_the_first_cases_run_on_both_engines_where_the_test_does() -> None:
    first, engines = pytest.mark.first(1), ("sqlite", "postgresql")
    items = [
        Item(f"tests/unit/record/test_a.py::test[{engine}-{case}]", first)
        for engine in engines
        for case in range(2)
    ]
    tiers.leave_out(items)  # type: ignore[arg-type]
    assert [each.is_left_out for each in items] == [False, True] * 2


def test_what_is_repeated_on_postgresql_is_left_to_the_full_run_but_for_the_records() -> None:
    items = {
        folder: [Item(f"tests/unit/{folder}/test_a.py::test[{name}]") for name in engines]
        for folder, engines in {
            "search": ("sqlite", "postgresql"),
            "record": ("sqlite", "postgresql"),
            "jobs": ("postgresql",),
        }.items()
    }
    tiers.leave_out([each for found in items.values() for each in found])  # type: ignore[misc]
    found = {folder: [each.is_left_out for each in cases] for folder, cases in items.items()}
    assert found == {"search": [False, True], "record": [False, False], "jobs": [False]}


def test_what_lacks_a_tool_is_not_run_and_listed_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tools, "PATH", str(tmp_path))
    monkeypatch.setattr(tools, "FOLDER", tmp_path / "not-run")
    noted = tools.NotRun()
    for name in tools.HOW:
        with pytest.raises(pytest.skip.Exception) as missing:
            tools.tool(name)
        where = ("a.py", 1, f"Skipped: {missing.value}")
        report = pytest.TestReport(f"a.py::{name}", where, {}, "skipped", where, "setup")
        noted.pytest_runtest_logreport(report)
    other = ("a.py", 1, "Skipped: the day has changed")
    noted.pytest_runtest_logreport(
        pytest.TestReport("a.py::other", other, {}, "skipped", other, "setup")
    )
    noted.pytest_sessionfinish()
    tools.main()
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith(f"NOT RUN: {len(tools.HOW)} tests")
    assert [line.split(":")[2] for line in lines] == sorted(tools.HOW)
    assert all("make tools" in line and tools.HOW[line.split(":")[2]] in line for line in lines)


def test_tools_are_looked_for_in_one_place() -> None:
    """Elsewhere, a test without its tool would fail, or pass without a word."""
    known = {
        "tests/tools.py",
        "tests/cluster/tools.py",  # of a cluster
        "tests/compose/containers.py",  # Docker or podman
        "tests/contracts/test_images.py",  # for a folder of commands
        "tests/contracts/test_k8s_readme.py",  # likewise
        "tests/contracts/test_names.py",  # other Pythons
        "tests/live/test_clients.py",  # languages, unpacked beside their libraries
    }
    found = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tests").rglob("*.py")
        if "shutil.which" + "(" in path.read_text()
    }
    assert found == known


def test_every_file_of_tests_is_in_one_part() -> None:
    rule = "folders: ; @echo $(foreach part,$(PARTS) apart,$(FOLDERS_$(part)))"
    command = ["make", "--silent", "--eval", rule, "folders"]
    shown = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    found = [each if each.endswith(".py") else f"{each}/" for each in shown.stdout.split()]
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        name = path.relative_to(ROOT).as_posix()
        assert sum(name.startswith(folder) for folder in found) == 1, name
