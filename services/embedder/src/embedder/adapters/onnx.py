"""Fitted spaces as ONNX graphs: a backbone's features model followed by the map, from pixels to
vector, and a separate graph of the text map. Needs the extra `fit` (onnx).

Inputs of the space's graph: `image` as in the features model, `kind` float32 [N, 1] (0: shopper's
photo, 1: catalog's). Outputs: `embedding` float32 [N, d] of unit length and, with a head,
`category` float32 [N, C + 1]: probabilities, the unknown category last.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from embedder.domain.fitted import CATALOGUE, SHOPPER, FittedSpace, Floats, TextMap

FEATURES: Final = "features"
KIND: Final = "kind"
SENTENCE: Final = "sentence"
EMBEDDING: Final = "embedding"
CATEGORY: Final = "category"

SMALLEST: Final = 1e-12
"""Minimum divisor of a vector's length, so that zero vectors stay zero."""
# Equal to the backbones' graphs, so that the same runtimes execute both.
OPSET: Final = 17
IR_VERSION: Final = 8
PREFIX: Final = "fitted."
"""Prefix of added names; no backbone uses it."""


def space_graph(features: Path, fitted: FittedSpace, catalog_id: str = "") -> bytes:
    """Return the graph from pixels to vector and categories.

    `features`: ONNX file of the features model that the map was fitted on; `catalog_id`: catalog of
    the photos, stored in the graph so that spaces of two catalogs never have the same version.
    Raises ValueError if the file lacks the output or has another number of features.
    """
    model = onnx.load(features)
    model.metadata_props.add(key="catalog", value=catalog_id)
    graph = model.graph
    output = next((each for each in graph.output if each.name == FEATURES), None)
    if output is None:
        raise ValueError(f"{features} has no output {FEATURES}")
    width = output.type.tensor_type.shape.dim[-1].dim_value
    if width != fitted.projection.shape[0]:
        raise ValueError(
            f"{features} gives {width} features, the map takes {len(fitted.projection)}"
        )
    batch = output.type.tensor_type.shape.dim[0].dim_param or "N"
    graph.ClearField("output")
    graph.input.append(_tensor(KIND, batch, 1))
    nodes = _Nodes(graph)
    standard = nodes.add(
        "Mul",
        nodes.add("Sub", FEATURES, nodes.by_kind("mean", fitted.means)),
        nodes.by_kind("inverse_scale", np.reciprocal(fitted.scales)),
    )
    projected = nodes.add("MatMul", standard, nodes.constant("projection", fitted.projection))
    nodes.unit(projected)
    graph.output.append(_tensor(EMBEDDING, batch, fitted.projection.shape[1]))
    if fitted.head is not None:
        head = fitted.head
        # The unknown category's logit is a bias: its column of weights is zero.
        weights = np.pad(head.weights, ((0, 0), (0, 1)))
        biases = np.append(head.biases, np.float32(head.unknown))
        nodes.linear("Softmax", EMBEDDING, weights, biases, CATEGORY)
        graph.output.append(_tensor(CATEGORY, batch, len(biases)))
    return _bytes(model)


def text_graph(text_map: TextMap) -> bytes:
    """Return the graph from the text model's vector to the space's."""
    taken, given = text_map.weights.shape
    graph = helper.make_graph(
        [], "text_map", [_tensor(SENTENCE, "N", taken)], [_tensor(EMBEDDING, "N", given)]
    )
    nodes = _Nodes(graph)
    weights = nodes.constant("weights", text_map.weights)
    mapped = nodes.add(
        "Add", nodes.add("MatMul", SENTENCE, weights), nodes.constant("biases", text_map.biases)
    )
    nodes.unit(mapped)
    opset = [helper.make_opsetid("", OPSET)]
    return _bytes(helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION))


class _Nodes:
    """Adds nodes to a graph under unused names."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._count = 0

    def add(self, operator: str, *inputs: str, to: str = "", **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        self._count += 1
        name = to or f"{PREFIX}{self._count}"
        node = helper.make_node(operator, inputs, [name], name=f"{PREFIX}{operator}.{self._count}")
        node.attribute.extend(helper.make_attribute(*each) for each in attributes.items())
        self._graph.node.append(node)
        return name

    def constant(self, name: str, values: Any) -> str:
        """Add float32 values; return their name."""
        array = np.ascontiguousarray(values, np.float32)
        self._graph.initializer.append(numpy_helper.from_array(array, PREFIX + name))
        return PREFIX + name

    def by_kind(self, name: str, rows: Floats) -> str:
        """Select a row by each photo's kind: the shopper's row + kind × difference."""
        base = self.constant(name, rows[SHOPPER])
        step = self.constant(f"{name}_step", rows[CATALOGUE] - rows[SHOPPER])
        return self.add("Add", base, self.add("Mul", KIND, step))

    def unit(self, vectors: str) -> None:
        """Scale vectors to unit length, as the output EMBEDDING."""
        length = self.add("ReduceL2", vectors, axes=[1], keepdims=1)
        length = self.add("Max", length, self.constant("smallest", [SMALLEST]))
        self.add("Div", vectors, length, to=EMBEDDING)

    def linear(self, then: str, vectors: str, weights: Floats, biases: Floats, to: str) -> None:
        """Add weights, biases and a function of each row, as the output `to`."""
        product = self.add("MatMul", vectors, self.constant(f"{to}_weights", weights))
        total = self.add("Add", product, self.constant(f"{to}_biases", biases))
        self.add(then, total, to=to, axis=1)


def _tensor(name: str, batch: str, width: int) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, width])


def _bytes(model: Any) -> bytes:
    onnx.checker.check_model(model, full_check=True)
    found: bytes = model.SerializeToString(deterministic=True)
    return found
