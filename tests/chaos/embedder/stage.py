"""Triton with a model repository of its own, and the embedder, under the suite's supervisor."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import onnx
from onnx import helper

from examples.wines.local import free_port_base, own
from local_suite.model import Program
from local_suite.programs import MODELS as LOADED
from local_suite.programs import ROOT, TEXT_MODEL, sightline
from local_suite.suite import Suite
from tests.chaos.model import NotMeasured

MODELS: Final = ROOT / "deploy" / "triton" / "models"
VISUAL: Final = LOADED[0]
PARAMETERS: Final = "parameters: [\n"


@dataclass(frozen=True, slots=True)
class Repository:
    """Copies of the photo and text models, which a scenario may damage."""

    folder: Path

    def make(self) -> None:
        """Copy the models. Raises NotMeasured when they are not built."""
        for name in (VISUAL, TEXT_MODEL):
            if not (MODELS / name / "1" / "model.onnx").is_file():
                raise NotMeasured(f"{name} is not built: run `make setup`")
            shutil.copytree(MODELS / name, self.folder / name, dirs_exist_ok=True)

    @property
    def config(self) -> Path:
        """The configuration of the model of photos."""
        return self.folder / VISUAL / "config.pbtxt"

    def turned(self, version: int) -> None:
        """Add a version whose vectors are the negated ones of the first."""
        model = onnx.load(self.folder / VISUAL / "1" / "model.onnx")
        (output,) = model.graph.output
        for node in model.graph.node:
            node.output[:] = ["upright" if o == output.name else o for o in node.output]
        model.graph.node.append(helper.make_node("Neg", ["upright"], [output.name]))
        self.add(version, model.SerializeToString())

    def add(self, version: int, graph: bytes) -> None:
        """Add a version's folder, then its hash to the configuration."""
        folder = self.folder / VISUAL / str(version)
        folder.mkdir(exist_ok=True)
        shutil.copy(self.folder / VISUAL / "1" / "model.py", folder)
        (folder / "model.onnx").write_bytes(graph)
        digest = hashlib.sha256(graph).hexdigest()
        text = self.config.read_text()
        line = f'  {{ key: "version_{version}_sha256" value: {{ string_value: "{digest}" }} }},\n'
        self.write(text.replace(PARAMETERS, PARAMETERS + line))

    def take(self, version: int) -> None:
        """Take a version's folder and hash away."""
        shutil.rmtree(self.folder / VISUAL / str(version), ignore_errors=True)
        lines = self.config.read_text().splitlines(keepends=True)
        self.write("".join(line for line in lines if f"version_{version}_" not in line))

    def write(self, config: str) -> None:
        """Write the configuration whole or not at all."""
        fresh = self.config.with_suffix(".new")
        fresh.write_text(config)
        fresh.replace(self.config)


@contextlib.contextmanager
def stage() -> Iterator[tuple[Suite, Repository]]:
    """Run Triton and the embedder during the block. Raise SuiteError, OSError or NotMeasured."""
    repositories: list[Repository] = []

    def make(data: Path) -> Suite:
        repository = Repository(data / "triton-models")
        repository.make()
        repositories.append(repository)
        made = sightline(data, free_port_base())
        chosen = [
            _with_models(each, repository) for each in made if each.name in {"triton", "embedder"}
        ]
        return Suite(data, chosen, report=lambda _line: None)

    with own(make) as suite:
        yield suite, repositories[0]


def control_key(suite: Suite) -> str:
    """Return the key that this suite's Triton requires for loading and unloading models."""
    command = suite.programs["triton"].command
    return Path(command[command.index("--control-key-file") + 1]).read_text().strip()


def _with_models(program: Program, repository: Repository) -> Program:
    if program.name == "triton":
        # What comes later counts: only these two are loaded, and out of the copies.
        chosen = ("--load", VISUAL, TEXT_MODEL, "--models", str(repository.folder))
        return replace(program, command=(*program.command, *chosen))
    more = {"EMBEDDER_MODELS": VISUAL, "EMBEDDER_DECODE_PROCESSES": "2"}
    return replace(program, environment={**program.environment, **more})
