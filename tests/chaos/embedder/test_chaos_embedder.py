"""The chaos run detects broken promises: each of these is one."""

from __future__ import annotations

from pathlib import Path

import grpc
import numpy as np
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from sightline.embedder.v1 import embedding_service_pb2 as pb
from tests.chaos.embedder import stage
from tests.chaos.embedder.load import BROKEN, TEXTS, WHOLE, WINES, Load
from tests.chaos.embedder.stage import VISUAL, Repository

VECTOR = np.eye(1, 8, dtype=np.float32)[0]
OTHER = np.eye(1, 8, 3, dtype=np.float32)[0]


@pytest.fixture
def load() -> Load:
    made = Load(channel=None, signs={"first": 1.0, "turned": -1.0})  # type: ignore[arg-type]
    made._known[0] = VECTOR
    return made


def result(vector: np.ndarray, version: str = "first") -> pb.EmbedResult:  # type: ignore[type-arg]
    made = pb.EmbedResult()
    made.vector.space_version = version
    made.vector.data = vector.astype("<f4").tobytes()
    return made


@pytest.mark.parametrize(
    ("found", "judged"),
    [
        (result(VECTOR), WHOLE),
        (result(-VECTOR, "turned"), WHOLE),
        (result(VECTOR, "turned"), f"{BROKEN}another vector"),
        (result(OTHER), f"{BROKEN}another vector"),
        (result(VECTOR, "unknown"), f"{BROKEN}version unknown"),
        (
            pb.EmbedResult(status=status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0])),
            f"{BROKEN}an error without a reason",
        ),
    ],
)
def test_an_answer_that_is_not_what_it_says_is_noticed(
    load: Load, found: pb.EmbedResult, judged: str
) -> None:
    assert load._judged(0, found) == judged


def test_a_text_s_vector_has_to_be_nearest_to_its_own(load: Load) -> None:
    own, *others = np.eye(len(TEXTS), dtype=np.float32)
    load._known |= dict(enumerate([own, *others], len(WINES)))
    assert load._judged(len(WINES), result(own + others[0] / 2)) == WHOLE
    assert load._judged(len(WINES), result(own / 2 + others[0])) == f"{BROKEN}another vector"


def test_a_typed_error_is_taken_down_by_its_reason(load: Load) -> None:
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.ErrorInfo(reason="EMBEDDER_UNAVAILABLE"))
    status = status_pb2.Status(code=14, details=[detail])
    assert load._judged(0, pb.EmbedResult(status=status)) == "EMBEDDER_UNAVAILABLE"


def test_a_version_is_added_with_its_hash_and_taken_away_without_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = Repository(tmp_path)
    folder = tmp_path / VISUAL / "1"
    folder.mkdir(parents=True)
    (folder / "model.py").touch()
    before = (stage.MODELS / VISUAL / "config.pbtxt").read_text()
    repository.config.write_text(before)
    repository.add(9, b"graph")
    assert 'key: "version_9_sha256"' in repository.config.read_text()
    assert (tmp_path / VISUAL / "9" / "model.onnx").read_bytes() == b"graph"
    repository.take(9)
    assert repository.config.read_text() == before
    assert not (tmp_path / VISUAL / "9").exists()
