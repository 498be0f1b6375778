"""A network in 8-bit integers: the same graph with quantized convolutions.

Activations are unsigned with a zero point, a tensor at a time; weights are signed and symmetric, a
channel at a time (Krishnamoorthi 2018, https://arxiv.org/abs/1806.08342). The graph has pairs of
QuantizeLinear and DequantizeLinear, which onnxruntime converts to integer kernels. The ranges of
tensors were measured once, by ``python -m triton_engine.calibrate``, and are stored beside the
manifest: the same ranges give the same bytes.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import onnx

from triton_engine.manifest import BuildError

Ranges = Mapping[str, tuple[float, float]]
"""Minimum and maximum of each tensor, by name."""

QUANTISED: Final = ("Conv", "Add", "Clip")
"""Clip is only removed: the range of the preceding convolution has the same effect."""


def tensors(model: onnx.ModelProto) -> list[str]:
    """Return the names of the tensors whose ranges are needed."""
    constants = {constant.name for constant in model.graph.initializer}
    nodes = (node for node in model.graph.node if node.op_type in QUANTISED)
    return sorted({name for node in nodes for name in (*node.input, *node.output)} - constants)


def quantise(model: onnx.ModelProto, ranges: Ranges) -> onnx.ModelProto:
    """Return the graph in integers. Raises BuildError for a tensor without a range."""
    # Imported here, as it takes a second.
    from onnxruntime.quantization import QDQQuantizer, QuantType
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData

    names = tensors(model)
    if missing := [name for name in names if name not in ranges]:
        raise BuildError(f"no range of {missing[0]}: run `python -m triton_engine.calibrate`")
    stated = {
        name: TensorData(lowest=np.float32(ranges[name][0]), highest=np.float32(ranges[name][1]))
        for name in names
    }
    quantizer = QDQQuantizer(
        model,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, stated),
        nodes_to_quantize=[],
        nodes_to_exclude=[],
        op_types_to_quantize=list(QUANTISED),
        extra_options={"ActivationSymmetric": False, "WeightSymmetric": True},
    )
    quantizer.quantize_model()
    found: onnx.ModelProto = quantizer.model.model
    return found
