"""One port means one thing: with `make up`, in images, with Compose and on Kubernetes."""

import re
from collections import defaultdict
from pathlib import Path

import yaml

from gateway.http.settings import HttpSettings
from local_suite.programs import PORTS

ROOT = Path(__file__).parents[2]
BASE = 8600
"""The usual PORT_BASE."""
HTTP, ADMIN, GRPC = 8680, 8609, 8600


def names_on_kubernetes() -> dict[int, set[str]]:
    """Return the names of each port of pods and Services below deploy/k8s."""
    found = defaultdict[int, set[str]](set)
    for path in (ROOT / "deploy/k8s").rglob("*.yaml"):
        text = path.read_text("utf-8")
        for name, port in re.findall(r"name: ([\w-]+), (?:containerPort|port): (\d+)", text):
            found[int(port)].add(name)
    return found


def test_http_and_the_administrative_port_are_the_same_everywhere() -> None:
    named = names_on_kubernetes()
    assert (named[HTTP], named[ADMIN]) == ({"http"}, {"admin"})
    assert BASE + PORTS["gateway-http"]["http"] == HttpSettings.model_fields["port"].default == HTTP
    assert BASE + PORTS["gateway"]["grpc"] == GRPC
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
    (http,) = compose["gateway-http"]["ports"]
    assert http == f"127.0.0.1:${{HTTP_PORT:-{HTTP}}}:{HTTP}"


def test_no_port_of_make_up_is_another_one_elsewhere() -> None:
    local = {BASE + step for steps in PORTS.values() for step in steps.values()}
    assert ADMIN not in local
    others = {port: names for port, names in names_on_kubernetes().items() if port not in local}
    assert {port for port in others if BASE <= port < BASE + 16} == {ADMIN}
