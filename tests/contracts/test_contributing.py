"""CONTRIBUTING's first change works: its test fails, and its code makes the test pass."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
FIRST = PAGE.partition("## Your first change\n")[2].partition("\n## ")[0]
BLOCK = re.compile(r"^ {3}```(\w*)\n(.*?)^ {3}```$", re.MULTILINE | re.DOTALL)
BLOCKS = [
    (language, re.sub(r"^ {3}", "", text, flags=re.M)) for language, text in BLOCK.findall(FIRST)
]
DIFFS = [text for language, text in BLOCKS if language == "diff"]
TYPED = [line for language, text in BLOCKS if not language for line in text.splitlines()]
TARGETS = [line.removeprefix("make ") for line in TYPED if line.startswith("make ")]
CHANGED = [name for text in DIFFS for name in re.findall(r"^\+\+\+ b/(\S+)$", text, re.M)]
COPIED = ("rules", "tests")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a copy in which files can be changed; the environment is this one's."""
    folder = tmp_path / "clone"
    folder.mkdir()
    for entry in ROOT.iterdir():
        if entry.name not in {".git", ".data", *COPIED}:
            (folder / entry.name).symlink_to(entry)
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def run(clone: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=clone,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(clone / "rules/src")},
        capture_output=True,
        text=True,
        check=False,
    )


def apply(clone: Path, diff: str) -> None:
    """Apply a diff of the page as `git apply` does, wherever its lines stand now."""
    file = clone / "change.diff"
    file.write_text(re.sub(r"^$", " ", diff.rstrip("\n"), flags=re.M) + "\n")
    done = run(clone, "git", "apply", "--recount", str(file))
    assert done.returncode == 0, done.stderr


@pytest.mark.when("CONTRIBUTING.md")
@pytest.mark.slow
def test_the_first_change_goes_from_red_to_green(clone: Path) -> None:
    (line,) = [each for each in TYPED if "pytest" in each]
    test, code = DIFFS
    apply(clone, test)
    red = run(clone, *line.split())
    assert red.returncode == 1, red.stdout + red.stderr
    assert "1 failed" in red.stdout
    apply(clone, code)
    green = run(clone, *line.split())
    assert green.returncode == 0, green.stdout
    for check in (("format", "--check"), ("check",)):
        done = run(clone, ".venv/bin/ruff", *check, *CHANGED)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("target", sorted(set(TARGETS)))
def test_what_it_makes_needs_no_engine(target: str) -> None:
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", target],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "ruff" in done.stdout
    assert "triton_engine" not in done.stdout
    assert "milvus" not in done.stdout


def test_every_file_that_the_small_tasks_name_is_there() -> None:
    tasks = PAGE.partition("## Small tasks\n")[2].partition("\n## ")[0]
    names = re.findall(r"`([\w./-]+/[\w.-]+\.(?:py|proto|toml|md))`", tasks)
    assert len(names) >= 3
    for name in names:
        found = [ROOT / name, *ROOT.glob(f"services/*/src/*/{name}")]
        assert any(each.exists() for each in found), name
