"""The Python backend's model, with a stand-in for the module that Triton gives it."""

import hashlib
import importlib.util
import json
import os
import sys
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf import json_format, text_format
from onnx import helper
from tritonclient.grpc import model_config_pb2

from tests.unit.triton.conftest import LITE0, TEXT, model_of
from tests.waiting import SECONDS

pytestmark = pytest.mark.slow
"""The model is in the engine's environment."""


@dataclass
class Tensor:
    name: str
    values: np.ndarray[Any, Any]

    def as_numpy(self) -> np.ndarray[Any, Any]:
        return self.values


FINAL = 1


class TritonError(Exception):
    INTERNAL, INVALID_ARG = 1, 3


@dataclass
class Response:
    tensors: list[Tensor]
    error: TritonError | None = None


class Sender(Queue[Response]):
    """Keeps the answers of a request."""

    def send(self, response: Response, flags: int) -> None:
        assert flags == FINAL
        self.put(response)


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, engine: Path) -> ModuleType:
    backend = ModuleType("triton_python_backend_utils")
    backend.get_input_tensor_by_name = lambda request, name: request.get(name)  # type: ignore[attr-defined]
    backend.Tensor = Tensor  # type: ignore[attr-defined]
    backend.InferenceResponse = Response  # type: ignore[attr-defined]
    backend.TritonError = TritonError  # type: ignore[attr-defined]
    backend.TritonModelException = TritonError  # type: ignore[attr-defined]
    backend.TRITONSERVER_RESPONSE_COMPLETE_FINAL = FINAL  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, backend.__name__, backend)
    path = engine / "triton_engine/templates/model.py"
    spec = importlib.util.spec_from_file_location("efficientnet_model", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def model_file() -> Path:
    return model_of(LITE0)


@pytest.fixture
def arguments(model_file: Path) -> dict[str, str]:
    return arguments_of(model_file)


def arguments_of(model_file: Path) -> dict[str, str]:
    """Return what Triton gives a model at its start."""
    text = (model_file.parents[1] / "config.pbtxt").read_text()
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    as_triton_gives_it = json_format.MessageToDict(config, preserving_proto_field_name=True)
    return {
        "model_config": json.dumps(as_triton_gives_it),
        "model_repository": str(model_file.parents[1]),
        "model_version": "1",
    }


@pytest.fixture
def model(module: ModuleType, arguments: dict[str, str]) -> Iterator[Any]:
    model = module.TritonPythonModel()
    model.initialize(arguments)
    yield model
    model.finalize()


class Request(dict[str, Tensor]):
    """Request as Triton passes it: its inputs by name."""

    id = ""
    bulk = False

    def __init__(self, **inputs: Tensor) -> None:
        super().__init__(inputs)
        self.sender = Sender()

    def request_id(self) -> str:
        return self.id

    def parameters(self) -> str:
        return json.dumps({"bulk": True} if self.bulk else {})

    def get_response_sender(self) -> Sender:
        return self.sender


def execute(model: Any, requests: Sequence[Request]) -> list[Response]:
    """Return the answers to requests, each the only one to its request."""
    model.execute(requests)
    answers = [each.sender.get(timeout=SECONDS) for each in requests]
    assert all(each.sender.empty() for each in requests)
    return answers


def request(*shape: int, dtype: Any = np.uint8, seed: int = 0, number: str = "") -> Request:
    values = np.random.default_rng(seed).integers(0, 256, shape).astype(dtype)
    made = Request(image=Tensor("image", values))
    made.id = number
    return made


def anonymous_bytes() -> int:
    """Return the memory of this process that no file backs."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    (line,) = (each for each in lines if each.startswith("Anonymous:"))
    return int(line.split()[1]) * 1024


def test_a_loaded_model_takes_little_more_memory_than_its_graph(module: ModuleType) -> None:
    graph = model_of(TEXT)
    before = anonymous_bytes()
    model = module.TritonPythonModel()
    model.initialize(arguments_of(graph))
    assert anonymous_bytes() - before < 1.5 * graph.stat().st_size
    model.finalize()


def test_an_idle_model_returns_the_memory_of_its_largest_requests_and_answers_on(
    module: ModuleType, arguments: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.3)
    model = module.TritonPythonModel()
    model.initialize(arguments)
    loaded = anonymous_bytes()
    requests = [request(4, 224, 224, 3, seed=seed) for seed in range(4)]
    answers = execute(model, requests)
    grown = anonymous_bytes()
    end = time.monotonic() + SECONDS
    while anonymous_bytes() - loaded > (grown - loaded) / 2:
        assert time.monotonic() < end, "the memory was not returned"
        time.sleep(0.05)
    again = execute(model, requests)
    for first, second in zip(answers, again, strict=True):
        assert np.array_equal(first.tensors[0].values, second.tensors[0].values)
    model.finalize()


@pytest.mark.full
def test_requests_that_come_together_each_get_their_own_answer(model: Any) -> None:
    requests = [request(n, 224, 224, 3, seed=i) for i, n in enumerate((1, 2, 2, 4, 1))]
    for one, answer in zip(requests, execute(model, requests), strict=True):
        (alone,) = execute(model, [one])
        assert np.array_equal(answer.tensors[0].values, alone.tensors[0].values)
        assert len(answer.tensors[0].values) == len(one["image"].values)


class Blocking:
    """A session that records the priorities of its threads; it blocks those of low priority."""

    def __init__(self, session: Any) -> None:
        self.session, self.go_on = session, threading.Event()
        self.nice: list[int] = []

    def run(self, outputs: Any, inputs: Any) -> Any:
        nice = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        self.nice.append(nice)
        if nice > 0:
            self.go_on.wait(SECONDS)
        return self.session.run(outputs, inputs)


def test_a_shopper_s_request_is_answered_while_those_of_an_import_wait_and_compute(
    model: Any,
) -> None:
    model.session = session = Blocking(model.session)
    bulk = [request(1, 224, 224, 3, seed=seed) for seed in range(4)]
    for each in bulk:
        each.bulk = True
    model.execute(bulk)
    (answer,) = execute(model, [request(1, 224, 224, 3)])
    assert answer.error is None
    assert all(each.sender.empty() for each in bulk)
    session.go_on.set()
    assert all(each.sender.get(timeout=SECONDS).error is None for each in bulk)
    assert sorted(session.nice) == [0, 10, 10, 10, 10]


def test_a_request_that_the_graph_fails_on_gets_the_error(model: Any) -> None:
    class Failing:
        def run(self, outputs: Any, inputs: Any) -> Any:
            raise RuntimeError("no memory")

    session, model.session = model.session, Failing()
    (answer,) = execute(model, [request(1, 224, 224, 3)])
    assert answer.error is not None
    assert answer.error.args == ("no memory", TritonError.INTERNAL)
    model.session = session
    (answer,) = execute(model, [request(1, 224, 224, 3)])
    assert answer.error is None


@pytest.mark.parametrize("ids", [("7", "8"), ("", "of mine, é")])
def test_each_answer_has_in_every_row_the_checksum_of_its_request_and_its_outputs(
    model: Any, ids: tuple[str, str]
) -> None:
    requests = [request(n, 224, 224, 3, number=said) for n, said in zip((1, 3), ids, strict=True)]
    for asked, answer in zip(requests, execute(model, requests), strict=True):
        vectors, checksum = answer.tensors
        assert (checksum.name, checksum.values.dtype) == ("checksum", np.uint32)
        given = asked["image"].values.tobytes()
        expected = zlib.crc32(asked.id.encode() + given + vectors.values.tobytes())
        assert checksum.values.tolist() == [[expected]] * len(asked["image"].values)


def test_what_is_checked_is_what_the_graph_gets_whatever_becomes_of_the_request(
    several: Any,
) -> None:
    several.outputs, several.checks = ["kind_again"], True
    asked = words(2, 5)
    expected = [asked[name].values.tobytes() for name in ("ids", "kind", "kind")]

    class Overwriting:
        """A session that meanwhile finds the request's memory taken by another one."""

        def run(self, outputs: Any, inputs: Any) -> Any:
            asked["ids"].values[:] = asked["kind"].values[:] = 9
            return session.run(outputs, inputs)

    session, several.session = several.session, Overwriting()
    again, checksum = execute(several, [asked])[0].tensors
    assert again.values.tobytes() == expected[2]
    assert checksum.values.tolist() == [[zlib.crc32(b"".join(expected))]] * 2


def test_a_request_of_another_shape_is_refused_and_its_neighbours_are_answered(model: Any) -> None:
    answers = execute(
        model,
        [
            request(1, 224, 224, 3),
            request(1, 100, 224, 3),
            request(1, 3, 224, 224),
            request(0, 224, 224, 3),
            request(1, 224, 224, 3, dtype=np.float32),
            request(1, 224, 224, 3),
        ],
    )
    assert [answer.error is None for answer in answers] == [True, False, False, False, False, True]
    assert answers[1].error is not None
    assert answers[1].error.args[1] == TritonError.INVALID_ARG


def test_a_model_file_that_the_configuration_does_not_name_is_not_loaded(
    module: ModuleType, arguments: dict[str, str], tmp_path: Path, model_file: Path
) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "model.onnx").write_bytes(model_file.read_bytes() + b"\0")
    with pytest.raises(TritonError, match=r"has sha256 .*, config\.pbtxt says d1e6f70f"):
        module.TritonPythonModel().initialize({**arguments, "model_repository": str(tmp_path)})


