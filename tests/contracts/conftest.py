"""The Kubernetes base and overlays, rendered once by kubectl."""

from __future__ import annotations

import pytest

from tests.contracts.k8s import WHOLE, Document, overlay


@pytest.fixture(scope="session")
def base() -> list[Document]:
    return overlay("base")


@pytest.fixture(scope="session")
def example() -> list[Document]:
    return overlay("example")


@pytest.fixture(scope="session", params=WHOLE)
def whole(request: pytest.FixtureRequest) -> list[Document]:
    """Each overlay that is an installation."""
    return overlay(request.param)
