"""Building the model: pinned at both ends, the same bytes each time."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from triton_engine import build


@pytest.fixture
def models(tmp_path: Path, engine: Path) -> Path:
    """Return a model repository of its own, not built yet."""
    source = engine / "models" / build.MODEL
    (tmp_path / build.MODEL).mkdir()
    shutil.copy(source / "config.pbtxt", tmp_path / build.MODEL)
    return tmp_path


@pytest.fixture
def packaged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, weights_file: bytes) -> Path:
    """Put the weights where the builder looks for them."""
    package = tmp_path / "site" / build.WEIGHTS_PACKAGE
    path = package / build.WEIGHTS_FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(weights_file)
    (package / "__init__.py").write_text("raise SystemExit('the package must not be run')")
    monkeypatch.syspath_prepend(str(package.parent))
    return path


def test_building_twice_gives_the_same_bytes_which_are_those_of_the_configuration(
    weights_file: bytes, engine: Path
) -> None:
    first, second = build.graph_bytes(weights_file), build.graph_bytes(weights_file)
    assert first == second
    config = engine / "models" / build.MODEL / "config.pbtxt"
    assert build.sha256(first) == build.pinned(config, "version_1_sha256")


def test_a_model_is_built_where_there_is_none(models: Path, packaged: Path) -> None:
    path = build.ensure(models)
    pinned = build.pinned(models / build.MODEL / "config.pbtxt", "version_1_sha256")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == pinned
    assert [p.name for p in path.parent.iterdir()] == ["model.onnx"]


def test_a_whole_model_is_left_alone_and_a_damaged_one_is_built_anew(
    models: Path, packaged: Path
) -> None:
    path = build.ensure(models)
    before = path.stat().st_mtime_ns
    assert build.ensure(models).stat().st_mtime_ns == before
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert build.ensure(models).read_bytes() == whole


def test_weights_with_one_flipped_bit_are_refused(models: Path, packaged: Path) -> None:
    data = bytearray(packaged.read_bytes())
    data[-1] ^= 1
    packaged.write_bytes(data)
    with pytest.raises(build.BuildError, match="pinned is 5793442"):
        build.ensure(models)
    assert not (models / build.MODEL / build.VERSION).exists()


def test_a_graph_other_than_the_configured_one_is_not_written(models: Path, packaged: Path) -> None:
    config = models / build.MODEL / "config.pbtxt"
    pinned = build.pinned(config, "version_1_sha256")
    config.write_text(config.read_text().replace(pinned, "0" * 64))
    with pytest.raises(build.BuildError, match=pinned):
        build.ensure(models)
    assert not (models / build.MODEL / build.VERSION).exists()


def test_a_configuration_without_the_hash_is_refused(models: Path) -> None:
    with pytest.raises(build.BuildError, match="no parameter version_9_sha256"):
        build.pinned(models / build.MODEL / "config.pbtxt", "version_9_sha256")


def test_missing_weights_say_what_to_run(
    monkeypatch: pytest.MonkeyPatch, models: Path, capsys: Any
) -> None:
    monkeypatch.setattr(build, "WEIGHTS_PACKAGE", "no_such_package_of_weights")
    assert build.main(["--models", str(models)]) == 1
    assert "uv sync" in capsys.readouterr().err
