"""What decodes photos fits the memory of its container, in every manifest, as it is set there."""

from __future__ import annotations

import re
from typing import Any

import pytest

from servicekit.decoding_limits import PROCESS, DecodingSettings
from tests.contracts.k8s import K8S, Document, main, render, settings_of
from tests.contracts.settings import CLASSES, loaded
from tests.contracts.test_compose import given, load

UNITS = {"Mi": 2**20, "Gi": 2**30, "m": 2**20, "g": 2**30}
DECODING = [name for name, kind in CLASSES.items() if issubclass(kind, DecodingSettings)]


def size(text: str) -> int:
    """Bytes of `2Gi` in Kubernetes, `2g` in Compose."""
    found = re.fullmatch(r"(\d+)(Mi|Gi|m|g)", text)
    assert found is not None, text
    return int(found[1]) * UNITS[found[2]]


def needed(settings: Any) -> int:
    """Bytes of a process that decodes, with all that it may take."""
    processes: int = settings.decode_processes * PROCESS
    return int(settings.own_memory_bytes + settings.decode_memory_bytes + processes)


def test_those_that_decode_are_known() -> None:
    assert DECODING == ["embedder", "retriever", "retriever-worker"]


@pytest.fixture(scope="module", params=["base", "overlays/example"])
def documents(request: pytest.FixtureRequest) -> list[Document]:
    return render(K8S / request.param)


@pytest.mark.parametrize("name", DECODING)
def test_in_kubernetes(
    documents: list[Document], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = loaded(name, settings_of(documents, name), monkeypatch)
    assert needed(settings) <= size(main(documents, name)["resources"]["limits"]["memory"])


@pytest.mark.parametrize("name", DECODING)
def test_in_compose(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = load("compose.yaml")["services"][name]
    settings = loaded(name, given(service), monkeypatch)
    assert needed(settings) <= size(service["mem_limit"])


def test_with_spaces_fitted_too() -> None:
    text = (K8S / "components" / "spaces" / "embedder.yaml").read_text()
    (limit,) = re.findall(r"limits: \{ memory: (\w+) \}", text)
    fit = 4 * 10**9  # as the file says
    assert needed(DecodingSettings()) + fit <= size(limit)
