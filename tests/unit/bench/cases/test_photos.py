"""The measured photos, and the figures of the bench."""

from pathlib import Path

import pytest

from bench.cases import photos
from bench.cases.photos import PhotoChunk
from bench.harness.model import GoalVerdict

CHUNKS = [PhotoChunk(500, 10, 1, {"triton": 12.0, "embedder": 1.0}, 10, 3) for _ in range(6)]


def test_without_the_folder_nothing_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SIGHTLINE_DATA", raising=False)
    assert photos.find()[1] == []
    monkeypatch.setenv("SIGHTLINE_DATA", str(tmp_path))
    assert photos.find()[1] == []
    assert photos.goal([]).verdict is GoalVerdict.NOT_MEASURED


def test_only_photos_are_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "clothing" / "hat"
    folder.mkdir(parents=True)
    for name in ("LICENSE", "b.JPG", "a.png"):
        (folder / name).touch()
    monkeypatch.setenv("SIGHTLINE_DATA", str(tmp_path))
    assert photos.find() == (tmp_path / "clothing", [folder / "a.png", folder / "b.JPG"])


@pytest.mark.parametrize("count", [1, 63, 64, 100, 3068])
def test_every_photo_is_in_one_chunk(count: int) -> None:
    files = [Path(str(number)) for number in range(count)]
    parts = photos.chunks(files)
    assert len(parts) == 1 + photos.CHUNKS
    assert sorted(path for part in parts for path in part) == sorted(files)
    assert len(parts[0]) <= photos.WARM_UP


def test_the_goal_is_the_suite_s_time_over_the_raw_one_s() -> None:
    goal = photos.goal(CHUNKS)
    assert goal.measured is not None
    assert goal.measured.value == pytest.approx(1.3)
    assert goal.verdict is GoalVerdict.MET
    titled = photos.goal_with_titles(CHUNKS)
    assert titled.measured is not None
    assert titled.measured.value == pytest.approx(1.0)


def test_the_table_gives_milliseconds_a_product() -> None:
    rows = {row[0]: row[1] for row in photos.table(CHUNKS).rows}
    assert rows["raw decode + onnxruntime, ms"] == "20.00"
    assert rows["  triton, ms"] == "24.00"
    assert rows["(suite + command) ÷ raw"] == "1.40"
    assert rows["products/s, file to searchable"] == "50.0"
