"""Small ONNX files, sound and hostile."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE, WIDTH = 32, 16
RANDOM = np.random.default_rng(7)
PATCHES = RANDOM.normal(size=(8, 3, 8, 8)).astype(np.float32) / 8
DENSE = RANDOM.normal(size=(128, WIDTH)).astype(np.float32) / 8

Shape = Sequence[int | str]


def value(name: str, shape: Shape, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, list(shape))


def constant(name: str, values: Any) -> Any:
    return numpy_helper.from_array(np.asarray(values), name)


def saved(
    nodes: Sequence[Any],
    inputs: Mapping[str, Shape],
    outputs: Mapping[str, Shape],
    constants: Mapping[str, Any],
    opset: int = 17,
    domains: Sequence[str] = (),
) -> bytes:
    graph = helper.make_graph(
        list(nodes),
        "tiny",
        [value(*each) for each in inputs.items()],
        [value(*each) for each in outputs.items()],
        [constant(*each) for each in constants.items()],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=8)
    return bytes(model.SerializeToString())


def trunk(pixels: str = "pixels") -> list[Any]:
    """Nodes from pixels [N, 3, 32, 32] to `maps` [N, 8, 4, 4] and `places` [N, 16, 8]."""
    return [
        helper.make_node(
            "Conv", [pixels, "patches"], ["conv"], kernel_shape=[8, 8], strides=[8, 8]
        ),
        helper.make_node("Relu", ["conv"], ["maps"]),
        helper.make_node("Reshape", ["maps", "flat"], ["rows"]),
        helper.make_node("Transpose", ["rows"], ["places"], perm=[0, 2, 1]),
    ]


def tower(
    pixels: Shape = ("N", 3, SIDE, SIDE),
    *,
    more: Sequence[Any] = (),
    inputs: Mapping[str, Shape] | None = None,
    outputs: Mapping[str, Shape] | None = None,
    opset: int = 17,
) -> bytes:
    """A network that gives `vector` [N, 16]."""
    nodes = [
        *trunk(),
        helper.make_node("Flatten", ["maps"], ["all"], axis=1),
        helper.make_node("MatMul", ["all", "dense"], ["vector"]),
        *more,
    ]
    constants = {"patches": PATCHES, "dense": DENSE, "flat": np.array([0, 8, -1], np.int64)}
    given = outputs or {"vector": ("N", WIDTH)}
    return saved(nodes, {"pixels": pixels, **(inputs or {})}, given, constants, opset)


def channels_last() -> bytes:
    nodes = [
        helper.make_node("Transpose", ["pixels"], ["first"], perm=[0, 3, 1, 2]),
        *trunk("first"),
    ]
    constants = {"patches": PATCHES, "flat": np.array([0, 8, -1], np.int64)}
    outputs = {"places": ("N", 16, 8)}
    return saved(nodes, {"pixels": ("N", SIDE, SIDE, 3)}, outputs, constants)


def with_external_data(path: str, *, inside: bool) -> bytes:
    """A network whose weights lie in another file; `inside`: those of a graph in a node."""
    model = onnx.load_model_from_string(tower())
    weights = next(each for each in model.graph.initializer if each.name == "dense")
    if inside:
        branch = helper.make_graph([], "branch", [], [value("dense", [128, WIDTH])], [weights])
        model.graph.node.insert(
            0,
            helper.make_node("If", ["true"], ["w"], then_branch=branch, else_branch=branch),
        )
        for part in model.graph.node[0].attribute:
            elsewhere(part.g.initializer[0], path)
    else:
        elsewhere(weights, path)
    return bytes(model.SerializeToString())


def elsewhere(tensor: Any, path: str) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=path)


def greedy(size: int) -> bytes:
    """A network that makes a tensor of this many numbers."""
    more = [
        helper.make_node("ConstantOfShape", ["huge"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
        helper.make_node("Add", ["vector", "sum"], ["last"]),
    ]
    model = onnx.load_model_from_string(tower(more=more, outputs={"last": ("N", WIDTH)}))
    model.graph.initializer.append(constant("huge", np.array([size], np.int64)))
    return bytes(model.SerializeToString())


def endless() -> bytes:
    """A network that loops 10^15 times."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("Add", ["x", "x"], ["y"]),
        ],
        "body",
        [value("i", [], TensorProto.INT64), value("go", [], TensorProto.BOOL), value("x", [])],
        [value("on", [], TensorProto.BOOL), value("y", [])],
    )
    more = [
        helper.make_node("Loop", ["times", "", "zero"], ["end"], body=body),
        helper.make_node("Add", ["vector", "end"], ["last"]),
    ]
    model = onnx.load_model_from_string(tower(more=more, outputs={"last": ("N", WIDTH)}))
    model.graph.initializer.append(constant("times", np.int64(10**15)))
    model.graph.initializer.append(constant("zero", np.float32(0)))
    return bytes(model.SerializeToString())