def test_a_version_without_a_hash_is_not_loaded(
    module: ModuleType, arguments: dict[str, str]
) -> None:
    with pytest.raises(TritonError, match="no parameter version_2_sha256"):
        module.TritonPythonModel().initialize({**arguments, "model_version": "2"})


@pytest.fixture
def several(module: ModuleType, tmp_path: Path) -> Iterator[Any]:
    """Return a model of two inputs, one of any length, and two outputs."""
    inputs = [
        helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, ["N", "T"]),
        helper.make_tensor_value_info("kind", onnx.TensorProto.FLOAT, ["N", 1]),
    ]
    outputs = [
        helper.make_tensor_value_info("sum", onnx.TensorProto.FLOAT, ["N", 1]),
        helper.make_tensor_value_info("kind_again", onnx.TensorProto.FLOAT, ["N", 1]),
    ]
    nodes = [
        helper.make_node("Cast", ["ids"], ["floats"], to=onnx.TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["sum"], axes=[1]),
        helper.make_node("Identity", ["kind"], ["kind_again"]),
    ]
    graph = helper.make_graph(nodes, "several", inputs, outputs)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "model.onnx").write_bytes(model)
    config = {
        "max_batch_size": 4,
        "input": [
            {"name": "ids", "data_type": "TYPE_INT64", "dims": ["-1"]},
            {"name": "kind", "data_type": "TYPE_FP32", "dims": ["1"]},
        ],
        "output": [{"name": "sum"}, {"name": "kind_again"}],
        "parameters": {"version_1_sha256": {"string_value": hashlib.sha256(model).hexdigest()}},
    }
    built = module.TritonPythonModel()
    built.initialize(
        {
            "model_config": json.dumps(config),
            "model_repository": str(tmp_path),
            "model_version": "1",
        }
    )
    yield built
    built.finalize()


