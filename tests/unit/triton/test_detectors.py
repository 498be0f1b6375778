"""Third-party files that find objects, as models: tiny ones that the tests create."""

import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tests.fakes.detectors import detector, manifest
from tests.unit.triton.test_onnx_file import ZEROS, built, sha256
from triton_engine import build
from triton_engine.backbone import read
from triton_engine.manifest import BuildError, ManifestError
from triton_engine.photo_models import MOST_BOXES, OnnxObjectModel


@pytest.mark.parametrize("form", ["corners", "centre"])
@pytest.mark.parametrize("unit", ["pixels", "share"])
@pytest.mark.parametrize(("apart", "classes"), [(True, 0), (True, 3), (False, 2)])
def test_a_detector_returns_its_best_boxes_as_shares(
    tmp_path: Path, form: str, unit: str, *, apart: bool, classes: int
) -> None:
    file = detector(form, unit, apart=apart, classes=classes)
    path = built(tmp_path, manifest(form, unit, apart=apart), file)
    session = onnxruntime.InferenceSession(path.read_bytes())
    (found,) = session.run(["boxes"], {"image": np.zeros((2, 64, 64, 3), np.uint8)})
    assert found.shape == (2, 5 * MOST_BOXES)
    rows = found[1].reshape(-1, 5)
    np.testing.assert_allclose(rows[0], [0.5, 0.125, 0.75, 0.625, 0.9], rtol=1e-5)
    np.testing.assert_allclose(rows[1], [0.125, 0.25, 0.375, 0.75, 0.6], rtol=1e-5)
    assert not rows[2:, 4].any()  # below the least score, or no place
    config = (path.parents[1] / "config.pbtxt").read_text()
    assert f'name: "boxes" data_type: TYPE_FP32 dims: [ {5 * MOST_BOXES} ]' in config


def test_the_manifest_of_the_page_is_valid(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs/integrate/detect.md").read_text("utf-8")
    (text,) = (
        each for each in re.findall(r"```toml\n(.*?)```", page, re.DOTALL) if "[network]" in each
    )
    path = tmp_path / "shelves.toml"
    path.write_text(text.replace('sha256 = "…"', f'sha256 = "{ZEROS}"'))
    found = read(path)
    assert isinstance(found, OnnxObjectModel)
    assert (found.network.boxes, found.network.scores) == ("output", None)


@pytest.mark.parametrize(
    ("old", "new"), [("crop = 1.0", "crop = 0.9"), ('preprocessing = "crop=pad"\n', "")]
)
def test_a_detector_sees_the_whole_photo(tmp_path: Path, old: str, new: str) -> None:
    text = manifest().format(weights=ZEROS, graph=ZEROS).replace(old, new)
    (tmp_path / "tiny.toml").write_text(text)
    with pytest.raises(ManifestError, match="objects are anywhere"):
        read(tmp_path / "tiny.toml")


def test_a_detector_without_its_output_is_refused(tmp_path: Path) -> None:
    file = detector("corners", "pixels", apart=False, classes=0)
    (tmp_path / "tower.onnx").write_bytes(file)
    text = manifest().format(weights=sha256(file), graph=ZEROS)
    (tmp_path / "tiny.toml").write_text(text)
    with pytest.raises(BuildError, match="no output scores; it has boxes"):
        build.ensure(tmp_path / "models", tmp_path)
