import json
import tomllib

import numpy as np

from embedder.adapters.onnxruntime import frames
from tests.engines import ROOT


def test_a_message_is_what_was_packed_whatever_the_order_of_its_bytes_was() -> None:
    image = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4).transpose(0, 2, 1)
    given = {
        "image": image,
        "kind": np.ones((2, 1), np.float32),
        "input_ids": np.arange(6, dtype=np.int64).reshape(2, 3),
        "nothing": np.zeros((0, 3), np.float32),
    }
    message = b"".join(frames.packed(7, {"bulk": True}, given))
    number, text, size = frames.SIZES.unpack_from(message)
    start = frames.SIZES.size
    assert (number, len(message)) == (7, start + text + size)
    head, arrays = frames.unpacked(message[start : start + text], message[start + text :])
    assert head == {"bulk": True}
    assert arrays.keys() == given.keys()
    for name, values in given.items():
        assert arrays[name].dtype == values.dtype
        assert np.array_equal(arrays[name], values)


def test_a_head_is_json() -> None:
    (first,) = frames.packed(0, {"error": "ä"}, {})
    assert json.loads(bytes(first)[frames.SIZES.size :]) == {"error": "ä", "tensors": []}


def test_both_engines_have_the_same_release_of_onnxruntime() -> None:
    """Another one may compute other last digits, under the same version of a space."""
    read = [ROOT / "deploy/triton/pyproject.toml", ROOT / "services/embedder/pyproject.toml"]
    triton, embedder = (tomllib.loads(path.read_text())["project"] for path in read)
    (pinned,) = embedder["optional-dependencies"]["onnxruntime"]
    assert pinned in triton["dependencies"]
