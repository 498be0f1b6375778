"""Processes that decode photos fit into their containers' memory in every manifest."""

from __future__ import annotations

import re
from typing import Any

import pytest

from servicekit.decoding.limits import DecodingSettings, processes_bytes
from tests.contracts.k8s import (
    COMPONENTS,
    ROOT,
    SERVED,
    TOGETHER,
    WHOLE,
    Document,
    main,
    overlay,
    settings_of,
    with_components,
)
from tests.contracts.settings import CLASSES, loaded
from tests.contracts.test_compose import given, load

UNITS = {"Mi": 2**20, "Gi": 2**30, "m": 2**20, "g": 2**30}
FIT = 4 * 10**9
"""Bytes of a fit on 50,000 photos (docs/operate/spaces.md), in a process of its own beside the
embedder."""
RENDERED = ["", *COMPONENTS, "production+spaces"]
"""Components of Kubernetes, alone and together; the first is the base as it is."""
COMPOSED = ["compose.yaml", "compose.gpu.yaml"]
DECODING = [name for name, kind in CLASSES.items() if issubclass(kind, DecodingSettings)]


def size(text: str) -> int:
    """Return the bytes of `2Gi` in Kubernetes, `2g` in Compose."""
    found = re.fullmatch(r"(\d+)(Mi|Gi|m|g)", text)
    assert found is not None, text
    return int(found[1]) * UNITS[found[2]]


def needed(settings: Any) -> int:
    """Return the maximum bytes of a process that decodes."""
    own = settings.own_memory_bytes + settings.decode_memory_bytes
    return int(own + processes_bytes(settings))


def test_those_that_decode_are_known() -> None:
    assert DECODING == ["embedder", "retriever", "retriever-worker"]


def test_every_file_of_compose_is_among_those_that_are_looked_at() -> None:
    assert {each.name for each in ROOT.glob("compose*.yaml")} == {
        *COMPOSED,
        "compose.agents.yaml",
        "compose.console.yaml",
        "compose.monitoring.yaml",
        "compose.vision.yaml",
    }


@pytest.fixture(scope="module", params=[*RENDERED, *(f"overlays/{name}" for name in WHOLE)])
def documents(request: pytest.FixtureRequest) -> list[Document]:
    if request.param.startswith("overlays/"):
        return overlay(request.param.partition("/")[2])
    names = [name for name in request.param.split("+") if name]
    return with_components(*names)


@pytest.mark.when("deploy", "kit/src/servicekit/processes")
@pytest.mark.slow
@pytest.mark.parametrize("name", DECODING)
def test_in_kubernetes(
    documents: list[Document], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = loaded(name, settings_of(documents, name), monkeypatch)
    fit = FIT if getattr(settings, "spaces", "") and name == "embedder" else 0
    assert needed(settings) + fit <= size(main(documents, name)["resources"]["limits"]["memory"])


def test_one_process_has_the_memory_of_all_services_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check the sum: each service computes with the whole limit."""
    documents, sizes = overlay("small"), dict[str, int]()
    for name in SERVED:
        settings = loaded(name, settings_of(documents, name), monkeypatch)
        alone = size(main(overlay("medium"), name)["resources"]["limits"]["memory"])
        sizes[name] = needed(settings) if name in DECODING else alone
    assert sum(sizes.values()) <= size(main(documents, TOGETHER)["resources"]["limits"]["memory"])


@pytest.mark.parametrize("name", DECODING)
@pytest.mark.parametrize("files", [COMPOSED[:1], COMPOSED])
def test_in_compose(files: list[str], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = load(*files)["services"][name]
    settings = loaded(name, given(service), monkeypatch)
    assert needed(settings) <= size(service["mem_limit"])
