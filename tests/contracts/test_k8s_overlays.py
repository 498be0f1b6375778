"""Overlays as installations: each is complete, those of single services sum to the whole, and the
components' values fit the code and the measurements.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench import sizing
from bench.sizing import GB, ShopSize
from embedder.settings import EmbedderSettings
from embedder.wiring import control_key
from ranker.domain.pseudonyms import load as load_key
from servicekit.admission.access import PeerName
from servicekit.config import PeerSettings
from servicekit.keys.keyring import signing_keys
from servicekit.keys.weak_keys import is_weak
from servicekit.rpc.peers import PeerCredentials
from tests.contracts.k8s import (
    ALONE,
    COMPONENTS,
    COPYING,
    K8S,
    LEFT_OUT,
    ONCE,
    OURS,
    OVERLAYS,
    OWN,
    ROOT,
    WHOLE,
    WORKERS,
    Document,
    main,
    of,
    overlay,
    pod,
    pods,
    settings_of,
    with_components,
)
from tests.contracts.policies.cluster import Cluster
from tests.contracts.policies.links import references
from tests.contracts.settings import loaded
from tests.contracts.test_compose import load
from tests.contracts.test_k8s_settings import secrets
from tests.contracts.test_memory import size
from tests.contracts.test_sizing import read
from tests.peers import PAIRS

Identity = tuple[str, str, str]


def by_name(documents: list[Document]) -> dict[Identity, Document]:
    found = {}
    for each in documents:
        about = each["metadata"]
        found[each["kind"], about.get("namespace", ""), about["name"]] = each
    assert len(found) == len(documents)
    return found


def test_every_overlay_is_an_installation_or_one_service() -> None:
    assert sorted(OVERLAYS) == sorted([*WHOLE, *ALONE])


def test_every_component_is_in_an_installation_that_is_looked_at() -> None:
    text = "".join(path.read_text() for path in K8S.glob("overlays/*/kustomization.yaml"))
    for name in COMPONENTS:
        assert f"components/{name}\n" in text or name in LEFT_OUT, name


# One service


def test_the_overlays_of_one_service_add_up_to_the_whole() -> None:
    """Check that the overlays of single services sum to the whole, without missing, different or
    duplicate documents except the namespace's."""
    whole = by_name(with_components("shared-claims"))
    parts = {name: by_name(overlay(name)) for name in ALONE}
    assert {key: one for part in parts.values() for key, one in part.items()} == whole
    shared = [set(part) for part in parts.values()]
    common = set.intersection(*shared)
    assert {kind for kind, _, _ in common} == {"Namespace", "NetworkPolicy"}
    assert sum(map(len, shared)) == len(whole) + 3 * len(common)


@pytest.mark.parametrize("name", ALONE)
def test_a_service_alone_has_its_workloads_and_what_guards_them(name: str) -> None:
    documents = overlay(name)
    assert sorted(ALONE[name]) == pods(documents)
    guarded = {each["spec"]["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/name")
               for each in documents if each["kind"] == "NetworkPolicy"}  # fmt: skip
    once = [each for each in ONCE if each == f"{name}-migrate"]
    assert guarded == {None, *ALONE[name], *once}
    assert set(of(documents, "PodDisruptionBudget")) == set(of(documents, "Deployment"))


@pytest.mark.when("deploy")
@pytest.mark.parametrize("name", ALONE)
def test_production_and_the_other_choices_suit_one_service_too(name: str) -> None:
    """Check each component alone: one that needs another service's documents would fail to
    render."""
    made = with_components(
        "production", "certificates", "object-store", "postgres-uri", "gpu", "spaces",
        bases=("base/shared", f"base/{name}"),
    )  # fmt: skip
    for process in set(ALONE[name]) & set(OURS):
        assert settings_of(made, process)[f"{name.upper()}_MODE"] == "production"


# Secrets


