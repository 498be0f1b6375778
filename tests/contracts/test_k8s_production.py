"""The component that has everything run in production mode: nothing is left of what is unsafe."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contracts.k8s import (
    K8S,
    ONCE,
    OURS,
    PODS,
    SERVED,
    Document,
    main,
    of,
    pod,
    settings_of,
    with_components,
)

PRODUCTION = ["staging", "prod", "example"]
NO_SECRETS = ("GATEWAY_SCENES_FOLDER", "GATEWAY_EXPERIMENTS_FOLDER")


@pytest.fixture(scope="module")
def made() -> list[Document]:
    """An overlay with the component."""
    return with_components("production")


@pytest.mark.parametrize("name", [*OURS, "ranker-train"])
def test_its_files_come_from_secrets_that_the_readme_lists(made: list[Document], name: str) -> None:
    mounts = {each["mountPath"]: each for each in main(made, name)["volumeMounts"]}
    volumes = {each["name"]: each for each in pod(made, name)["volumes"]}
    text = (K8S / "README.md").read_text()
    files = [
        value
        for key, value in settings_of(made, name).items()
        if key.endswith(("_FILE", "_FOLDER")) and key not in NO_SECRETS
    ]
    assert len(files) >= 2
    for value in files:
        place = next(each for each in (value, str(Path(value).parent)) if each in mounts)
        assert mounts[place]["readOnly"] is True
        secret = volumes[mounts[place]["name"]]["secret"]
        assert secret["defaultMode"] == 0o440
        assert f"| `{secret['secretName']}` |" in text


@pytest.mark.parametrize("name", SERVED)
def test_probes_ask_the_port_that_speaks_plain_text(made: list[Document], name: str) -> None:
    port = int(settings_of(made, name)[f"{name.upper()}_PROBE_PORT"])
    container = main(made, name)
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["grpc"]["port"] == port
    assert not any("appProtocol" in each for each in of(made, "Service")[name]["spec"]["ports"])


def test_triton_is_as_it_was(base: list[Document], made: list[Document]) -> None:
    assert pod(made, "triton") == pod(base, "triton")
    assert set(PODS) == {*OURS, *ONCE, "triton", "ranker-train"}
