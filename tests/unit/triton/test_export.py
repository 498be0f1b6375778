"""CLIP's and SigLIP's towers of photos from a checkpoint to a model of this repository.

The checkpoints are tiny and random: what the published ones recognise is not measured here.
"""

import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tests.unit.triton.conftest import ENGINE, run_engine
from tests.unit.triton.towers import Array, Made, clip_made, siglip_made
from triton_engine import backbone, build, export
from triton_engine.export import Named
from triton_engine.manifest import BuildError, ManifestError
from triton_engine.photo_models import OnnxPhotoModel

RANDOM = np.random.default_rng(3)
NAMED = Named("tiny", "Tiny", "visual", "MIT", "nothing")
MADE = {
    "CLIPVisionModelWithProjection": clip_made(whole=False),
    "CLIPModel": clip_made(whole=True),
    "a side that patches do not fill": clip_made(whole=False, size=36, activation="gelu"),
    "SiglipVisionModel": siglip_made(whole=False),
    "SiglipModel": siglip_made(whole=True),
}
CLIP_PHOTOS = {
    "size": {"shortest_edge": 40},
    "crop_size": {"height": 32, "width": 32},
    "do_center_crop": True,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
}


@pytest.fixture(params=MADE)
def made(request: pytest.FixtureRequest) -> Made:
    """Return each kind of checkpoint in turn."""
    return MADE[request.param]


def run(path: Path, output: str, **inputs: Array) -> Array:
    (found,) = onnxruntime.InferenceSession(path.read_bytes()).run([output], inputs)
    return np.asarray(found)


def test_the_file_computes_what_the_network_s_paper_says(made: Made, tmp_path: Path) -> None:
    export.export(made.write(tmp_path / "hub"), tmp_path, NAMED)
    pixels = RANDOM.normal(size=(3, 3, made.size, made.size)).astype(np.float32)
    found = run(tmp_path / "tiny.onnx", "image_embeds", pixel_values=pixels)
    expected = made.forward(pixels)
    assert found.shape == expected.shape
    assert np.abs(expected).max() > 0.5, "nothing would be compared"
    assert np.abs(found - expected).max() < 1e-5


def test_the_build_takes_the_manifest_as_it_is_written(made: Made, tmp_path: Path) -> None:
    folder = made.write(tmp_path / "hub")
    manifest = export.export(folder, tmp_path / "manifests", NAMED)
    (graph,) = build.ensure(tmp_path / "models", manifest.parent)
    reported = backbone.read(manifest)
    assert isinstance(reported, OnnxPhotoModel)
    images = RANDOM.integers(0, 256, (3, made.size, made.size, 3), dtype=np.uint8)
    expected = made.forward(
        ((images - np.array(reported.input.mean)) / reported.input.scale).transpose(0, 3, 1, 2)
    )
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = run(graph, "embedding", image=images)
    assert np.abs(np.linalg.norm(found, axis=1) - 1).max() < 1e-6
    assert np.abs(found - expected).max() < 1e-5
    alone = [run(graph, "embedding", image=image[None])[0] for image in images]
    assert np.abs(found - alone).max() < 1e-6, "a photo's vector depends on its neighbours"


def test_half_the_precision_is_read_without_loss(tmp_path: Path) -> None:
    made = MADE["CLIPModel"]
    halved = {n: w.astype(np.float16) if "." in n else w for n, w in made.weights.items()}
    export.export(replace(made, weights=halved).write(tmp_path / "hub"), tmp_path, NAMED)
    pixels = RANDOM.normal(size=(1, 3, 32, 32)).astype(np.float32)
    expected = replace(made, weights=halved).forward(pixels)
    found = run(tmp_path / "tiny.onnx", "image_embeds", pixel_values=pixels)
    assert np.abs(found - expected).max() < 1e-5


