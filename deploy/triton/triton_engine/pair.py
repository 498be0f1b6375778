"""Two text models as one graph, whose vector is both vectors, one after the other.

Its inner product of two texts is the mean of both models' cosines.
"""

from typing import Final

import numpy as np
import onnx
from onnx import compose

from triton_engine.graph import Graph
from triton_engine.manifest import BuildError
from triton_engine.text_models import SECOND, PairModel

OUTPUT: Final = "embedding"


def build(first: onnx.ModelProto, second: onnx.ModelProto, model: PairModel) -> onnx.ModelProto:
    """Return the graph: the inputs of both, the second's with the prefix `second_`, to float32
    `embedding` [N, sum of dimensions] of unit length.

    Raises BuildError if the dimensions are not the manifest's.
    """
    halves = [compose.add_prefix(each, name) for each, name in ((first, "a."), (second, "b."))]
    found = [half.graph.output[0].type.tensor_type.shape.dim[1].dim_value for half in halves]
    if found != list(model.network.dimensions):
        raise BuildError(f"{model.name}: the models have {found} components")
    graph = Graph()
    for half, prefix in zip(halves, ("", SECOND), strict=True):
        _rename_inputs(half.graph, prefix)
        graph.nodes.extend(half.graph.node)
        graph.constants.extend(half.graph.initializer)
    joined = graph.add("Concat", ["a." + OUTPUT, "b." + OUTPUT], "both", axis=1)
    scale = graph.constant("both.scale", np.float32(np.sqrt(0.5)))
    graph.add("Mul", [joined, scale], OUTPUT)
    inputs = [tensor for half in halves for tensor in half.graph.input]
    return graph.model(model.name, inputs, {OUTPUT: (model.network.dimension,)})


def _rename_inputs(graph: onnx.GraphProto, prefix: str) -> None:
    names = {tensor.name: prefix + tensor.name.partition(".")[2] for tensor in graph.input}
    for tensor in graph.input:
        tensor.name = names[tensor.name]
        tensor.type.tensor_type.shape.dim[1].dim_param = f"{prefix}T"
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
