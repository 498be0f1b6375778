"""Alerts parse, fire when they should, and use existing metrics and glossary terms."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.tools import tool

pytestmark = pytest.mark.when("deploy", "docs/operate")

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy" / "monitoring" / "alerts.yaml"


def alerts(path: Path) -> list[Any]:
    groups = yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


RULES = alerts(ALERTS)
BURNS = alerts(ALERTS.with_name("slo.rules.yaml"))
_CODE = [*ROOT.glob("services/*/src/**/*.py"), *ROOT.glob("kit/src/**/*.py")]


def promtool(*arguments: str) -> str:
    done = subprocess.run(
        [tool("promtool"), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.when("deploy/monitoring", "docs/operate")
def test_the_rules_parse_and_fire_as_their_tests_say() -> None:
    assert f"{len(RULES)} rules found" in promtool("check", "rules", str(ALERTS))
    promtool("test", "rules", str(ALERTS.with_name("alerts.test.yaml")))


def test_the_rules_ask_for_metrics_that_the_code_has() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in _CODE)
    known = set(re.findall(r'"(sightline_[a-z_]+)",', source))
    asked = {name for rule in RULES for name in re.findall(r"sightline_[a-z_]+", rule["expr"])}
    assert len(asked) >= 8
    assert asked <= known


@pytest.mark.parametrize("rule", [*RULES, *BURNS], ids=lambda rule: rule["alert"])
def test_each_alert_says_to_an_operator_what_to_do(rule: dict[str, dict[str, str]]) -> None:
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    notes = rule["annotations"]
    assert notes["summary"]
    assert len(notes["description"]) > 80
    page, _, section = notes["runbook_url"].partition("#")
    text = (ROOT / page).read_text(encoding="utf-8")
    sections = {re.sub(r"[^a-z -]", "", line.lower()).strip() for line in text.split("\n## ")}
    assert any(each.replace(" ", "-").startswith(section) for each in sections), section
    assert f"`{rule['alert']}`" in text