def printed(*part: str, **environment: str) -> dict[tuple[str, str], str]:
    """Return the values that the script creates, by (Secret, key)."""
    done = subprocess.run(
        [K8S / "secrets.sh", *part], env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {
        (each["metadata"]["name"], key): yaml.safe_load(f"!!binary {value}").decode()
        for each in yaml.safe_load_all(done.stdout)
        for key, value in each["data"].items()
    }


def test_the_script_makes_every_secret_of_small_and_each_works() -> None:
    made, again = printed(), printed()
    assert not set(made.values()) & set(again.values())
    documents = overlay("small")
    wanted = [each for one in Cluster(documents).workloads() for each in references(one)]
    mounted = {name for kind, name, _ in wanted if kind == "Secret"}
    others = {"peer-keys", "retriever-backup-keys", "ranker-backup-keys"}  # of production
    others |= {"embedder-space-keys", "kafka-keys"}  # of further components
    assert mounted == {name for name, _ in made} - others
    assert secrets(documents) <= set(made)
    for name in ("retriever", "ranker"):
        found = re.fullmatch(r"postgresql\+psycopg://(\w+):(\w+)@(\w+):5432/(\w+)",
                             made[f"{name}-database", "url"])  # fmt: skip
        assert found is not None
        assert (found[1], found[4]) == (name, name)
        assert found[3] in of(documents, "Service")
        assert not is_weak(found[2])
    security = yaml.safe_load(made["milvus", "user.yaml"])["common"]["security"]
    assert security["authorizationEnabled"] is True
    assert made["retriever-milvus", "token"] == f"root:{security['defaultRootPassword']}"


def peer_key(file: Path) -> dict[str, str]:
    """Return the header that this key sends to the embedder."""
    (folder := file.parent / "keys").mkdir(exist_ok=True)
    (folder / "embedder.key").write_text(file.read_text())
    known = PeerCredentials.of(PeerSettings(peer_keys_folder=folder))
    return known.calling(PeerName.EMBEDDER).metadata()


def test_the_script_makes_keys_as_lines_that_each_reader_takes(tmp_path: Path) -> None:
    """Check that each key is a line, so that `>>` can append another one
    (docs/operate/keys.md)."""
    made, file = printed(), tmp_path / "key"
    readers: dict[tuple[str, str], Callable[[], object]] = {
        ("gateway-token-keys", "tokens.keys"): lambda: signing_keys(file)().sign((), b""),
        **{("peer-keys", f"{one}-{other}.key"): lambda: peer_key(file) for one, other in PAIRS},
        ("retriever-backup-keys", "backups.keys"): lambda: signing_keys(file)().sign((), b""),
        ("ranker-backup-keys", "backups.keys"): lambda: signing_keys(file)().sign((), b""),
        ("embedder-space-keys", "spaces.keys"): lambda: signing_keys(file)().sign((), b""),
        ("kafka-keys", "events.keys"): lambda: signing_keys(file)().sign((), b""),
        ("ranker-pseudonym-key", "pseudonym.key"): lambda: load_key(file, create=False).key_id,
        ("triton-control", "key"): lambda: control_key(EmbedderSettings(triton_key_file=file)),
    }
    for name, taken in readers.items():
        assert re.fullmatch("[0-9a-f]{64}\n", made[name])
        file.write_text(made[name].strip())
        bare = taken()
        file.write_text(made[name])
        assert taken() == bare


def test_the_script_takes_the_addresses_of_stores_that_are_elsewhere() -> None:
    url = "postgresql+psycopg://retriever:x@db.example:5432/retriever"
    made = printed(
        RETRIEVER_DATABASE_URL=url,
        RANKER_DATABASE_URL=url,
        MILVUS_TOKEN="a:b",
        DATABASE_CA=str(ROOT / "LICENSE"),
        MILVUS_CA=str(ROOT / "LICENSE"),
    )
    for name in ("ranker-database", "retriever-milvus"):
        assert made[name, "ca.crt"] == (ROOT / "LICENSE").read_text()
    assert made["retriever-database", "url"] == url
    assert made["retriever-milvus", "token"] == "a:b"
    assert not {"postgres", "milvus"} & {name for name, _ in made}


# Small


@pytest.mark.parametrize(("name", "most"), [("small", 3.75), ("medium", 4)])
def test_small_and_medium_fit_a_laptop_and_share_nothing_between_nodes(
    name: str, most: float
) -> None:
    documents = overlay(name)
    asked = [one["resources"]["requests"] for name in pods(documents)
             for one in pod(documents, name)["containers"]]  # fmt: skip
    cores = [
        float(r["cpu"].removesuffix("m")) / (1000 if r["cpu"][-1] == "m" else 1) for r in asked
    ]
    assert sum(cores) <= most
    assert sum(size(each["memory"]) for each in asked) <= 10 * 2**30
    assert "nvidia.com/gpu" not in str(documents)
    for claim in of(documents, "PersistentVolumeClaim").values():
        assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]


