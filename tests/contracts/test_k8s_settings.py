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
    Document,
    main,
    of,
    pod,
    settings_of,
)


def test_all_processes_serve_the_same_catalogs(base: list[Document]) -> None:
    catalogs = {settings_of(base, name)[f"{name.split('-')[0].upper()}_CATALOGS"] for name in OURS}
    assert len(catalogs) == 1


def secrets(documents: list[Document]) -> set[tuple[str, str]]:
    """Return (name, key) of every Secret that some pod reads, by the settings that name its
    file."""
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
            elif key.endswith("_PEER_KEYS_FOLDER"):
                secret = mounted.pop(value)
                found |= {(secret["secretName"], each["key"]) for each in secret["items"]}
            elif key.endswith("_TLS_FOLDER"):
                secret = mounted.pop(value)
                found.add((secret["secretName"], "tls.crt"))
            elif key.endswith("_KAFKA_FOLDER"):
                secret = mounted.pop(value)
                found.add((secret["secretName"], "ca.crt"))
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
        row = rf"^\|[^|]*`{name}`[^|]*\|[^|]*`{re.escape(key)}`[^|]*\|"
        assert re.search(row, text, re.MULTILINE), (name, key)


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
    """Read the mounted files as the gateway does."""
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
    (one,) = experiments.read(tmp_path / "experiments", scenes).values()
    assert [arm.scene for arm in one.arms] == ["", "home-varied"]
