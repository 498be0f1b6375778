"""Settings and secrets of the Kubernetes installations."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.model.scene_checks import warnings
from gateway.state import experiments
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
    pods,
    settings_of,
)
from tests.contracts.settings import loaded, variables

BUCKET = {"AWS_DEFAULT_REGION", "AWS_SHARED_CREDENTIALS_FILE"}
"""What the driver of S3 reads."""


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting_of_its_process(whole: list[Document], name: str) -> None:
    given = set(settings_of(whole, name)) | {
        each["name"] for each in main(whole, name).get("env", [])
    }
    assert given
    assert given - variables(name) - BUCKET == set()


@pytest.mark.parametrize("name", OURS)
def test_every_process_starts_with_its_settings(
    whole: list[Document], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = settings_of(whole, name)
    settings = loaded(name, given, monkeypatch)
    ports = {port["name"]: port["containerPort"] for port in main(whole, name)["ports"]}
    if name in SERVED:
        assert (settings.port, settings.metrics_port) == (ports["grpc"], ports["metrics"])
    for key, value in given.items():
        if key.endswith("_TARGET"):
            host, port = value.split(":")
            offered = of(whole, "Service")[host]["spec"]["ports"]
            assert int(port) in [each["port"] for each in offered], key
        if key.endswith(("_URL", "_BACKUPS", "_STORE", "_FILE")) and not value.startswith("s3://"):
            mounts = [mount["mountPath"] for mount in main(whole, name)["volumeMounts"]]
            assert any(value.startswith(mount) for mount in mounts), f"{key} is on no volume"


def test_all_processes_serve_the_same_catalogs(base: list[Document]) -> None:
    catalogs = {settings_of(base, name)[f"{name.split('-')[0].upper()}_CATALOGS"] for name in OURS}
    assert len(catalogs) == 1


def test_settings_hold_no_secret(whole: list[Document]) -> None:
    for name in OURS:
        for key in settings_of(whole, name):
            held = re.search(r"PASSWORD|TOKEN|SECRET|DATABASE_URL", key)
            assert not held or key.endswith("_FILE"), key


def test_no_environment_holds_a_secret(whole: list[Document]) -> None:
    for name in pods(whole):
        for container in containers(pod(whole, name)):
            assert "secretRef" not in str(container.get("envFrom")), name
            for each in container.get("env", []):
                assert "secretKeyRef" not in str(each), (name, each["name"])
                held = re.search(r"PASSWORD|TOKEN|SECRET|_URL", each["name"])
                assert not held or each["name"].endswith("_FILE"), each["name"]


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
                found.add((secret["secretName"], Path(value).name))
            elif key.endswith("_TLS_FOLDER"):
                secret = mounted.pop(value)
                found.add((secret["secretName"], "tls.crt"))
            else:
                continue
            assert secret["defaultMode"] == 0o440
        if name == "triton":  # its command reads the file
            mounted.clear()
        assert not mounted, "read by nobody"
    return found


def test_every_secret_is_documented(whole: list[Document]) -> None:
    wanted = secrets(whole)
    assert len(wanted) >= 6
    text = (K8S / "README.md").read_text()
    for name, key in wanted:
        assert re.search(rf"\| `{name}` \| `{re.escape(key)}`", text), name


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
    base: list[Document], whole: list[Document], tmp_path: Path
) -> None:
    for documents in (base, whole):
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
    kept = of(whole, "ConfigMap").get("gateway-scenes", {"data": {}})["data"]
    for name, content in kept.items():
        (tmp_path / name).write_text(content)
    for name in kept:
        scene = SceneFiles(tmp_path).get(name.removesuffix(".toml"))
        assert scene.drop_seen
        assert not list(warnings(scene))


def test_experiments_are_mounted_where_the_gateway_looks(
    example: list[Document], tmp_path: Path
) -> None:
    """The very files, read as the gateway reads them."""
    maps = of(example, "ConfigMap")
    folders = {}
    for kind in ("scenes", "experiments"):
        (folder := tmp_path / kind).mkdir()
        for name, content in maps[f"gateway-{kind}"]["data"].items():
            (folder / name).write_text(content)
        folders[settings_of(example, "gateway")[f"GATEWAY_{kind.upper()}_FOLDER"]] = folder
    mounts = {each["name"]: each["mountPath"] for each in main(example, "gateway")["volumeMounts"]}
    assert [mounts["scenes"], mounts["experiments"]] == list(folders)
    scenes = SceneFiles(tmp_path / "scenes")
    (one,) = experiments.read(tmp_path / "experiments", ["default"], scenes)
    assert [arm.scene for arm in one.arms] == ["", "home-varied"]
