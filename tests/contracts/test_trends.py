"""`make trends` counts what a change costs in hand-written files."""

import subprocess
from pathlib import Path

import pytest

from tests import trends

pytestmark = pytest.mark.full

COUNTED = {"rules/src/sightline_rules/fields.py", "Makefile", "protos/sightline/product.proto"}
LEFT_OUT = {
    *("docs/merchandise/scenes.md", "CHANGELOG.md", "README.md", "tests/unit/rules/test_fields.py"),
    *("protos/sightline/product_pb2.py", "client/src/sightline_client/_generated/client.py"),
    *("docs/reference/settings.md", "protos/image.binpb", "uv.lock", "bench/results/search.json"),
}


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def test_a_change_costs_the_hand_written_files_that_it_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "First")
    for name in COUNTED | LEFT_OUT:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a line\n")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "Second")
    monkeypatch.setattr(trends, "ROOT", tmp_path)
    assert set(trends.touched("HEAD")) == set(trends.touched("HEAD^..HEAD")) == COUNTED
    assert trends.main(["HEAD"]) == 0
    assert f"HEAD: {len(COUNTED)} files" in capsys.readouterr().out


@pytest.mark.slow
def test_the_tree_is_described_whole(capsys: pytest.CaptureFixture[str]) -> None:
    trends.report()
    shown = capsys.readouterr().out
    for subject in (
        "gateway",
        "docs, by hand",
        "Longest functions",
        "Arrows",
        "class names",
        "noun clause",
    ):
        assert subject in shown
