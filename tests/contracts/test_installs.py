"""Each service is installed without the others' vendors."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VENDORS = {
    "tritonclient": "sightline-embedder",
    "pymilvus": "sightline-retriever",
    "rectools-lightfm": "sightline-ranker",
}
PACKAGES = [
    "sightline-embedder",
    "sightline-retriever",
    "sightline-ranker",
    "sightline-gateway",
    "sightline-client",
    "sightline-agents",
    "sightline-console",
]


def closure(package: str, *extras: str) -> set[str]:
    """Return all packages that the lock installs for a package."""
    listed = subprocess.run(
        [
            *(".tools/bin/uv", "export", "--frozen", "--no-dev", "--no-hashes", "--no-header"),
            *("--package", package, *(f"--extra={extra}" for extra in extras)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return set(re.findall(r"^([A-Za-z0-9_.-]+)==", listed, re.MULTILINE)) | set(
        re.findall(r"^-e \./(?:services/)?(\S+)", listed, re.MULTILINE)
    )


@pytest.mark.parametrize("package", PACKAGES)
def test_a_service_brings_no_vendor_of_another(package: str) -> None:
    installed = closure(package)
    foreign = {vendor for vendor, owner in VENDORS.items() if owner != package}
    assert "grpcio" in installed
    assert installed & foreign == set()


def test_only_training_needs_lightfm() -> None:
    assert "rectools-lightfm" not in closure("sightline-ranker")
    assert "rectools-lightfm" in closure("sightline-ranker", "train")


def test_the_gateway_needs_neither_sql_nor_what_reads_photos() -> None:
    assert closure("sightline-gateway") & {"sqlalchemy", "pillow", "pymilvus", "scipy"} == set()
