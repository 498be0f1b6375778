"""A features model as the build of deploy/triton makes them, small: `image` in, `features` out."""

import hashlib
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

SIDE = 16
CELLS = 4
FEATURES = 3 * CELLS * CELLS
"""The mean colour of each cell of a grid."""


def graph() -> bytes:
    """Return the ONNX file: uint8 [N, 16, 16, 3] to float32 [N, 48]."""
    step = SIDE // CELLS
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "AveragePool", ["planes"], ["pooled"], kernel_shape=[step, step], strides=[step, step]
        ),
        helper.make_node("Reshape", ["pooled", "shape"], ["flat"]),
        helper.make_node("Div", ["flat", "most"], ["features"]),
    ]
    made = helper.make_graph(
        nodes,
        "features",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", FEATURES])],
        [
            numpy_helper.from_array(np.array([-1, FEATURES]), "shape"),
            numpy_helper.from_array(np.array([255], np.float32), "most"),
        ],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    found: bytes = model.SerializeToString(deterministic=True)
    return found


def write(path: Path) -> Path:
    """Put the file there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(graph())
    return path


CONFIG = """
name: "tiny_features"
backend: "python"
max_batch_size: 4
input [ { name: "image" data_type: TYPE_UINT8 dims: [ 16, 16, 3 ] } ]
output [ { name: "features" data_type: TYPE_FP32 dims: [ 48 ] } ]
instance_group [ { count: 2 kind: KIND_CPU } ]
parameters: [
  { key: "space" value: { string_value: "features" } },
  { key: "version_1_sha256" value: { string_value: "%s" } },
  { key: "precision" value: { string_value: "fp32" } },
  { key: "crop" value: { string_value: "0.875" } },
  { key: "normalisation" value: { string_value: "none" } },
  { key: "licence" value: { string_value: "Apache-2.0" } },
  { key: "blocks" value: { string_value: "cells=48" } }
]
"""


def backbone(backbones: Path) -> Path:
    """Make the folder of the model `tiny_features` in a folder of backbones."""
    folder = backbones / "tiny_features"
    path = write(folder / "1/model.onnx")
    config = CONFIG % hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "config.pbtxt").write_text(config)
    (folder / "configs").mkdir()
    gpu = config.replace('"python"', '""') + "dynamic_batching { }\n"
    (folder / "configs/gpu.pbtxt").write_text(gpu)
    template = Path(__file__).parents[2] / "deploy/triton/triton_engine/templates/model.py"
    (folder / "1/model.py").write_bytes(template.read_bytes())
    return folder
