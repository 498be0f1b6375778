"""Checks of an export on an untrusted folder, and its rejections."""

import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from tests.unit.triton.towers import P, clip_made, siglip_made
from triton_engine import checkpoint
from triton_engine.checkpoint import CheckpointError, Seen

CLIP, SIGLIP = clip_made(whole=False), siglip_made(whole=True)
BY_HAND = 'export it by its own tools, and write a manifest of the family "onnx"'
QUERY = f"{P}encoder.layers.1.self_attn.q_proj.weight"
HALF = (127.5, 127.5, 127.5)


class Bomb:
    """Object that creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        ({"model_type": "blip"}, f"'blip' .* is none of CLIPModel, .*{BY_HAND}"),
        ({"model_type": ["clip"]}, "is none of"),
        ({"model_type": None}, "is none of"),
        ({"architectures": ["CLIPForImageClassification"]}, "is none of"),
        ({"architectures": {"0": "CLIPModel"}}, "is none of"),
        ({"architectures": ["CLIPVisionModel"]}, "is none of"),
        ({"hidden_act": "swish"}, f"hidden_act: Input should be 'quick_gelu'.*{BY_HAND}"),
        ({"num_channels": 1}, "num_channels: "),
        ({"hidden_size": "16"}, "hidden_size: .* valid integer"),
        ({"hidden_size": 10**9}, "hidden_size: "),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers: "),
        ({"layer_norm_eps": float("nan")}, "layer_norm_eps: "),
        ({"num_attention_heads": 3}, "3 heads of a width of 16"),
        ({"num_attention_heads": 0}, "num_attention_heads: "),
        ({"patch_size": 64}, "patches of 64 pixels of 32"),
        ({"image_size": 8}, "image_size: "),
        ({"hidden_size": 16384, "intermediate_size": 16384, "num_hidden_layers": 128}, "smaller"),
        ({"num_hidden_layers": 3}, r"has no vision_model.encoder.layers.2.*one of 16 .*take both"),
        (
            {"num_hidden_layers": 1},
            r"has vision_model.encoder.layers.1.*one of 16 of which .* no use",
        ),
        ({"projection_dim": 6}, r"visual_projection.weight is of shape \(5, 16\), .* \(6, 16\)"),
        ({"image_size": 40}, r"position_embedding.weight is of shape \(17, 16\), .* \(26, 16\)"),
    ],
)
def test_a_configuration_of_another_network_is_refused(
    change: dict[str, Any], reported: str, tmp_path: Path
) -> None:
    folder = replace(CLIP, config={**CLIP.config, **change}).write(tmp_path)
    with pytest.raises(CheckpointError, match=reported):
        checkpoint.read(folder)


@pytest.mark.parametrize("value", [None, [], "x", {"vision_use_head": False}])
def test_a_whole_model_without_a_tower_of_photos_is_refused(value: Any, tmp_path: Path) -> None:
    config = {**SIGLIP.config, "vision_config": value}
    with pytest.raises(CheckpointError, match=f"config.json, vision_config: .*{BY_HAND}"):
        checkpoint.read(replace(SIGLIP, config=config).write(tmp_path))


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        (b"<html>", "is not valid JSON: download it again"),
        (b"\xff\xfe\xff", "is not valid JSON"),
        (b"[" * 100_000, "is not valid JSON"),
        (b"[]", "is not a JSON object"),
        (b" " * (checkpoint.MAX_TEXT + 1), "is larger than"),
    ],
)
def test_a_configuration_that_is_none_is_refused(
    text: bytes, reported: str, tmp_path: Path
) -> None:
    (CLIP.write(tmp_path) / "config.json").write_bytes(text)
    with pytest.raises(CheckpointError, match=f"config.json {reported}"):
        checkpoint.read(tmp_path)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config.json can't be read .*Hugging Face's layout"):
        checkpoint.read(tmp_path)
    with pytest.raises(CheckpointError, match="there is no folder"):
        checkpoint.read(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("beside", "reported"),
    [
        ("pytorch_model.bin", "pytorch_model.bin is a pickle.*take model.safetensors"),
        ("model.safetensors.index.json", "in several files: save them in one"),
        ("README.md", "there is no model.safetensors"),
    ],
)
def test_without_a_file_of_weights_it_says_what_to_do(
    beside: str, reported: str, tmp_path: Path
) -> None:
    (CLIP.write(tmp_path) / "model.safetensors").rename(tmp_path / beside)
    with pytest.raises(CheckpointError, match=reported):
        checkpoint.read(tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_a_pickle_is_never_read(name: str, tmp_path: Path) -> None:
    (CLIP.write(tmp_path) / "model.safetensors").unlink()
    (tmp_path / name).write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    with pytest.raises(CheckpointError, match=r"is a pickle|is not a safetensors file"):
        checkpoint.read(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    path = CLIP.write(tmp_path) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"is not a safetensors file .*: download it again"):
        checkpoint.read(tmp_path)


@pytest.mark.parametrize(
    ("value", "reported"),
    [
        (None, f"has no {QUERY}, one of 1"),
        (np.zeros((16, 15), np.float32), f"{QUERY} is of shape"),
        (np.zeros((1, 16, 16), np.float32), f"{QUERY} is of shape"),
        (np.zeros((16, 16), np.float64), "is of F64: save the model as float32"),
        (np.zeros((16, 16), np.int32), "is of I32"),
        (np.full((16, 16), np.nan, np.float32), "has numbers that are not finite"),
    ],
)
def test_a_tensor_that_does_not_fit_is_refused(value: Any, reported: str, tmp_path: Path) -> None:
    weights = {name: w for name, w in CLIP.weights.items() if name != QUERY or value is not None}
    changed = {**weights, **({} if value is None else {QUERY: value})}
    with pytest.raises(CheckpointError, match=reported):
        checkpoint.read(replace(CLIP, weights=changed).write(tmp_path))


def test_a_part_of_the_tower_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    extra = {f"{P}embeddings.registers": np.zeros(3, np.float32)}
    changed = replace(SIGLIP, weights={**SIGLIP.weights, **extra})
    with pytest.raises(CheckpointError, match=r"has vision_model.embeddings.registers.*no use"):
        checkpoint.read(changed.write(tmp_path))


def test_half_precision_of_the_other_kind_is_refused(tmp_path: Path) -> None:
    path = CLIP.write(tmp_path) / "model.safetensors"
    halved = safetensors.numpy.save({n: w.astype(np.float16) for n, w in CLIP.weights.items()})
    # NumPy knows no bfloat16: the file says it is, and the bytes are whatever they are.
    end = 8 + int.from_bytes(halved[:8], "little")
    header = halved[8:end].replace(b'"F16"', b'"BF16"')
    path.write_bytes(len(header).to_bytes(8, "little") + header + halved[end:])
    with pytest.raises(CheckpointError, match="is of BF16: save the model as float32"):
        checkpoint.read(tmp_path)


SQUEEZED = "The authors resized whole photos to a square; here the center is cropped."
ABSENT = "There was no preprocessor_config.json: crop, mean and scale are the family's."


@pytest.mark.parametrize(
    ("photos", "expected"),
    [
        (None, Seen(1.0, HALF, HALF, (ABSENT, SQUEEZED))),
        ({}, Seen(1.0, HALF, HALF, (SQUEEZED,))),
        ({"size": {"height": 32, "width": 32}}, Seen(1.0, HALF, HALF, (SQUEEZED,))),
        ({"size": 40, "crop_size": 32, "do_center_crop": True}, Seen(0.8, HALF, HALF)),
        ({"size": 32, "do_rescale": False}, Seen(1.0, (0.5,) * 3, (0.5,) * 3)),
        ({"size": 32, "do_normalize": False}, Seen(1.0, (0.0,) * 3, (255.0,) * 3)),
        ({"size": 32, "rescale_factor": 1 / 127.5}, Seen(1.0, (63.75,) * 3, (63.75,) * 3)),
        (
            {"size": 32, "resample": 2},
            Seen(1, HALF, HALF, ("The authors resized by Pillow's filter 2; here it is bicubic.",)),
        ),
    ],
)
def test_what_was_done_to_photos_is_reported_in_the_manifest_s_terms(
    photos: dict[str, Any] | None, expected: Seen, tmp_path: Path
) -> None:
    files = {} if photos is None else {"preprocessor_config": photos}
    assert checkpoint.read(SIGLIP.write(tmp_path, **files)).seen == expected


@pytest.mark.parametrize(
    ("photos", "reported"),
    [
        ({"size": 224}, "makes squares of 224 pixels out of 224, the network takes 32"),
        ({"size": 24, "crop_size": 32, "do_center_crop": True}, "squares of 32 pixels out of 24"),
        (
            {"size": {"height": 32, "width": 48}},
            "size .* is not a square: write the manifest by hand",
        ),
        ({"size": {"longest_edge": 32}}, "is not a square"),
        ({"size": {}}, "is not a square"),
        ({"size": -1}, "size"),
        ({"do_resize": False}, "do_resize: "),
        ({"image_mean": [0.5]}, "image_mean"),
        ({"image_mean": [0.5, 0.5, float("inf")]}, "image_mean"),
        ({"image_std": [0.5, 0, 0.5]}, "image_std"),
        ({"rescale_factor": 0}, "rescale_factor: "),
    ],
)
def test_photos_that_the_manifest_can_t_tell_of_are_refused(
    photos: dict[str, Any], reported: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=f"preprocessor_config.json.*{reported}"):
        checkpoint.read(SIGLIP.write(tmp_path, preprocessor_config=photos))
