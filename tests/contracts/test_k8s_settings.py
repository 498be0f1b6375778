"""Settings and secrets of the Kubernetes base."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.model.scene_checks import warnings
from gateway.state.scenes import SceneFiles
from tests.contracts.k8s import (
    K8S,
    OURS,
    PODS,
    SERVED,
    Document,
    containers,
    main,
    of,
    pod,
    settings_of,
)
from tests.contracts.settings import loaded, variables


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting_of_its_process(base: list[Document], name: str) -> None:
    given = set(settings_of(base, name)) | {
        each["name"] for each in main(base, name).get("env", [])
    }
    assert given
    assert given - variables(name) == set()


@pytest.mark.parametrize("name", OURS)
def test_every_process_starts_with_its_settings(
    base: list[Document], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = settings_of(base, name)
    settings = loaded(name, given, monkeypatch)
    ports = {port["name"]: port["containerPort"] for port in main(base, name)["ports"]}
    if name in SERVED:
        assert (settings.port, settings.metrics_port) == (ports["grpc"], ports["metrics"])
    for key, value in given.items():
        if key.endswith("_TARGET"):
            host, port = value.split(":")
            offered = of(base, "Service")[host]["spec"]["ports"]
            assert int(port) in [each["port"] for each in offered], key
        if key.endswith(("_URL", "_STORE", "_FILE")):
            mounts = [mount["mountPath"] for mount in main(base, name)["volumeMounts"]]
            assert any(value.startswith(mount) for mount in mounts), f"{key} is on no volume"


def test_all_processes_serve_the_same_catalogs(base: list[Document]) -> None:
    catalogs = {settings_of(base, name)[f"{name.split('-')[0].upper()}_CATALOGS"] for name in OURS}
    assert len(catalogs) == 1


def test_settings_hold_no_secret(base: list[Document]) -> None:
    for name in OURS:
        for key in settings_of(base, name):
            held = re.search(r"PASSWORD|TOKEN|SECRET|DATABASE_URL", key)
            assert not held or key.endswith("_FILE"), key


def test_no_environment_holds_a_secret(base: list[Document], example: list[Document]) -> None:
    for documents in (base, example):
        for name in PODS:
            for container in containers(pod(documents, name)):
                assert "secretRef" not in str(container.get("envFrom")), name
                for each in container.get("env", []):
                    assert "secretKeyRef" not in str(each), (name, each["name"])
                    assert not re.search(r"PASSWORD|TOKEN|SECRET|_URL", each["name"])


def secrets(documents: list[Document]) -> set[tuple[str, str]]:
    """(name, key) of every Secret that some pod reads, by the settings that name its file."""
    found = set()
    for name in PODS:
        volumes = pod(documents, name).get("volumes", [])
        held = {volume["name"]: volume["secret"] for volume in volumes if "secret" in volume}
        mounted = {
            mount["mountPath"]: held[mount["name"]]
            for mount in main(documents, name).get("volumeMounts", [])
            if mount["name"] in held
        }
        for key, value in settings_of(documents, name).items():
            if key.endswith("_FILE"):
                secret = mounted.pop(str(Path(value).parent))
                assert secret["defaultMode"] == 0o440
                found.add((secret["secretName"], Path(value).name))
        if name == "triton":  # its command reads the file
            mounted.clear()
        assert not mounted, "read by nobody"
    return found


def test_every_secret_is_documented_and_in_the_example(
    base: list[Document], example: list[Document]
) -> None:
    wanted = secrets(base)
    assert len(wanted) == 6
    text = (K8S / "README.md").read_text()
    for name, key in wanted:
        assert re.search(rf"\| `{name}` \| `{re.escape(key)}` \|", text), name
    given = {
        (re.sub(r"-[a-z0-9]{10}$", "", name), key)
        for name, secret in of(example, "Secret").items()
        for key in secret.get("data", {}) | secret.get("stringData", {})
    }
    assert given == wanted


@pytest.mark.parametrize(
    ("secret", "holders"),
    [
        ("gateway-token-keys", ["gateway"]),
        ("ranker-pseudonym-key", ["ranker"]),
        ("triton-control", ["embedder", "triton"]),
    ],
)
def test_a_key_is_readable_by_its_holders_alone(
    base: list[Document], secret: str, holders: list[str]
) -> None:
    assert [name for name in PODS if secret in str(pod(base, name))] == holders
    for name in holders:
        held = [volume.get("secret") for volume in pod(base, name)["volumes"]]
        assert {"secretName": secret, "defaultMode": 0o440} in held


def test_scenes_are_mounted_where_the_gateway_looks_and_change_while_it_runs(
    base: list[Document], example: list[Document], tmp_path: Path
) -> None:
    for documents in (base, example):
        (mount,) = [
            item for item in main(documents, "gateway")["volumeMounts"] if item["name"] == "scenes"
        ]
        assert mount["mountPath"] == settings_of(documents, "gateway")["GATEWAY_SCENES_FOLDER"]
        (volume,) = [
            item for item in pod(documents, "gateway")["volumes"] if item["name"] == "scenes"
        ]
        assert volume["projected"]["sources"] == [
            {"configMap": {"name": "gateway-scenes", "optional": True}}
        ]
    for name, content in of(example, "ConfigMap")["gateway-scenes"]["data"].items():
        (tmp_path / name).write_text(content)
    scene = SceneFiles(tmp_path).get("home")
    assert scene.drop_seen
    assert not list(warnings(scene))
