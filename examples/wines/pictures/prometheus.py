"""A real Prometheus that watches a suite, with the rules of deploy/monitoring."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploy.monitoring import generate
from examples.wines.demo.model import DemoFailed
from examples.wines.local import free_port_base
from local_suite.suite import Suite

ROOT = Path(__file__).resolve().parents[3]
SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Series:
    """One series: labels, and values by Unix time."""

    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A server on this machine."""

    port: int

    def between(self, expr: str, since: float, until: float) -> list[Series]:
        """Return an expression's series, a value each second; NaN where there is none."""
        asked = {"query": expr, "start": f"{since}", "end": f"{until}", "step": "1"}
        url = f"http://127.0.0.1:{self.port}/api/v1/query_range?{urllib.parse.urlencode(asked)}"
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return [
            Series(one["metric"], [(float(at), float(value)) for at, value in one["values"]])
            for one in found
            if any(not math.isnan(float(value)) for _, value in one["values"])
        ]


@contextmanager
def watching(suite: Suite, folder: Path) -> Iterator[Prometheus]:
    """Yield a Prometheus that reads the suite's metrics every second."""
    write_rules(folder)
    every = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    held = {"global": every, "rule_files": ["*.rules.yaml"], "scrape_configs": scraped(suite)}
    with started(held, folder) as port:
        yield Prometheus(port)


@contextmanager
def started(configuration: Mapping[str, Any], folder: Path) -> Iterator[int]:
    """Start a Prometheus with its files in `folder`; yield its port on 127.0.0.1."""
    path = os.pathsep.join([os.environ["PATH"], str(ROOT / ".tools" / "bin")])
    program = shutil.which("prometheus", path=path)
    if program is None:
        raise DemoFailed("prometheus is missing: run `make tools`")
    file, port = folder / "prometheus.yaml", free_port_base()
    file.write_text(yaml.safe_dump(configuration))
    arguments = (
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([program, *arguments], stdout=log, stderr=log)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(SECONDS)


def write_rules(folder: Path) -> None:
    """Write the rules of the objectives, evaluated at once instead of twice a minute."""
    rules = generate.rules()
    for group in rules["groups"]:
        del group["interval"]
    (folder / "slo.rules.yaml").write_text(yaml.safe_dump(rules))


def scraped(suite: Suite) -> list[dict[str, Any]]:
    """Return a scrape job for each process of the suite that has metrics, under its name."""
    return [
        {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{one.ports['metrics']}"]}]}
        for name, one in suite.programs.items()
        if "metrics" in one.ports
    ]