def words(*shape: int, kinds: int | None = None) -> Request:
    """Return a request of that many ids, all of them the length, of one kind a row."""
    ids = np.full(shape, shape[-1], np.int64)
    kind = np.full((shape[0] if kinds is None else kinds, 1), shape[-1] / 10, np.float32)
    return Request(ids=Tensor("ids", ids), kind=Tensor("kind", kind))


def test_every_output_comes_back_for_any_length(several: Any) -> None:
    requests = [words(1, 5), words(2, 5), words(1, 7), words(1, 5)]
    for asked, answer in zip(requests, execute(several, requests), strict=True):
        ids, kind = asked["ids"].values, asked["kind"].values
        total, again = answer.tensors
        assert (total.name, again.name) == ("sum", "kind_again")
        assert total.values.tolist() == [[ids.shape[1]]] * len(ids)
        assert again.values.tolist() == kind.tolist()


def test_what_is_missing_or_does_not_fit_together_is_refused_by_name(several: Any) -> None:
    without = words(1, 5)
    del without["kind"]
    refused = execute(several, [without, words(2, 5, kinds=1), words(1, 0), words(1, 5, 2)])
    reported = [answer.error.args[0] for answer in refused if answer.error]
    assert reported == [
        "kind is missing",
        "the inputs differ in their numbers of rows",
        "ids: wanted int64 [N, T], got int64 [1, 0]",
        "ids: wanted int64 [N, T], got int64 [1, 5, 2]",
    ]
