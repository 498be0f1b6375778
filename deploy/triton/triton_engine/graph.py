"""Construction of ONNX graphs: the common parts of this engine's networks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from triton_engine.manifest import BuildError

# Opset 17 and IR 8 are read by every onnxruntime since 1.12, so by any Triton since 22.08.
OPSET: Final = 17
IR_VERSION: Final = 8

Array = npt.NDArray[Any]
Dimensions = Sequence[str | int]


@dataclass(slots=True)
class Graph:
    """A graph under construction: its nodes and constants."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node with one output, and return their common name."""
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: Array | np.generic) -> str:
        """Add a constant, and return its name."""
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def unit(self, x: str, name: str) -> str:
        """Scale each row of [N, d] to unit length (a zero row stays zero)."""
        length = self.add("ReduceL2", [x], "length", axes=[1], keepdims=1)
        floor = self.constant("length_floor", np.float32(1e-12))
        return self.add("Div", [x, self.add("Max", [length, floor], "divisor")], name)

    def model(
        self,
        name: str,
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Mapping[str, Sequence[int]],
    ) -> onnx.ModelProto:
        """Return the whole model: from `inputs` to float32 `outputs` [N, …], by name the rest of
        each one's shape.

        Raises BuildError when the shapes do not fit from the inputs to the output.
        """
        stated = [
            helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, ["N", *shape])
            for output, shape in outputs.items()
        ]
        model = helper.make_model(
            helper.make_graph(self.nodes, name, inputs, stated, self.constants),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="sightline",
        )
        try:
            onnx.checker.check_model(model, full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            raise BuildError(f"{name}: the weights do not fit the manifest: {error}") from error
        return model


def tensor(name: str, kind: int, dimensions: Dimensions) -> onnx.ValueInfoProto:
    """Return the description of an input; `kind` is one of onnx.TensorProto's."""
    return helper.make_tensor_value_info(name, kind, list(dimensions))
