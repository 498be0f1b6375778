"""Preprocessing as Hugging Face's files and the caller's options say it."""

import json
from pathlib import Path
from typing import Any

import pytest

from embedder.bringing.preprocessor import preprocessing
from embedder.domain.brought import Fit, ModelRefused, ResizeFilter

HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
CLIP = {
    **HALF,
    "crop_size": {"height": 224, "width": 224},
    "size": {"shortest_edge": 256},
    "do_center_crop": True,
    "resample": 3,
    "image_processor_type": "CLIPImageProcessor",
}
SIGLIP = {**HALF, "size": {"height": 256, "width": 256}, "resample": 2, "do_convert_rgb": None}
DINO = {**IMAGENET, "size": {"shortest_edge": 256}, "crop_size": 224, "do_center_crop": True}


def read(folder: Path, said: Any, **options: Any) -> Any:
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    return preprocessing(folder / "net.onnx", options)


def test_a_centre_crop_is_a_share_of_the_shorter_side(tmp_path: Path) -> None:
    found = read(tmp_path, CLIP)
    assert (found.side, found.look.crop, found.look.fit) == (224, 0.875, Fit.COVER)
    assert (found.look.mean, found.look.scale) == ((127.5,) * 3, (127.5,) * 3)
    assert read(tmp_path, DINO).look.mean == (123.675, 116.28, 103.53)


def test_a_squashed_photo_and_another_filter_are_known(tmp_path: Path) -> None:
    found = read(tmp_path, SIGLIP)
    assert (found.side, found.look.fit) == (256, Fit.SQUASH)
    assert found.look.resize is ResizeFilter.BILINEAR


def test_options_precede_the_file(tmp_path: Path) -> None:
    found = read(tmp_path, CLIP, crop=0.9, size=384, rescale=1.0, mean=(1, 2, 3), channels="BGR")
    assert (found.side, found.look.crop, found.look.channels) == (384, 0.9, "BGR")
    assert (found.look.mean, found.look.scale) == ((1.0, 2.0, 3.0), (0.5,) * 3)


def test_a_file_beside_the_folder_onnx_counts(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(CLIP))
    (tmp_path / "onnx").mkdir()
    assert preprocessing(tmp_path / "onnx" / "model.onnx", {}).side == 224


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ([], "preprocessor_config.json"),
        ({**CLIP, "size": {"height": 224, "width": 448}}, "not a square"),
        ({**CLIP, "size": {"longest_edge": 224}}, "not a square"),
        ({**CLIP, "crop_size": 512}, "512 pixels out of 256"),
        ({**CLIP, "resample": 9}, "resample 9"),
        ({**CLIP, "image_std": [0, 1, 1]}, "image_std"),
        ({**CLIP, "image_mean": [0.5]}, "image_mean"),
        ({**CLIP, "rescale_factor": -1}, "rescale_factor"),
    ],
)
def test_what_cannot_be_served_is_refused(tmp_path: Path, said: Any, says: str) -> None:
    with pytest.raises(ModelRefused, match=says) as caught:
        read(tmp_path, said)
    assert caught.value.reason == "MODEL_PREPROCESSING_UNKNOWN"


@pytest.mark.parametrize("data", [b"{", b"\xff", b"[" * 100_000, b" " * (2**20 + 1)])
def test_a_file_that_is_no_json_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "preprocessor_config.json").write_bytes(data)
    with pytest.raises(ModelRefused, match="can't be read"):
        preprocessing(tmp_path / "net.onnx", {})
