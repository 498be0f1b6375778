"""A real Prometheus that reads a suite's metrics every other second and evaluates our rules."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploy.monitoring import generate
from local_suite.suite import Suite
from tests.engines import ROOT, free_port
from tests.waiting import SECONDS


@dataclass(frozen=True)
class Prometheus:
    """One that runs."""

    port: int

    def get(self, path: str, **asked: str) -> Any:
        """What its API answers."""
        asking = f"{path}?{urllib.parse.urlencode(asked)}"
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.port}/api/v1/{asking}", timeout=SECONDS
        ) as answer:
            return json.load(answer)["data"]

    def samples(self, expr: str) -> list[Any]:
        """What an expression is now, by series."""
        found: list[Any] = self.get("query", query=expr)["result"]
        return found

    def exposed(self) -> dict[str, set[str]]:
        """The metrics that processes expose, by the jobs that do; also those without a sample."""
        found: dict[str, set[str]] = {}
        for one in self.get("targets/metadata"):
            name, job = one["metric"], one["target"]["job"]
            # Triton writes Prometheus' own format; OpenMetrics calls a counter by its family.
            if one["type"] == "counter" and job != "triton":
                name += "_total"
            found.setdefault(name, set()).add(job)
        return found


@contextmanager
def prometheus(suite: Suite, folder: Path, metrics_port: int) -> Iterator[Prometheus]:
    """It runs while the block does. `metrics_port`: of a second retriever."""
    path = os.pathsep.join([os.environ["PATH"], str(ROOT / ".tools" / "bin")])
    program = shutil.which("prometheus", path=path)
    assert program, "prometheus is missing: make tools"
    port = free_port()
    arguments = (
        f"--config.file={_configuration(suite, folder, metrics_port)}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, *arguments], stdout=log, stderr=log)
    try:
        yield Prometheus(port)
    finally:
        process.terminate()
        process.wait(SECONDS)


def _configuration(suite: Suite, folder: Path, metrics_port: int) -> Path:
    """Each process under the job of its name; rules at once, where an installation has them twice
    a minute."""
    rules = generate.rules()
    for group in rules["groups"]:
        del group["interval"]
    (folder / "slo.rules.yaml").write_text(yaml.safe_dump(rules))
    shutil.copy(generate.HERE / "alerts.yaml", folder)
    jobs: list[dict[str, Any]] = [
        {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{one.ports['metrics']}"]}]}
        for name, one in suite.programs.items()
        if "metrics" in one.ports
    ]
    assert len(jobs) == 7
    second = {"targets": [f"127.0.0.1:{metrics_port}"]}
    jobs.append({"job_name": "second", "static_configs": [second]})
    file = folder / "prometheus.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "global": {
                    "scrape_interval": "2s",
                    "scrape_timeout": "1s",
                    "evaluation_interval": "1s",
                },
                "rule_files": ["*.rules.yaml", "alerts.yaml"],
                "scrape_configs": jobs,
            }
        )
    )
    return file
