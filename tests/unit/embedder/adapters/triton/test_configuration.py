"""Configurations of fitted spaces, derived from those of the built-in features models."""

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from embedder.adapters.triton import configuration
from tests.engines import ROOT

MODEL = ROOT / "deploy/triton/models/efficientnet_lite0_features"
FEATURES = (MODEL / "config.pbtxt").read_text()
PATHS = list(configuration.paths(MODEL))


def space(text: str, categories: int = 4) -> Any:
    made = configuration.of_space(text, "fitted", "a" * 64, (24, categories), {"catalog": "wine"})
    return text_format.Parse(made, model_config_pb2.ModelConfig())


def outputs(config: Any) -> list[tuple[str, list[int]]]:
    return [(output.name, list(output.dims)) for output in config.output]


def test_a_space_takes_the_camera_too_and_gives_its_vectors_and_categories() -> None:
    made = space(FEATURES)
    assert [each.name for each in made.input] == ["image", "kind"]
    assert outputs(made)[:2] == [("embedding", [24]), ("category", [4])]
    assert outputs(space(FEATURES, categories=0))[:1] == [("embedding", [24])]
    reported = {key: value.string_value for key, value in made.parameters.items()}
    expected = {"space": "visual", "catalog": "wine", "version_1_sha256": "a" * 64}
    assert {key: reported[key] for key in expected} == expected
    assert "blocks" not in reported


@pytest.mark.parametrize("path", PATHS)
def test_what_the_backend_adds_is_kept_where_it_is(path: str) -> None:
    text = Path(MODEL / path).read_text()
    texts = configuration.of_text_map(text, "text", "b" * 64, (384, 24), {})
    mapped = text_format.Parse(texts, model_config_pb2.ModelConfig())
    added = [("checksum", [1])] if mapped.backend == "python" else []
    assert outputs(mapped) == [("embedding", [24]), *added]
    assert outputs(space(text)) == [("embedding", [24]), ("category", [4]), *added]


@pytest.mark.parametrize("name", ["efficientnet_lite0", "minilm_l6_v2"])
def test_what_is_no_features_model_is_refused(name: str) -> None:
    text = (MODEL.parent / name / "config.pbtxt").read_text()
    with pytest.raises(ValueError, match=f"{name} is not a features model"):
        space(text)
    with pytest.raises(ValueError, match="not a Triton configuration"):
        space("name {")
