"""What a brought file takes and returns, and what is refused before anything of it is run."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from embedder.adapters.onnxruntime import brought_file
from embedder.domain.brought import FileFacts, ModelRefused, Wanted
from tests.unit.embedder.bringing import graphs
from tests.unit.embedder.bringing.graphs import SIDE, WIDTH, tower


def checked(data: bytes, **wanted: Any) -> tuple[FileFacts, Any]:
    facts, part, session = brought_file.checked(brought_file.read(data), Wanted(**wanted))
    assert part.graph.output[0].type.tensor_type.shape.dim[1].dim_value == facts.dimension
    return facts, session


def test_a_file_says_what_it_takes_and_returns() -> None:
    facts, _ = checked(tower())
    assert (facts.image, facts.layout, facts.side) == ("pixels", "NCHW", SIDE)
    assert (facts.vector, facts.dimension, facts.pixels) == ("vector", WIDTH, "float32")


def test_a_size_of_minus_one_varies() -> None:
    facts, _ = checked(tower((-1, 3, -1, -1)), side=SIDE)
    assert (facts.layout, facts.side, facts.dimension) == ("NCHW", SIDE, WIDTH)


def test_a_variable_side_is_the_one_that_is_given() -> None:
    facts, _ = checked(tower(("N", 3, "H", "W")), side=32)
    assert facts.side == 32


@pytest.mark.parametrize("opset", [17, 18])
def test_a_vector_is_made_of_several_places(opset: int) -> None:
    file = tower(outputs={"places": ("N", 16, 8)}, opset=opset)
    photo = np.random.default_rng(0).random((1, SIDE, SIDE, 3), np.float32)
    found = {}
    for pool in ("first", "mean"):
        facts, session = checked(file, pool=pool)
        found[pool] = brought_file.run(session, brought_file.given(facts, photo))[0]
        assert facts.dimension == 8
    maps, session = checked(file, vector="maps", pool="mean")
    whole = brought_file.run(session, brought_file.given(maps, photo))[0]
    np.testing.assert_allclose(found["mean"], whole, rtol=1e-5)
    assert not np.allclose(found["first"], found["mean"])


def test_both_layouts_give_the_same_vector() -> None:
    photo = np.random.default_rng(0).random((2, SIDE, SIDE, 3), np.float32)
    found = []
    for file in (tower(outputs={"places": ("N", 16, 8)}), graphs.channels_last()):
        facts, session = checked(file, pool="mean")
        found.append(brought_file.run(session, brought_file.given(facts, photo)))
    np.testing.assert_allclose(*found, rtol=1e-5)


def test_only_the_part_from_the_photo_to_the_vector_is_kept() -> None:
    more = [helper.make_node("Cast", ["ids"], ["words"], to=TensorProto.FLOAT)]
    file = tower(
        more=more,
        inputs={"ids": ("N",)},
        outputs={"vector": ("N", WIDTH), "words": ("N",)},
    )
    facts, session = checked(file)
    assert [each.name for each in session.get_inputs()] == ["pixels"]
    assert facts.operators == 5 + 1 - 2  # without the places, and without the words


def custom() -> bytes:
    node = helper.make_node("Special", ["vector"], ["last"], domain="com.example")
    return graphs.saved(
        [*onnx.load_model_from_string(tower()).graph.node, node],
        {"pixels": ("N", 3, SIDE, SIDE)},
        {"last": ("N", WIDTH)},
        {},
        domains=["com.example"],
    )


def functions() -> bytes:
    model = onnx.load_model_from_string(tower())
    node = helper.make_node("Relu", ["x"], ["y"])
    opset = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("ours", "F", ["x"], ["y"], [node], opset))
    return bytes(model.SerializeToString())


def made_of_both() -> bytes:
    more = [helper.make_node("Add", ["vector", "ids"], ["last"])]
    return tower(more=more, inputs={"ids": ("N", WIDTH)}, outputs={"last": ("N", WIDTH)})


def of_bytes() -> bytes:
    model = onnx.load_model_from_string(tower())
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    return bytes(model.SerializeToString())


def times(number: float) -> bytes:
    more = [helper.make_node("Mul", ["vector", "number"], ["last"])]
    model = onnx.load_model_from_string(tower(more=more, outputs={"last": ("N", WIDTH)}))
    model.graph.initializer.append(graphs.constant("number", np.float32(number)))
    return bytes(model.SerializeToString())


def beside_others() -> bytes:
    """A network whose vectors depend on the other photos, as one that is exported for training."""
    more = [
        helper.make_node("ReduceMean", ["vector"], ["middle"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["vector", "middle"], ["last"]),
        helper.make_node("Add", ["last", "one"], ["shifted"]),
    ]
    model = onnx.load_model_from_string(tower(more=more, outputs={"shifted": ("N", WIDTH)}))
    ones = np.arange(WIDTH, dtype=np.float32) * 1e-3
    model.graph.initializer.append(graphs.constant("one", ones))
    return bytes(model.SerializeToString())


def of_a_later_format() -> bytes:
    model = onnx.load_model_from_string(tower())
    model.ir_version = 99
    return bytes(model.SerializeToString())


TWO = {"vector": ("N", WIDTH), "all": ("N", 128)}


@pytest.mark.parametrize(
    ("file", "wanted", "reason", "says"),
    [
        (b"GIF89a", {}, "MODEL_NOT_ONNX", "download it again"),
        (b"", {}, "MODEL_NOT_ONNX", "no graph"),
        (
            graphs.with_external_data("/etc/passwd", inside=False),
            {},
            "MODEL_EXTERNAL_DATA",
            "never",
        ),
        (graphs.with_external_data("../key", inside=True), {}, "MODEL_EXTERNAL_DATA", "never read"),
        (custom(), {}, "MODEL_CUSTOM_OPERATOR", "com.example"),
        (functions(), {}, "MODEL_CUSTOM_OPERATOR", "inline"),
        (tower(inputs={"other": ("N", 3, 8, 8)}), {}, "MODEL_IMAGE_INPUT", "pixels, other"),
        (tower(), {"image": "photo"}, "MODEL_IMAGE_INPUT", "it has pixels"),
        (made_of_both(), {}, "MODEL_OTHER_INPUT", "ids"),
        (of_bytes(), {}, "MODEL_INPUT_TYPE", "FLOAT16"),
        (tower(("N", 1, SIDE, SIDE)), {}, "MODEL_LAYOUT_UNKNOWN", "--layout"),
        (tower(("N", "C", SIDE, SIDE)), {}, "MODEL_LAYOUT_UNKNOWN", "--layout"),
        (tower(("N", 1, SIDE, SIDE)), {"layout": "NCHW"}, "MODEL_LAYOUT_UNKNOWN", "1 colours"),
        (tower(("N", 3, "H", "W")), {}, "MODEL_SIDE_UNKNOWN", "--size"),
        (tower(("N", 3, 32, 64)), {}, "MODEL_SIDE_UNKNOWN", "one square"),
        (tower(), {"side": 64}, "MODEL_SIDE_UNKNOWN", "64 given"),
        (tower((1, 3, SIDE, SIDE)), {}, "MODEL_BATCH_FIXED", "variable first dimension"),
        (beside_others(), {}, "MODEL_BATCH_FIXED", "model.eval"),
        (tower(), {"vector": "nothing"}, "MODEL_VECTOR_UNKNOWN", "its outputs are vector"),
        (tower(outputs=TWO), {}, "MODEL_VECTOR_UNKNOWN", "several outputs"),
        (tower(outputs={"places": ("N", 16, 8)}), {}, "MODEL_VECTOR_UNKNOWN", "--pool first"),
        (of_a_later_format(), {}, "MODEL_BROKEN", "IR version 99.*ir_version"),
        (times(0.0), {}, "MODEL_BROKEN", "all 0"),
        (times(float("inf")), {}, "MODEL_BROKEN", "not finite"),
        (graphs.greedy(2**62), {}, "MODEL_BROKEN|MODEL_MEMORY", "."),
    ],
)
def test_what_cannot_be_served_is_refused_with_what_to_do(
    file: bytes, wanted: dict[str, Any], reason: str, says: str
) -> None:
    with pytest.raises(ModelRefused, match=says) as caught:
        checked(file, **wanted)
    assert caught.value.reason in reason.split("|")
