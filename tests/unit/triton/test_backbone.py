"""Manifests: complete and valid, or rejected with the faulty key."""

import shutil
from pathlib import Path

import pytest

from tests.unit.triton.conftest import FEATURES, LITE0, LITE1, LITE2, TEXT
from triton_engine import backbone
from triton_engine.manifest import ManifestError
from triton_engine.photo_models import PhotoModel
from triton_engine.text_models import TextModel


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Return a manifest that can be changed."""
    return Path(shutil.copy(backbone.BACKBONES / f"{LITE2}.toml", tmp_path))


def test_the_backbones_of_the_engine_are_read_by_name() -> None:
    found = {manifest.name: manifest for manifest in backbone.read_all()}
    assert {LITE0, LITE1, LITE2, TEXT, *FEATURES} <= found.keys()
    for name, size, depth in ((LITE0, 224, 1.0), (LITE1, 240, 1.1), (LITE2, 260, 1.2)):
        plain, features = found[name], found[f"{name}_features"]
        assert isinstance(plain, PhotoModel)
        assert isinstance(features, PhotoModel)
        assert (plain.space, plain.output, plain.dimension) == ("visual", "embedding", 1280)
        assert (features.space, features.output) == ("features", "features")
        for one in (plain, features):
            assert (one.input.size, one.network.depth, one.input.crop) == (size, depth, 0.875)
            assert one.input.normalisation == "(x-127)/128 in the graph"
            assert one.weights.licence == "Apache-2.0"
            assert one.weights.package in one.weights.source
    text = found[TEXT]
    assert isinstance(text, TextModel)
    assert (text.space, text.network.dimension, text.input.max_tokens) == ("text", 384, 256)


def test_the_blocks_of_features_are_named_in_order_and_make_up_the_vector() -> None:
    found = backbone.read(backbone.BACKBONES / f"{FEATURES[0]}.toml")
    assert isinstance(found, PhotoModel)
    blocks = found.parameters["blocks"]
    assert blocks == (
        "stage_4=40 stage_5=80 stage_6=112 stage_7=192 stage_8=320 "
        "stage_4_deviation=40 stage_5_deviation=80 stage_6_deviation=112 stage_7_deviation=192 "
        "stage_8_deviation=320 head=1280 hsv_histogram=192"
    )
    assert found.dimension == sum(int(block.split("=")[1]) for block in blocks.split())


@pytest.mark.parametrize(
    ("old", "new", "reported"),
    [
        ("size = 260", "", "input.size: Field required"),
        ("size = 260", "size = 260\nstd = 1", "input.std: Extra inputs"),
        ('space = "visual"', 'space = "visual"\ncolour = 1', "colour: Extra inputs"),
        ("size = 260", 'size = "260"', "input.size: .* valid integer"),
        ("size = 260", "size = true", "input.size: .* valid integer"),
        ("size = 260", "size = 0", "input.size: .* greater than or equal to 32"),
        ("crop = 0.875", "crop = 1.5", "input.crop: .* less than or equal to 1"),
        ("crop = 0.875", "crop = nan", "input.crop"),
        ("scale = 128", "scale = 0", "input.scale.* greater than 0"),
        ("scale = 128", "scale = inf", "input.scale.* finite"),
        ("depth = 1.2", "depth = 0.5", "network.depth: .* greater than or equal to 1"),
        ("dimension = 1280", "dimension = 0", "network.dimension: .* greater than or equal to 1"),
        ('"efficientnet-lite"', '"resnet"', "network.family is none of efficientnet-lite, bert"),
        ("[network]", "[networks]", "network.family is none of"),
        ('sha256 = "9656', 'sha256 = "', "weights.sha256: .* pattern"),
        ('sha256 = "4461', 'sha256 = "zzzz', "graph.sha256: .* pattern"),
        ('licence = "Apache-2.0"', "licence = 'a\"b'", "weights.licence: .* pattern"),
        ('space = "visual"', 'space = "a b"', "space: .* pattern"),
        ('space = "visual"', 'space = "features"', 'space must be "features" or'),
        ("[graph]", "[graph", "efficientnet_lite2.toml"),
        ("[input]", "[inputs]", "input: Field required"),
    ],
)
def test_what_is_wrong_with_a_manifest_is_named(
    manifest: Path, old: str, new: str, reported: str
) -> None:
    text = manifest.read_text()
    assert old in text
    manifest.write_text(text.replace(old, new))
    with pytest.raises(ManifestError, match=reported):
        backbone.read(manifest)


def test_a_name_that_triton_or_a_path_could_not_take_is_refused(manifest: Path) -> None:
    for name in ("Lite 2.toml", "2lite.toml", f"{'x' * 64}.toml"):
        with pytest.raises(ManifestError, match=r"name: .* pattern"):
            backbone.read(manifest.rename(manifest.with_name(name)))
        manifest = manifest.with_name(name)


@pytest.mark.parametrize(
    ("old", "new", "reported"),
    [
        ("stage_4 = 40", "stage_9 = 40", "features.stages.stage_9"),
        ("stage_4 = 40", "stage_4 = 0", "features.stages.stage_4: .* greater"),
        ("stage_4 = 40, stage_5 = 80", "stage_5 = 80, stage_4 = 40", "in the network's order"),
        ("[12, 4, 4]", "[12, 4]", "features.histogram.2: Field required"),
        ("[12, 4, 4]", "[12, 4, 0.5]", "features.histogram.2: .* valid integer"),
        ('space = "features"', 'space = "visual"', 'space must be "features" or'),
    ],
)
def test_what_is_wrong_with_features_is_named(
    tmp_path: Path, old: str, new: str, reported: str
) -> None:
    manifest = Path(shutil.copy(backbone.BACKBONES / f"{FEATURES[0]}.toml", tmp_path))
    text = manifest.read_text()
    assert old in text
    manifest.write_text(text.replace(old, new))
    with pytest.raises(ManifestError, match=reported):
        backbone.read(manifest)
