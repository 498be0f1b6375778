"""A real Prometheus that reads a suite's metrics every other second and evaluates our rules."""

from __future__ import annotations

import json
import shutil
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.monitoring import generate
from examples.wines.pictures.prometheus import scraped, started, write_rules
from local_suite.suite import Suite
from tests.waiting import SECONDS


@dataclass(frozen=True)
class Prometheus:
    """Running Prometheus."""

    port: int

    def get(self, path: str, **asked: str) -> Any:
        """Return the answer of its API."""
        asking = f"{path}?{urllib.parse.urlencode(asked)}"
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.port}/api/v1/{asking}", timeout=SECONDS
        ) as answer:
            return json.load(answer)["data"]

    def samples(self, expr: str) -> list[Any]:
        """Return the current values of an expression, by series."""
        found: list[Any] = self.get("query", query=expr)["result"]
        return found

    def exposed(self) -> dict[str, set[str]]:
        """Return the metrics that processes expose, by job; also those without a sample."""
        found: dict[str, set[str]] = {}
        for one in self.get("targets/metadata"):
            name, job = one["metric"], one["target"]["job"]
            # Triton writes Prometheus' own format; OpenMetrics calls a counter by its family.
            if one["type"] == "counter" and job != "triton":
                name += "_total"
            found.setdefault(name, set()).add(job)
        return found


@contextmanager
def prometheus(suite: Suite, folder: Path, beside: Mapping[str, int]) -> Iterator[Prometheus]:
    """Yield a Prometheus that reads the suite and processes beside it. `beside`: their metrics
    ports, by the name of the job."""
    with started(_configuration(suite, folder, beside), folder) as port:
        yield Prometheus(port)


def _configuration(suite: Suite, folder: Path, beside: Mapping[str, int]) -> dict[str, Any]:
    write_rules(folder)
    shutil.copy(generate.HERE / "alerts.yaml", folder)
    jobs = scraped(suite)
    assert len(jobs) == 9
    for name, port in beside.items():
        target = {"targets": [f"127.0.0.1:{port}"]}
        jobs.append({"job_name": name, "static_configs": [target]})
    return {
        "global": {"scrape_interval": "2s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["*.rules.yaml", "alerts.yaml"],
        "scrape_configs": jobs,
    }