def test_medium_has_room_for_fifty_thousand_products() -> None:
    """Check the memory by the sizing page: three copies where one process does everything."""
    shop, documents = ShopSize(50_000, 1_280), overlay("medium")
    copies = 3 * shop.rows * shop.row_bytes
    assert f"{copies / GB:.1f} GB" in (K8S / "components/milvus-standalone/milvus.yaml").read_text()
    milvus = main(documents, "milvus")["resources"]
    assert copies < 0.5 * size(milvus["requests"]["memory"]), "beside the empty server"
    claimed = {
        name: size(of(documents, "StatefulSet")[name]["spec"]["volumeClaimTemplates"][0]["spec"][
            "resources"]["requests"]["storage"])
        for name in ("postgres", "milvus")
    }  # fmt: skip
    assert claimed["milvus"] > shop.store + 10 * GB, "its log too"
    assert claimed["postgres"] > 10 * shop.record
    photos = of(documents, "PersistentVolumeClaim")["retriever-photos"]["spec"]["resources"]
    assert size(photos["requests"]["storage"]) > 2 * shop.rows * 100_000


@pytest.mark.parametrize("name", ["postgres", "milvus"])
def test_its_stores_are_those_of_compose(name: str) -> None:
    ours, theirs = main(overlay("small"), name), load("compose.yaml")["services"][name]
    assert ours["image"] == theirs["image"]
    assert (ours.get("args") or None) == theirs.get("command")
    environment = {each["name"]: each["value"] for each in ours.get("env", [])}
    assert environment == theirs["environment"]


def test_the_etcd_of_milvus_and_the_roles_are_those_of_compose() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    mounted = {
        Path(target).name: (ROOT / source).read_text()
        for name in ("milvus", "postgres")
        for source, target, *_ in (each.split(":") for each in services[name]["volumes"])
        if source.startswith("./")
    }
    maps = of(overlay("small"), "ConfigMap")
    held = {key: text for each in maps.values() for key, text in each["data"].items()}
    assert {name: held[name] for name in mounted} == mounted
    assert set(mounted) == {"embedEtcd.yaml", "roles.sh"}


# Staging and prod


def test_prod_is_staging_with_gpus_and_as_many_pods_as_it_needs() -> None:
    staging, prod = by_name(overlay("staging")), by_name(overlay("prod"))

    def plain(key: Identity) -> tuple[str, str]:
        return key[0], re.sub(r"-[a-z0-9]{10}$", "", key[2])

    scalers = [key for key in prod if key[0] in ("ScaledObject", "HorizontalPodAutoscaler")]
    assert scalers
    assert sorted(map(plain, staging)) == sorted(plain(key) for key in set(prod) - set(scalers))
    differ = {plain(key) for key in set(staging) ^ set(prod) - set(scalers)}
    assert differ == {("ConfigMap", "embedder"), ("ConfigMap", "ranker-worker")}


