"""Memory of photos, and its distribution among them."""

from pathlib import Path

import pytest

from servicekit.decoding.limits import (
    SPARE,
    DecodingSettings,
    memory_that_fits,
    processes_bytes,
)
from servicekit.processes.memory import container_limit

MIB = 2**20
SETTINGS = DecodingSettings(
    decode_processes=2, decode_memory_bytes=1_000 * MIB, own_memory_bytes=500 * MIB
)
NEEDED = 1_500 * MIB + processes_bytes(SETTINGS)


def test_without_a_limit_and_within_one_photos_have_what_is_set() -> None:
    for limit in (None, NEEDED, 2 * NEEDED):
        assert memory_that_fits(SETTINGS, limit) == 1_000 * MIB


def test_a_smaller_container_leaves_photos_less_and_that_is_logged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert memory_that_fits(SETTINGS, NEEDED - 300 * MIB) == 700 * MIB
    said = "".join(capsys.readouterr())
    assert "less memory for large photos than set" in said
    assert "left_mib=700" in said or '"left_mib": 700' in said


def test_a_container_that_holds_hardly_the_service_is_refused_with_the_sums() -> None:
    least = NEEDED - 1_000 * MIB + SPARE
    assert memory_that_fits(SETTINGS, least) == SPARE
    with pytest.raises(SystemExit, match=r"OWN_MEMORY_BYTES \(500 MiB\).*95 MiB are left"):
        memory_that_fits(SETTINGS, least - MIB)


def limits(folder: Path, own: str, **files: str) -> int | None:
    for name, text in files.items():
        path = folder / "groups" / name.replace("__", "/") / "memory.max"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    (folder / "own").write_text(own)
    return container_limit(folder / "groups", folder / "own")


def test_the_least_limit_of_a_container_and_of_what_it_is_in_counts(tmp_path: Path) -> None:
    groups = {"pods": "4000", "pods__one": "max", "pods__one__main": "3000"}
    own = "4:memory:/elsewhere\n0::/pods/one/main\n"
    assert limits(tmp_path, own, **groups) == 3000
    assert limits(tmp_path, own, pods="2000") == 2000


def test_in_a_container_of_its_own_the_limit_stands_at_the_top(tmp_path: Path) -> None:
    (tmp_path / "groups").mkdir()
    (tmp_path / "groups" / "memory.max").write_text("1000\n")
    assert limits(tmp_path, "0::/\n") == 1000


def test_where_nothing_says_a_limit_there_is_none(tmp_path: Path) -> None:
    assert limits(tmp_path, "0::/\n", pods="max") is None
    assert container_limit(tmp_path / "none", tmp_path / "nor this") is None
