"""Triton's model repository, generated from the manifests and the templates."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Final

from triton_engine.backbone import Backbone
from triton_engine.photo_models import LiteModel, ReaderModel, TextMapModel
from triton_engine.text_models import SECOND, PairModel, TextModel

TEMPLATES: Final = Path(__file__).resolve().parent / "templates"
VERSION: Final = "1"
"""Triton's version number of a backbone's graph; a changed graph is another backbone with another
name.
"""
TOKENIZER: Final = "tokenizer.json"
"""Name of the tokenizer's file, which is beside a text model's configuration."""

WORDS: Final = ("input_ids", "attention_mask")
"""Names of a text model's inputs."""

CONFIGURATIONS: Final[Mapping[str, tuple[str, str]]] = {
    "config.pbtxt": ("config.pbtxt", ""),
    "configs/cpu.pbtxt": ("cpu.pbtxt", "-stock-cpu"),
    "configs/gpu.pbtxt": ("gpu.pbtxt", "-stock-gpu"),
}
"""Each configuration's template, and the suffix of its precision for engines whose vectors were not
compared.
"""
_WIDTH: Final = 100


def texts(backbone: Backbone) -> dict[str, str]:
    """Return the files of one model by their path in its folder, all but those of the weights."""
    written = {
        "written": f"# Written by triton_engine.build from backbones/{backbone.name}.toml.",
        "name": backbone.name,
        "tensors": _tensors(backbone),
        **_run(backbone),
    }
    files = {}
    for path, (template, engine) in CONFIGURATIONS.items():
        parameters = {"parameters": _parameters(_stated(backbone, engine))}
        files[path] = _part(template).substitute(written | parameters)
    return files | {f"{VERSION}/model.py": (TEMPLATES / "model.py").read_text()}


def _run(backbone: Backbone) -> dict[str, str]:
    """Return the settings of a model on CPUs and on a GPU."""
    if isinstance(backbone, TextModel | PairModel):
        return _settings("Text to vector", 16, _without_tensorrt("lengths"))
    if isinstance(backbone, ReaderModel):
        return _settings("Line of text to characters", 8, _without_tensorrt("widths"))
    if isinstance(backbone, TextMapModel):
        return _settings("Photo to texts", 4, _without_tensorrt("sides"))
    integers = "# CPU only: TensorRT would need ranges around zero. Use the fp32 model on a GPU."
    tensorrt = _part("tensorrt.pbtxt").template.rstrip()
    return _settings("Photo to vector", 4, integers if backbone.precision == "int8" else tensorrt)


def _settings(what: str, batch: int, accelerator: str) -> dict[str, str]:
    return {"what": what, "batch": str(batch), "instances": "2", "accelerator": accelerator}


def _without_tensorrt(what: str) -> str:
    return f"# No TensorRT: it would build an engine for each range of {what}."


def _tensors(backbone: Backbone) -> str:
    if isinstance(backbone, TextModel | PairModel):
        names = [f"{prefix}{name}" for prefix in _prefixes(backbone) for name in WORDS]
        values = {
            "dimension": str(backbone.network.dimension),
            "inputs": ",\n".join(
                f'  {{ name: "{n}" data_type: TYPE_INT64 dims: [ -1 ] }}' for n in names
            ),
        }
        return _part("words.pbtxt").substitute(values).rstrip()
    if isinstance(backbone, ReaderModel):
        values = {"height": str(backbone.input.height), "given": backbone.given}
        return _part("lines.pbtxt").substitute(values).rstrip()
    if isinstance(backbone, TextMapModel):
        return _part("texts.pbtxt").substitute(given=backbone.given).rstrip()
    values = {
        "size": str(backbone.input.size),
        "output": backbone.output,
        "given": backbone.given,
        "dimension": str(backbone.dimension),
        "maps": "".join(_map(*each) for each in _maps(backbone).items()),
    }
    return _part("pixels.pbtxt").substitute(values).rstrip()


def _prefixes(backbone: TextModel | PairModel) -> Sequence[str]:
    return ("", SECOND) if isinstance(backbone, PairModel) else ("",)


def _maps(backbone: Backbone) -> Mapping[str, tuple[int, int, int]]:
    return backbone.maps if isinstance(backbone, LiteModel) else {}


def _map(name: str, shape: tuple[int, int, int]) -> str:
    dims = ", ".join(map(str, shape))
    return f'\noutput [ {{ name: "{name}" data_type: TYPE_FP32 dims: [ {dims} ] }} ]'


def _stated(backbone: Backbone, engine: str) -> dict[str, str]:
    """Return the parameters of a configuration."""
    return {
        "space": backbone.space,
        "version_1_sha256": backbone.graph.sha256,
        "precision": backbone.precision + engine,
        **backbone.parameters,
        "architecture": f"{backbone.title}, {backbone.given}",
        "licence": backbone.licence,
        "source": backbone.source,
    }


def _parameters(stated: Mapping[str, str]) -> str:
    lines = []
    for key, value in stated.items():
        name, text = f'key: "{key}"', f'value: {{ string_value: "{value}" }}'
        line = f"  {{ {name} {text} }},"
        lines.append(line if len(line) <= _WIDTH else f"  {{ {name}\n    {text} }},")
    body = "\n".join(lines).rstrip(",")
    return _part("parameters.pbtxt").substitute(parameters=body).rstrip()


def _part(name: str) -> Template:
    return Template((TEMPLATES / name).read_text())
