"""Triton's model repository, as the manifests and the templates say it."""

from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Final

from triton_engine.backbone import Backbone

TEMPLATES: Final = Path(__file__).resolve().parent / "templates"
VERSION: Final = "1"
"""Triton's number of a backbone's graph: another graph is another backbone, with its own name."""

CONFIGURATIONS: Final[Mapping[str, tuple[str, str]]] = {
    "config.pbtxt": ("config.pbtxt", "fp32"),
    "configs/cpu.pbtxt": ("cpu.pbtxt", "fp32-stock-cpu"),
    "configs/gpu.pbtxt": ("gpu.pbtxt", "fp32-tensorrt"),
}
"""Each configuration's template, and its precision: engines whose vectors nobody has compared."""


def texts(backbone: Backbone) -> dict[str, str]:
    """Return the files of one model by their path in its folder, all but the graph."""
    files = {
        path: _filled(template, _values(backbone) | {"precision": precision})
        for path, (template, precision) in CONFIGURATIONS.items()
    }
    return files | {f"{VERSION}/model.py": (TEMPLATES / "model.py").read_text()}


def _values(backbone: Backbone) -> dict[str, str]:
    return {
        "written": f"# Written by triton_engine.build from backbones/{backbone.name}.toml.",
        "name": backbone.name,
        "title": backbone.title,
        "space": backbone.space,
        "sha256": backbone.graph_sha256,
        "size": str(backbone.size),
        "crop": f"{backbone.crop:g}",
        "normalisation": backbone.normalisation,
        "dimension": str(backbone.dimension),
        "licence": backbone.weights.licence,
        "source": backbone.source,
    }


def _filled(template: str, values: Mapping[str, str]) -> str:
    parts = {
        name: _part(f"{name}.pbtxt").substitute(values).rstrip()
        for name in ("tensors", "parameters")
    }
    return _part(template).substitute({**values, **parts})


def _part(name: str) -> Template:
    return Template((TEMPLATES / name).read_text())
