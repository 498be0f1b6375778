"""The Kubernetes base, rendered once by kubectl."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.contracts.k8s import K8S, Document, render


@pytest.fixture(scope="session")
def base() -> list[Document]:
    return render(K8S / "base")


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> list[Document]:
    """The example overlay. Debian 12's kubectl (1.20) knows a base only under its former name."""
    folder = tmp_path_factory.mktemp("k8s") / "k8s"
    shutil.copytree(K8S, folder)
    version = subprocess.run(
        ["kubectl", "version", "--client"], capture_output=True, text=True, check=True
    ).stdout
    if re.search(r"v1\.(1\d|20)\.", version):
        file = folder / "overlays/example/kustomization.yaml"
        file.write_text(file.read_text().replace("\nresources:\n", "\nbases:\n"))
    return render(folder / "overlays/example")
