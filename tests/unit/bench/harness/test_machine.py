"""A result names the machine and versions of its measurement."""

import re

from bench.harness import machine


def test_the_machine_is_described() -> None:
    described = machine.describe()
    assert "unknown" not in described.values()
    cores = described["cores"]
    assert isinstance(cores, int)
    assert cores >= 1


def test_versions_and_commit_are_known() -> None:
    assert machine.versions()["grpcio"]
    assert re.fullmatch(r"unknown|[0-9a-f]{10}(-dirty)?", machine.commit())
