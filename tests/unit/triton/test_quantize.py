"""The network in integers compared with the one in floating point."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from tests.unit.triton.conftest import INT8, LITE0, model_of
from tests.unit.triton.test_efficientnet import PHOTOS, embed, photo
from triton_engine import calibrate, quantize
from triton_engine.backbone import BACKBONES, read
from triton_engine.manifest import BuildError
from triton_engine.photo_models import PhotoModel

pytestmark = [pytest.mark.slow, pytest.mark.when("deploy/triton")]

needs_vnni = pytest.mark.skipif(
    "vnni" not in Path("/proc/cpuinfo").read_text(),
    reason="NOT MEASURED: without VNNI sums of two 8-bit products overflow, see deploy/triton",
)


@needs_vnni
def test_integers_find_nearly_the_same_vectors_for_photos_they_were_not_measured_on() -> None:
    whole, integers = (
        onnxruntime.InferenceSession(model_of(name).read_bytes()) for name in (LITE0, INT8[0])
    )
    # Mirrored and upside down: no photo on which the ranges were measured.
    images = [photo(path.name, 224)[::-1, ::-1] for path in sorted(PHOTOS.glob("*.jpg"))[:12]]
    alike = (embed(whole, *images) * embed(integers, *images)).sum(axis=1)
    assert alike.mean() > 0.985
    assert alike.min() > 0.97


def test_every_convolution_computes_in_integers() -> None:
    graph = onnx.load(model_of(INT8[0])).graph
    made = {output: node.op_type for node in graph.node for output in node.output}
    for node in graph.node:
        if node.op_type == "Conv":
            assert {made.get(name) for name in node.input} == {"DequantizeLinear"}
    assert not [node.name for node in graph.node if node.op_type == "Clip"]


def test_the_ranges_beside_the_manifest_are_those_that_the_photos_give(tmp_path: Path) -> None:
    """Compare the ranges of a few photos with those of all."""
    manifest = read(BACKBONES / f"{INT8[0]}.toml")
    assert isinstance(manifest, PhotoModel)
    assert manifest.quantization is not None
    few = calibrate.ranges(model_of(LITE0).read_bytes(), sorted(PHOTOS.glob("*.jpg"))[::20])
    kept = manifest.quantization.ranges
    assert few.keys() == kept.keys()
    spans = np.array([[few[n][1] - few[n][0], kept[n][1] - kept[n][0]] for n in few])
    assert 0.8 < np.median(spans[:, 0] / spans[:, 1]) < 1.25


def test_a_tensor_without_a_range_is_named() -> None:
    model = onnx.load(model_of(LITE0))
    ranges = dict.fromkeys(quantize.tensors(model), (0.0, 6.0))
    del ranges["_conv_stem"]
    with pytest.raises(BuildError, match="no range of _conv_stem: run"):
        quantize.quantise(model, ranges)
