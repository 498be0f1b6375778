"""docs/reference agrees with the code."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contracts.settings import CLASSES, variables
from tests.waiting import SECONDS

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"


@pytest.mark.when("client", "deploy", "docs", "kit", "protos", "services")
def test_the_generated_pages_are_those_that_the_code_makes_now() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "docs.generate", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_variable_of_every_process_is_in_the_settings() -> None:
    text = (REFERENCE / "settings.md").read_text()
    named = set(re.findall(r"^\| `([A-Z_]+)`", text, re.M))
    named |= {f"{name}_FILE" for name in re.findall(r"^\| `([A-Z_]+)` or `…_FILE`", text, re.M)}
    assert named == set().union(*map(variables, [*CLASSES, "all", "gateway-http", "vision"]))


REASONS = {
    "EMBEDDER_ANSWER_INVALID",
    "EMBEDDER_UNAVAILABLE",
    "GATEWAY_UNREACHABLE",
    "RANKER_UNAVAILABLE",
    "RETRIEVER_UNAVAILABLE",
    "VISION_ABSENT",
}
"""Reasons of errors, which look like names of variables."""
PAGES = [
    page
    for place in (
        *("*.md", "docs/*/*.md", "lab/*/*.md"),
        "services/*/*.md",
        "deploy/*/*.md",
        "client/*.md",
    )
    for page in ROOT.glob(place)
    if not page.name.startswith("CHANGELOG")
]


def test_every_variable_that_a_page_names_is_one() -> None:
    known = set().union(*map(variables, [*CLASSES, "gateway-http"]))
    named = {
        (page.name, name)
        for page in PAGES
        for name in re.findall(
            r"\b(?:GATEWAY|EMBEDDER|RETRIEVER|RANKER)_[A-Z_]*[A-Z]\b(?!_)", page.read_text("utf-8")
        )
    }
    assert len({name for _, name in named}) > 100
    assert {each for each in named if each[1] not in known | REASONS} == set()


def test_every_metric_that_an_alert_reads_is_in_the_metrics() -> None:
    alerts = (ROOT / "deploy" / "monitoring" / "alerts.yaml").read_text()
    read = set(re.findall(r"\bsightline_[a-z_]+", alerts))
    listed = set(re.findall(r"`(sightline_[a-z_]+)`", (REFERENCE / "metrics.md").read_text()))
    assert len(read) >= 8
    assert read <= listed
