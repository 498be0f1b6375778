"""Manifests: whole and sound, or refused with the key that is at fault."""

import shutil
from pathlib import Path

import pytest

from tests.unit.triton.conftest import LITE0, LITE2
from triton_engine import backbone
from triton_engine.backbone import ManifestError


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Return a manifest that can be changed."""
    return Path(shutil.copy(backbone.BACKBONES / f"{LITE2}.toml", tmp_path))


def test_the_backbones_of_the_engine_are_read_by_name() -> None:
    first, second = backbone.read_all()
    assert (first.name, first.size, first.depth) == (LITE0, 224, 1.0)
    assert (second.name, second.size, second.depth) == (LITE2, 260, 1.2)
    for found in (first, second):
        assert (found.space, found.dimension, found.crop) == ("visual", 1280, 0.875)
        assert found.normalisation == "(x-127)/128 in the graph"
        assert found.weights.licence == "Apache-2.0"
        assert found.weights.package in found.source


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("size = 260", "", r"\[input\] wants the keys size, crop"),
        ("size = 260", "size = 260\nstd = 1", r"\[input\] wants the keys"),
        ('space = "visual"', 'space = "visual"\ncolour = 1', "wants the keys title, space"),
        ("size = 260", 'size = "260"', "input.size is no int"),
        ("size = 260", "size = true", "input.size is no int"),
        ("size = 260", "size = 0", r"wrong: input.size \(32 to 1024\)"),
        ("crop = 0.875", "crop = 1.5", "wrong: input.crop"),
        ("crop = 0.875", "crop = nan", "wrong: input.crop"),
        ("scale = 128", "scale = 0", "wrong: input.scale"),
        ("depth = 1.2", "depth = 0.5", "wrong: network.depth"),
        ("dimension = 1280", "dimension = 0", "wrong: network.dimension"),
        ('"efficientnet-lite"', '"resnet"', "only 'efficientnet-lite' is known"),
        ('sha256 = "9656', 'sha256 = "', "wrong: weights.sha256"),
        ('sha256 = "4461', 'sha256 = "zzzz', "wrong: graph.sha256"),
        ('licence = "Apache-2.0"', "licence = 'a\"b'", "wrong: title and texts"),
        ('space = "visual"', 'space = "a b"', "wrong: space"),
        ("[graph]", "[graph", "efficientnet_lite2.toml"),
        ("[input]", "[inputs]", "wants the keys"),
    ],
)
def test_what_is_wrong_with_a_manifest_is_named(
    manifest: Path, old: str, new: str, told: str
) -> None:
    text = manifest.read_text()
    assert old in text
    manifest.write_text(text.replace(old, new))
    with pytest.raises(ManifestError, match=told):
        backbone.read(manifest)


def test_a_name_that_triton_or_a_path_could_not_take_is_refused(manifest: Path) -> None:
    for name in ("Lite 2.toml", "2lite.toml", f"{'x' * 64}.toml"):
        with pytest.raises(ManifestError, match="the file's name"):
            backbone.read(manifest.rename(manifest.with_name(name)))
        manifest = manifest.with_name(name)
