"""Third-party files as models: towers such as CLIP's, here tiny ones that the tests create."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from triton_engine import backbone, build
from triton_engine.manifest import BuildError

Array = np.ndarray[Any, Any]
MEAN, SCALE = [122.77, 116.75, 104.09], [68.5, 66.63, 70.32]
RANDOM = np.random.default_rng(3)
ZEROS = "0" * 64


def constant(name: str, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(RANDOM.normal(size=shape).astype(np.float32), name)


def value(name: str, *shape: str | int, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, list(shape))


def model(nodes: Any, inputs: Any, outputs: Any, constants: Any, opset: int = 18) -> bytes:
    graph = helper.make_graph(nodes, "tower", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", opset)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return bytes(made.SerializeToString())


def photos(opset: int = 18) -> bytes:
    """Return a model with two towers in one file, as CLIP is published; the text tower has to be
    removed."""
    nodes = [
        helper.make_node("Conv", ["pixel_values", "patches"], ["patched"], strides=[8, 8]),
        helper.make_node("GlobalAveragePool", ["patched"], ["image"]),
        helper.make_node("Flatten", ["image"], ["embedding"], axis=1),
        helper.make_node("MatMul", ["embedding", "projection"], ["image_embeds"]),
        helper.make_node("Gather", ["words", "input_ids"], ["text_embeds"]),
    ]
    inputs = [
        value("input_ids", "n", kind=TensorProto.INT64),
        value("pixel_values", "n", 3, "side", "side"),
    ]
    outputs = [value("text_embeds", "n", 5), value("image_embeds", "n", 5)]
    constants = [constant("patches", 6, 3, 8, 8), constant("projection", 6, 5)]
    return model(nodes, inputs, outputs, [*constants, constant("words", 9, 5)], opset)


def texts(*, masked: bool) -> bytes:
    """Return a text tower: the sum of its words."""
    nodes = [helper.make_node("Gather", ["words", "tokens"], ["seen"])]
    inputs = [value("tokens", "n", "t", kind=TensorProto.INT64)]
    words = "seen"
    if masked:
        inputs.append(value("shown", "n", "t", kind=TensorProto.INT64))
        nodes += [
            helper.make_node("Cast", ["shown"], ["share"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["share", "last"], ["shares"]),
            helper.make_node("Mul", ["seen", "shares"], ["kept"]),
        ]
        words = "kept"
    nodes.append(helper.make_node("ReduceSum", [words, "first"], ["sum"], keepdims=0))
    constants = [
        constant("words", 9, 4),
        numpy_helper.from_array(np.array([1]), "first"),
        numpy_helper.from_array(np.array([2]), "last"),
    ]
    return model(nodes, inputs, [value("sum", "n", 4)], constants[: 3 if masked else 2])


PHOTOS = """
title = "Tiny CLIP"
space = "visual"
[weights]
path = "tower.onnx"
sha256 = "{weights}"
licence = "MIT"
trained_on = "nothing"
[network]
family = "onnx"
input = "pixel_values"
layout = "NCHW"
output = "image_embeds"
dimension = 5
[input]
size = 32
crop = 1.0
mean = [122.77, 116.75, 104.09]
scale = [68.5, 66.63, 70.32]
[graph]
sha256 = "{graph}"
"""

TEXTS = """
title = "Tiny CLIP, texts"
space = "text"
[weights]
path = "tower.onnx"
sha256 = "{weights}"
licence = "MIT"
trained_on = "nothing"
[network]
family = "onnx-text"
ids = "tokens"
output = "sum"
dimension = 4
[input]
tokenizer = "words.json"
tokenizer_sha256 = "{tokenizer}"
max_tokens = 16
[graph]
sha256 = "{graph}"
"""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def built(folder: Path, manifest: str, file: bytes) -> Path:
    """Build a model as an operator does: first with zeros for the graph's hash, then with the
    reported one."""
    (folder / "tower.onnx").write_bytes(file)
    (folder / "words.json").write_bytes(b"{}")
    path = folder / "tiny.toml"
    reported = {"weights": sha256(file), "tokenizer": sha256(b"{}")}
    path.write_text(manifest.format(graph=ZEROS, **reported))
    with pytest.raises(BuildError, match="the built graph has sha256") as caught:
        build.ensure(folder / "models", folder)
    path.write_text(manifest.format(graph=str(caught.value).split("sha256 ")[1][:64], **reported))
    (found,) = build.ensure(folder / "models", folder)
    return found


def run(path: Path, **inputs: Array) -> Array:
    (found,) = onnxruntime.InferenceSession(path.read_bytes()).run(["embedding"], inputs)
    return np.asarray(found)


def unit(rows: Array) -> Array:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def test_a_tower_of_photos_takes_bytes_and_gives_unit_vectors(tmp_path: Path) -> None:
    file = photos()
    path = built(tmp_path, PHOTOS, file)
    images = RANDOM.integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    pixels = ((images - np.float32(MEAN)) / np.float32(SCALE)).transpose(0, 3, 1, 2)
    tower = onnxruntime.InferenceSession(file)
    (expected,) = tower.run(
        ["image_embeds"],
        {"pixel_values": pixels.astype(np.float32), "input_ids": np.zeros(3, np.int64)},
    )
    assert np.abs(run(path, image=images) - unit(expected)).max() < 1e-5
    config = (path.parents[1] / "config.pbtxt").read_text()
    for said in (
        "32, 32, 3",
        "dims: [ 5 ]",
        "(x-[122.77 116.75 104.09])/[68.5 66.63 70.32] in the graph",
        "tower.onnx (nothing)",
        "Tiny CLIP, output, L2",
    ):
        assert said in config


@pytest.mark.parametrize("masked", [False, True])
def test_a_tower_of_texts_takes_tokens_with_a_mask_or_without(
    tmp_path: Path, *, masked: bool
) -> None:
    file = texts(masked=masked)
    manifest = (
        TEXTS.replace('output = "sum"', 'mask = "shown"\noutput = "sum"') if masked else TEXTS
    )
    path = built(tmp_path, manifest, file)
    ids, mask = np.array([[1, 2, 3], [4, 5, 0]]), np.array([[1, 1, 1], [1, 1, 0]])
    tower = onnxruntime.InferenceSession(file)
    (expected,) = tower.run(["sum"], {"tokens": ids, **({"shown": mask} if masked else {})})
    found = run(path, input_ids=ids, attention_mask=mask)
    assert np.abs(found - unit(expected)).max() < 1e-6
    assert (path.parents[1] / "tokenizer.json").read_bytes() == b"{}"


@pytest.mark.parametrize(
    ("old", "new", "reported"),
    [
        (
            'input = "pixel_values"',
            'input = "pixels"',
            "no input pixels; it has input_ids",
        ),
        (
            'output = "image_embeds"',
            'output = "x"',
            "no output x; it has text_embeds, image_embeds",
        ),
        (
            'output = "image_embeds"',
            'output = "text_embeds"',
            "does not fit",
        ),
        ("dimension = 5", "dimension = 6", "the file does not fit the manifest"),
        ('path = "tower.onnx"', 'path = "nowhere.onnx"', "there is no file .*nowhere.onnx"),
        ('path = "tower.onnx"', 'url = "http://127.0.0.1/x"', "weights"),
        ("size = 32", "size = 32\nfeatures = 1", "input.features: Extra inputs"),
    ],
)
def test_a_manifest_that_does_not_fit_its_file_is_refused(
    tmp_path: Path, old: str, new: str, reported: str
) -> None:
    file = photos()
    (tmp_path / "tower.onnx").write_bytes(file)
    text = PHOTOS.format(weights=sha256(file), graph=ZEROS)
    assert old in text
    (tmp_path / "tiny.toml").write_text(text.replace(old, new))
    with pytest.raises(BuildError, match=reported):
        build.ensure(tmp_path / "models", tmp_path)


READER = """
title = "Tiny reader"
space = "labels"
[weights]
path = "tower.onnx"
sha256 = "{weights}"
licence = "MIT"
trained_on = "nothing"
[network]
family = "reader"
input = "x"
output = "read"
characters = "character"
[input]
height = 16
mean = 0
scale = 255
channels = "BGR"
[graph]
sha256 = "{graph}"
"""


def reader(characters: str) -> bytes:
    """Return a reader whose steps are columns, and whose probabilities are three rows of blue."""
    nodes = [
        helper.make_node("Slice", ["x", "start", "end", "axes"], ["blue"]),
        helper.make_node("Squeeze", ["blue", "one"], ["rows"]),
        helper.make_node("Transpose", ["rows"], ["read"], perm=[0, 2, 1]),
    ]
    constants = [
        numpy_helper.from_array(np.array(values), name)
        for name, values in {"start": [0, 0], "end": [1, 3], "axes": [1, 2], "one": [1]}.items()
    ]
    made = onnx.load_model_from_string(
        model(nodes, [value("x", "n", 3, 16, "w")], [value("read", "n", "w", 3)], constants)
    )
    helper.set_model_props(made, {"character": characters})
    return bytes(made.SerializeToString())


def test_a_reader_returns_code_points_with_their_probabilities(tmp_path: Path) -> None:
    path = built(tmp_path, READER, reader("\N{CJK UNIFIED IDEOGRAPH-9152}"))
    image = np.zeros((1, 16, 3, 3), np.uint8)
    image[0, [0, 1, 2], [0, 1, 2], 2] = 51, 102, 255  # the last channel of RGB is blue
    session = onnxruntime.InferenceSession(path.read_bytes())
    (found,) = session.run(["lines"], {"image": image})
    assert found.shape == (1, 3, 2)
    assert found[0] == pytest.approx(np.array([[0, 0.2], [0x9152, 0.4], [0x20, 1]]))
    assert "dims: [ -1, 2 ]" in (path.parents[1] / "config.pbtxt").read_text()


def test_a_reader_without_its_characters_is_refused(tmp_path: Path) -> None:
    file = reader("a\nbc")
    (tmp_path / "tower.onnx").write_bytes(file)
    (tmp_path / "tiny.toml").write_text(READER.format(weights=sha256(file), graph=ZEROS))
    with pytest.raises(BuildError, match="one character a line"):
        build.ensure(tmp_path / "models", tmp_path)


@pytest.mark.parametrize(
    ("file", "reported"),
    [
        (b"<html>", "not an ONNX file"),
    ],
)
def test_what_is_no_file_for_this_is_refused(tmp_path: Path, file: bytes, reported: str) -> None:
    (tmp_path / "tower.onnx").write_bytes(file)
    (tmp_path / "tiny.toml").write_text(PHOTOS.format(weights=sha256(file), graph=ZEROS))
    with pytest.raises(BuildError, match=reported):
        build.ensure(tmp_path / "models", tmp_path)


def test_a_file_whose_weights_lie_elsewhere_is_refused(tmp_path: Path) -> None:
    whole = onnx.load_model_from_string(photos())
    whole.graph.initializer[0].data_location = TensorProto.EXTERNAL
    place = whole.graph.initializer[0].external_data.add()
    place.key, place.value = "location", "/etc/passwd"
    file = whole.SerializeToString()
    (tmp_path / "tower.onnx").write_bytes(file)
    (tmp_path / "tiny.toml").write_text(PHOTOS.format(weights=sha256(file), graph=ZEROS))
    with pytest.raises(BuildError, match="stores its weights in other files"):
        build.ensure(tmp_path / "models", tmp_path)


def test_an_address_is_fetched_once_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    file = photos()

    def fetch(url: str) -> bytes:
        asked.append(url)
        return file

    monkeypatch.setattr(build, "_fetched", fetch)
    manifest = PHOTOS.replace('path = "tower.onnx"', 'url = "https://models.example/clip.onnx"')
    path = built(tmp_path, manifest, file)
    build.ensure(tmp_path / "models", tmp_path)
    assert asked == ["https://models.example/clip.onnx"] * 2, "once for the hash, once to build"
    assert "https://models.example/clip.onnx" in (path.parents[1] / "config.pbtxt").read_text()
    path.unlink()
    monkeypatch.setattr(build, "_fetched", lambda url: file + b"\0")
    with pytest.raises(BuildError, match="pinned is"):
        build.ensure(tmp_path / "models", tmp_path)


def test_the_known_families_are_named() -> None:
    assert backbone._FAMILIES.keys() == {
        *("efficientnet-lite", "bert", "onnx", "onnx-text", "centerface", "text-map", "reader"),
        *("universal-sentence-encoder", "pair", "efficientnet-lite-objects", "onnx-objects"),
    }


def test_a_build_with_pin_writes_the_hash_in_place_of_zeros(tmp_path: Path) -> None:
    file = photos()
    (tmp_path / "tower.onnx").write_bytes(file)
    path = tmp_path / "tiny.toml"
    path.write_text(PHOTOS.format(weights=sha256(file), graph=ZEROS))
    arguments = ["--backbones", str(tmp_path), "--models", str(tmp_path / "models")]
    assert build.main(arguments) == 1
    assert build.main([*arguments, "--pin"]) == 0
    (built_,) = (tmp_path / "models").glob("*/1/model.onnx")
    assert sha256(built_.read_bytes()) in path.read_text()
    assert build.main(arguments) == 0