def test_the_example_says_everything_that_an_installation_has_to() -> None:
    assert "your-" in str(overlay("prod"))
    assert not re.search("your-(?!own)", str(overlay("example")))
    policies = of(overlay("example"), "NetworkPolicy")
    assert "192.0.2." not in str(policies["postgres-uri"]), "nobody's network (RFC 5737)"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["staging", "prod", "example", OWN])
def test_what_is_kept_lies_in_buckets_that_pods_may_reach(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check the buckets' drivers, too: a process whose store it can't open does not start."""
    documents = overlay(name)
    assert not of(documents, "PersistentVolumeClaim")
    assert not [each for one in pods(documents) for each in pod(documents, one)["volumes"]
                if "persistentVolumeClaim" in each]  # fmt: skip
    for process in OURS[2:]:
        settings: Any = loaded(process, settings_of(documents, process), monkeypatch)
        kept = ["photos_url", "backups"] if "retriever" in process else ["model_store"]
        for field in [*kept, *(["export_store"] if process == "ranker-worker" else [])]:
            assert getattr(settings, field).startswith("s3://"), (process, field)
    for copies, worker in zip(COPYING, WORKERS, strict=True):
        copied, used = settings_of(documents, copies), settings_of(documents, worker)
        places = {key: one for key, one in copied.items() if "s3://" in one or "REGION" in key}
        assert places.items() <= used.items(), "other places than those of what is copied"
        assert len(places) == (2 if "retriever" in worker else 3)
    for service in ("retriever", "ranker"):
        text = (ROOT / "Dockerfile").read_text()
        sync = f"--no-editable --package sightline-{service}"
        final = [line for line in text.splitlines() if sync in line]
        assert final
        assert all("--extra s3" in line for line in final)
    (room,) = [
        each for each in pod(documents, "retriever-worker")["volumes"] if each["name"] == "tmp"
    ]
    assert room["ephemeral"]["volumeClaimTemplate"]["spec"]["accessModes"] == ["ReadWriteOnce"]


def test_milvus_of_the_operator_is_the_cluster_of_the_values() -> None:
    (milvus,) = of(overlay("prod"), "Milvus").values()
    values, shop = read("values-1m.yaml"), ShopSize(1_000_000, 1_280)
    parts, groups = milvus["spec"]["components"], len(values["replicaResourceGroups"])
    times = {"queryNode": groups, "streamingNode": groups}
    for part in ("queryNode", "streamingNode", "dataNode", "mixCoord", "proxy"):
        theirs = values["mixCoordinator" if part == "mixCoord" else part]
        assert parts[part]["replicas"] == theirs["replicas"] * times.get(part, 1), part
        assert parts[part]["resources"] == theirs["resources"], part
    assert parts["queryNode"]["replicas"] * 8 * 2**30 >= shop.memory
    user, config = yaml.safe_load(values["extraConfigFiles"]["user.yaml"]), milvus["spec"]["config"]
    for section in ("common", "tls", "dataCoord", "queryNode"):
        assert config[section] == user[section], section
    assert config["queryCoord"] == {"clusterLevelLoadReplicaNumber": sizing.REPLICAS}
    etcd = milvus["spec"]["dependencies"]["etcd"]["inCluster"]["values"]
    for key in ("replicaCount", "resources", "pdb"):
        assert etcd[key] == values["etcd"][key], key
    uri = settings_of(overlay("prod"), "retriever")["RETRIEVER_MILVUS_URI"]
    about = milvus["metadata"]
    assert uri == f"https://{about['name']}-milvus.{about['namespace']}:19530"


@pytest.mark.parametrize("name", WHOLE)
def test_each_night_a_model_is_trained_and_serves_if_it_proved_itself(name: str) -> None:
    """Check the arguments: with --promote the evaluation decides
    (tests/unit/ranker/workers/test_nightly.py)."""
    documents = overlay(name)
    container = main(documents, "ranker-train")
    assert container["args"] == ["--catalog", "default", "--promote"]
    assert settings_of(documents, "ranker-worker").get("RANKER_AUTO_PROMOTE", "false") == "false", (
        "it would be trained twice a night"
    )
