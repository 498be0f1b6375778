"""The Kubernetes base and overlays, rendered once by kubectl."""

from __future__ import annotations

import pytest

from tests.contracts.k8s import LEFT_OUT, WHOLE, Document, overlay, with_components


@pytest.fixture(scope="session")
def base() -> list[Document]:
    return overlay("base")


@pytest.fixture(scope="session")
def example() -> list[Document]:
    return overlay("example")


@pytest.fixture(scope="session", params=[*WHOLE, "choices"])
def whole(request: pytest.FixtureRequest) -> list[Document]:
    """Return each overlay that is an installation, and one with the components that these omit."""
    if request.param == "choices":
        return with_components(*LEFT_OUT, "production")
    return overlay(request.param)
