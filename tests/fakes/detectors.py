"""A tiny third-party detector, as an ONNX file with its manifest."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MANIFEST = """
title = "Tiny detector"
space = "objects"
[weights]
path = "tower.onnx"
sha256 = "{weights}"
licence = "MIT"
trained_on = "nothing"
[network]
family = "onnx-objects"
input = "pixels"
layout = "NCHW"
boxes = "boxes"
scores = "scores"
form = "FORM"
unit = "UNIT"
least_score = 0.5
[input]
size = 64
crop = 1.0
mean = 0
scale = 255
preprocessing = "crop=pad"
[graph]
sha256 = "{graph}"
"""
PLACES = np.array([[8, 16, 24, 48], [0, 0, 64, 64], [32, 8, 48, 40]], np.float32)
"""Left, top, right and bottom in pixels."""
CHANCES = np.array([0.6, 0.4, 0.9], np.float32)


def detector(form: str, unit: str, *, apart: bool, classes: int) -> bytes:
    """Return a model that finds the same three places in every photo."""
    boxes = PLACES.copy()
    if form == "centre":
        sides = boxes[:, 2:] - boxes[:, :2]
        boxes = np.concatenate([boxes[:, :2] + sides / 2, sides], axis=1)
    boxes = boxes / (64 if unit == "share" else 1)
    shares = np.linspace(1, 0.5, max(classes, 1))
    scores = CHANCES[:, None] * shares if classes else CHANCES
    if not apart:
        boxes = np.concatenate([boxes, CHANCES[:, None], CHANCES[:, None] * shares], axis=1)
    nodes = [
        helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Mul", ["mean", "zero"], ["none"]),
    ]
    constants = [numpy_helper.from_array(np.zeros(1, np.float32), "zero")]
    outputs = []
    for name, each in ({"boxes": boxes, "scores": scores} if apart else {"boxes": boxes}).items():
        shape = np.array([-1] + [1] * each.ndim)
        known = each[None].astype(np.float32)
        nodes += [
            helper.make_node("Reshape", ["none", f"{name}_shape"], [f"{name}_none"]),
            helper.make_node("Add", [f"{name}_none", f"{name}_known"], [name]),
        ]
        constants += [
            numpy_helper.from_array(shape, f"{name}_shape"),
            numpy_helper.from_array(known, f"{name}_known"),
        ]
        outputs.append(_value(name, "n", *each.shape))
    graph = helper.make_graph(
        nodes, "detector", [_value("pixels", "n", 3, 64, 64)], outputs, constants
    )
    opsets = [helper.make_opsetid("", 17)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return bytes(made.SerializeToString())


def _value(name: str, *shape: Any) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def manifest(form: str = "corners", unit: str = "pixels", *, apart: bool = True) -> str:
    text = MANIFEST.replace("FORM", form).replace("UNIT", unit)
    return text if apart else text.replace('scores = "scores"\n', "")
