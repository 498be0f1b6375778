"""Measure the ranges of a network's activations: ``python -m triton_engine.calibrate``.

Needs Pillow, so it runs in the workspace's environment. From the repository's root:
  PYTHONPATH=deploy/triton .venv/bin/python -m triton_engine.calibrate \
    deploy/triton/models/efficientnet_lite0/1/model.onnx examples/wines/images \
    > deploy/triton/triton_engine/backbones/efficientnet_lite0_int8.json
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from PIL import Image

from triton_engine import quantize

CROP: Final = 0.875
DIGITS: Final = 4
"""Number of significant digits: processors differ in the last bits."""


def ranges(graph: bytes, photos: Sequence[Path]) -> dict[str, tuple[float, float]]:
    """Return, for each tensor, the means over the photos of its minimum and of its maximum. With
    the extremes, one unusual photo would make every step coarser.
    """
    model = onnx.load_model_from_string(graph)
    names = quantize.tensors(model)
    size = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    for name in names:
        model.graph.output.append(onnx.ValueInfoProto(name=name))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    extremes = np.array(
        [
            [(values.min(), values.max()) for values in session.run(names, {"image": photo})]
            for photo in _photos(photos, size)
        ]
    )
    means = extremes.mean(axis=0)
    return {
        name: (_rounded(low), _rounded(high))
        for name, (low, high) in zip(names, means, strict=True)
    }


def _photos(paths: Sequence[Path], size: int) -> Iterator[npt.NDArray[Any]]:
    """Yield the centre of each photo, uint8 [1, size, size, 3]."""
    for path in paths:
        photo = Image.open(path).convert("RGB")
        side = min(photo.size) * CROP
        left, top = (photo.width - side) / 2, (photo.height - side) / 2
        box = (left, top, left + side, top + side)
        yield np.asarray(photo.resize((size, size), Image.Resampling.BILINEAR, box=box))[None]


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the ranges as JSON."""
    parser = argparse.ArgumentParser(prog="python -m triton_engine.calibrate", description=__doc__)
    parser.add_argument("graph", type=Path, help="the ONNX file in floating point")
    parser.add_argument("photos", type=Path, help="a folder of JPEG files")
    given = parser.parse_args(arguments)
    found = ranges(given.graph.read_bytes(), sorted(given.photos.glob("*.jpg")))
    lines = (f"  {json.dumps(name)}: {json.dumps(stated)}" for name, stated in found.items())
    print("{\n" + ",\n".join(lines) + "\n}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