def test_the_same_weights_give_the_same_bytes(made: Made, tmp_path: Path) -> None:
    folder = made.write(tmp_path / "hub")
    for output in ("one", "other", "other"):
        export.export(folder, tmp_path / output, NAMED)
    for name in ("tiny.onnx", "tiny.toml"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_other_weights_do_not_take_a_name_that_is_taken(tmp_path: Path) -> None:
    made = MADE["CLIPModel"]
    export.export(made.write(tmp_path / "hub"), tmp_path, NAMED)
    before = (tmp_path / "tiny.onnx").read_bytes()
    made.weights["visual_projection.weight"][0, 0] += 1
    try:
        with pytest.raises(BuildError, match="give it another name"):
            export.export(made.write(tmp_path / "hub"), tmp_path, NAMED)
    finally:
        made.weights["visual_projection.weight"][0, 0] -= 1
    assert (tmp_path / "tiny.onnx").read_bytes() == before


def test_the_command_prints_the_manifest_that_it_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = MADE["CLIPModel"].write(tmp_path / "hub", preprocessor_config=CLIP_PHOTOS)
    said = ["--name", "tiny", "--licence", "MIT", "--trained-on", "WIT-400M"]
    assert export.main([str(folder), *said, "--output", str(tmp_path)]) == 0
    text = (tmp_path / "tiny.toml").read_text()
    assert capsys.readouterr().out == f"{tmp_path / 'tiny.toml'}\n\n{text}\n"
    for line in (
        'title = "tiny"',
        'licence = "MIT"',
        'trained_on = "WIT-400M"',
        'path = "tiny.onnx"',
        "dimension = 7",
        "size = 32",
        "crop = 0.8",
        "mean = [122.771, 116.746, 104.094]",
        "scale = [68.5005, 66.6322, 70.3232]",
    ):
        assert line in text.splitlines()


@pytest.mark.full
@pytest.mark.slow
def test_the_engine_s_environment_has_all_that_it_needs(tmp_path: Path) -> None:
    folder = MADE["SiglipModel"].write(tmp_path / "hub")
    export.export(folder, tmp_path / "here", NAMED)
    said = ("--name", "tiny", "--title", "Tiny", "--licence", "MIT", "--trained-on", "nothing")
    there = tmp_path / "there"
    run_engine("-m", "triton_engine.export", str(folder), *said, "--output", str(there))
    for name in ("tiny.onnx", "tiny.toml"):
        assert (there / name).read_bytes() == (tmp_path / "here" / name).read_bytes()


def test_the_guide_shows_a_command_that_there_is() -> None:
    guide = (ENGINE / "README.md").read_text().replace("\\\n", " ")
    (shown,) = [line for line in guide.splitlines() if "-m triton_engine.export" in line]
    said = export._parser().parse_args(shlex.split(shown)[3:])
    assert (said.name, said.output) == ("clip_vit_b32", backbone.BACKBONES)


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = ["--name", "tiny", "--licence", "MIT", "--trained-on", "nothing"]
    assert export.main([str(tmp_path / "nowhere"), *said]) == 1
    assert "error: there is no folder" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--name", "--licence", "--trained-on"])
def test_what_the_weights_do_not_say_has_to_be_said(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = {"--name": "tiny", "--licence": "MIT", "--trained-on": "nothing"}
    del said[option]
    with pytest.raises(SystemExit):
        export.main(["hub", *(word for pair in said.items() for word in pair)])
    assert f"the following arguments are required: {option}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "reported"),
    [
        (replace(NAMED, name="../tiny"), "name: "),
        (replace(NAMED, licence='MIT"\n[graph]'), "weights.Local.licence|licence: "),
        (replace(NAMED, title=""), "title: "),
    ],
)
def test_a_name_that_no_manifest_can_have_is_refused(
    wrong: Named, reported: str, tmp_path: Path
) -> None:
    folder = MADE["CLIPModel"].write(tmp_path / "hub")
    with pytest.raises(ManifestError, match=reported):
        export.export(folder, tmp_path / "manifests", wrong)
    assert not (tmp_path / "manifests").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["hub"]
