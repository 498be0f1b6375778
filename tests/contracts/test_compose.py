"""compose.yaml, read as Docker Compose would: it matches Compose's schema, its references exist,
and only required ports are open. Docker itself is not needed.
"""

from __future__ import annotations

import copy
import re
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from jsonschema import Draft202012Validator

from servicekit.config import PeerSettings
from servicekit.rpc.peers import PeerCredentials
from tests import dockerfiles
from tests.contracts.k8s import ARROWS, ONCE, SERVED, WORKERS
from tests.contracts.settings import CLASSES, loaded, variables
from tests.engines import free_port
from tests.peers import PAIRS
from tests.waiting import SECONDS

pytestmark = pytest.mark.when("deploy", "compose.yaml", "docs")

ROOT = Path(__file__).parents[2]
ENGINES = ("triton", "milvus", "postgres")
OURS = tuple(CLASSES)
MINIMUM = {
    "milvusdb/milvus": (2, 6, 10),
    "postgres": (16,),
}
"""Older ones have published vulnerabilities, or lack what we use."""


def interpolate(value: Any, environment: Mapping[str, str]) -> Any:
    """Expand Compose's ${NAME:-default}, ${NAME:+value} and ${NAME:?message}; LookupError where
    Compose would fail."""
    if isinstance(value, dict):
        return {key: interpolate(each, environment) for key, each in value.items()}
    if isinstance(value, list):
        return [interpolate(each, environment) for each in value]
    if not isinstance(value, str):
        return value

    def put(found: re.Match[str]) -> str:
        name, how, rest = found.groups()
        if how == ":+":
            return rest if environment.get(name) else ""
        if name in environment:
            return environment[name]
        if how != ":-":
            raise LookupError(f"{name}: {rest}")
        return rest

    return re.sub(r"\$\{(\w+)(:[-?+])([^}]*)\}", put, value)


def load(*names: str) -> dict[str, Any]:
    """Return the merged files: mappings merge, a service's secrets are added, other values replace
    earlier ones."""
    whole: dict[str, Any] = {}
    for name in names:
        _merge(whole, yaml.safe_load((ROOT / name).read_text()))
    found = interpolate(whole, {})
    assert "$" not in str({k: v for k, v in found.items() if not k.startswith("x-")})
    return found


def _merge(into: dict[str, Any], new: Mapping[str, Any]) -> None:
    for key, value in new.items():
        if key == "secrets" and isinstance(value, list):
            into[key] = [*into.get(key, ()), *copy.deepcopy(value)]
        elif isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = copy.deepcopy(value)


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    return load("compose.yaml")


@pytest.fixture(scope="module")
def services(whole: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = whole["services"]
    return found


def given(service: Mapping[str, Any]) -> dict[str, str]:
    """Return a service's settings; its health check reads PROBE."""
    environment = service["environment"].items()
    return {key: str(value) for key, value in environment if key != "PROBE"}


SECRET = re.compile(r"PASSWORD|TOKEN|SECRET|DATABASE_URL")


SCHEMA = Draft202012Validator(get_builtin_schema("vendor.compose-spec"))
"""Compose's own, of compose-spec/compose-spec; check-jsonschema brings it along (Apache-2.0)."""


def complaints(file: Mapping[str, Any]) -> list[str]:
    """Return the places and errors of a file that violates Compose's schema."""
    return [f"{error.json_path}: {error.message}" for error in SCHEMA.iter_errors(file)]


@pytest.mark.parametrize("names", [("compose.yaml",), ("compose.yaml", "compose.gpu.yaml")])
def test_compose_takes_the_files(names: tuple[str, ...]) -> None:
    assert complaints(load(*names)) == []
    for name in names:
        assert complaints(yaml.safe_load((ROOT / name).read_text())) == []


def spoilt(place: tuple[str, ...], old: str, new: Any) -> list[str]:
    """Return the complaints about a misspelt key, or a key with an invalid value."""
    file = load("compose.yaml")
    at = file
    for key in place:
        at = at[key]
    value = at.pop(old)
    at |= {new: value} if isinstance(new, str) else {old: new}
    return complaints(file)


@pytest.mark.parametrize(
    ("place", "old", "new"),
    [
        (("services", "gateway"), "healthcheck", "healthchek"),
        (("services", "gateway", "healthcheck"), "start_interval", "start_intervall"),
        (("services", "retriever"), "depends_on", ["postgres", "postgres"]),
        (("services", "triton"), "command", 7),
        (("networks", "inside"), "internal", "intern"),
        ((), "volumes", "volume"),
    ],
)
def test_what_compose_would_refuse_is_seen(place: tuple[str, ...], old: str, new: Any) -> None:
    first, *_ = spoilt(place, old, new)
    assert first.startswith(".".join(("$", *place)))
    assert str(new) in first


def test_it_has_the_whole_suite_and_the_stores(services: dict[str, Any]) -> None:
    assert set(services) == {*OURS, *ENGINES, "models", "gateway-http"}


SECRETS = Path(".secrets")
"""Files that deploy/secrets.sh creates."""


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    subprocess.run([ROOT / "deploy/secrets.sh", tmp_path], check=True)
    return tmp_path / SECRETS


def test_secrets_are_files_that_a_command_makes_once(whole: dict[str, Any], secrets: Path) -> None:
    files = {name: Path(each["file"]) for name, each in whole["secrets"].items()}
    assert all(path == SECRETS / name for name, path in files.items())
    assert {path.name for path in secrets.iterdir()} == set(files)
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    made = {path.name: path.read_text() for path in secrets.iterdir()}
    passwords = {made["database-password"]}
    for name in ("retriever", "ranker"):
        url = made[f"{name}-database-url"]
        parsed = re.fullmatch(rf"postgresql\+psycopg://{name}:(\w+)@postgres:5432/{name}", url)
        assert parsed is not None, "as a user of its own"
        passwords.add(parsed[1])
    assert len(passwords) == 3
    assert all(len(each) >= 32 for each in passwords)
    subprocess.run([ROOT / "deploy/secrets.sh", secrets.parent], check=True)
    assert {path.name: path.read_text() for path in secrets.iterdir()} == made
    ignored = subprocess.run(["git", "check-ignore", "-q", ".secrets/x"], cwd=ROOT, check=False)
    assert ignored.returncode == 0, "the password would be committed"


def targets(service: Mapping[str, Any]) -> dict[str, str]:
    """Return the names of all secrets of a service by their paths in the container."""
    return dict(
        (f"/run/secrets/{each}", each)
        if isinstance(each, str)
        else (each["target"], each["source"])
        for each in service.get("secrets", [])
    )


@pytest.mark.parametrize("name", OURS)
def test_a_service_has_the_keys_that_it_shares_with_its_peers_and_no_others(
    services: dict[str, Any], name: str, secrets: Path, tmp_path: Path
) -> None:
    folder = services[name]["environment"][f"{name.partition('-')[0].upper()}_PEER_KEYS_FOLDER"]
    held = {path: source for path, source in targets(services[name]).items()
            if path.startswith(f"{folder}/")}  # fmt: skip
    calls = {f"{folder}/{other}.key": f"{one}-{other}-key" for one, other in PAIRS if one == name}
    answers = {f"{folder}/{one}.key": f"{one}-{other}-key" for one, other in PAIRS if other == name}
    assert held == calls | answers
    for path, source in held.items():
        (tmp_path / Path(path).name).write_text((secrets / source).read_text())
    PeerCredentials.of(PeerSettings(peer_keys_folder=tmp_path))


@pytest.mark.parametrize("name", [*OURS, *ENGINES])
def test_no_environment_holds_a_secret(
    services: dict[str, Any], whole: dict[str, Any], name: str
) -> None:
    held = targets(services[name])
    assert set(held.values()) <= set(whole["secrets"])
    for key, value in services[name].get("environment", {}).items():
        assert not (SECRET.search(key) and not key.endswith("_FILE")), key
        assert "://" not in str(value) or "@" not in str(value), key
        if key.startswith(("RETRIEVER", "RANKER", "POSTGRES")) and "/run/secrets" in str(value):
            assert any(path.startswith(str(value)) for path in held), key


def test_only_the_gateway_is_published_and_on_this_machine_only(services: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {
        "gateway": ["127.0.0.1:8600:8600"],
        "gateway-http": ["127.0.0.1:8680:8680"],
    }
    assert all(service.get("network_mode") in (None, "none") for service in services.values())


def test_no_service_but_the_gateway_has_a_way_out(
    whole: dict[str, Any], services: dict[str, Any]
) -> None:
    networks = {
        "gateway": ["outside", "inside"],
        "gateway-http": ["outside"],
        "embedder": ["inside", "models"],
        "triton": ["models"],
        "models": None,
    }
    assert whole["networks"]["inside"] == whole["networks"]["models"] == {"internal": True}
    for name, service in services.items():
        assert service.get("networks") == networks.get(name, ["inside"]), name


def test_http_calls_the_gateway_by_a_socket_in_a_volume_of_theirs_alone(
    services: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway, http = services["gateway"], services["gateway-http"]
    read = loaded("gateway-http", given(http), monkeypatch)
    assert read.gateway_target == f"unix:{given(gateway)['GATEWAY_SOCKET']}"
    assert "plain text" not in " ".join(
        each for each in read.unsafe() if each.startswith("GATEWAY_HTTP_GATEWAY_TARGET")
    )
    (volume,) = gateway["volumes"]
    assert [name for name, each in services.items() if volume in each.get("volumes", [])] == [
        "gateway",
        "gateway-http",
    ]
    assert Path(given(gateway)["GATEWAY_SOCKET"]).parent == Path(volume.partition(":")[2])


def test_what_is_named_exists(whole: dict[str, Any], services: dict[str, Any]) -> None:
    mounted = set()
    for name, service in services.items():
        for other, condition in service.get("depends_on", {}).items():
            needs = condition["condition"]
            assert other in services, f"{name} waits for {other}"
            assert needs != "service_healthy" or "healthcheck" in services[other]
        for volume in service.get("volumes", []):
            source, target = volume.split(":")[:2]
            assert target.startswith("/")
            if source.startswith("./deploy/"):
                assert (ROOT / source).is_file()
                assert volume.endswith(":ro")
                continue
            assert re.fullmatch(r"[a-z-]+", source), f"{volume} is a folder of this machine"
            mounted.add(source)
        if "build" in service:
            file = ROOT / service["build"].get("dockerfile", "Dockerfile")
            assert service["build"]["context"] == "."
            stages = {stage.name for stage in dockerfiles.read(file)}
            assert service["build"].get("target", "build") in stages
    assert mounted == set(whole["volumes"])
    assert "configs" not in whole, "podman-compose does not mount them"


def gigabytes(limit: str) -> float:
    """Parse Compose's 64m and 2g, and Kubernetes' 64Mi and 2Gi."""
    found = re.fullmatch(r"(\d+)([mg])i?", limit.lower())
    assert found is not None, limit
    return int(found[1]) / (1024 if found[2] == "m" else 1)


@pytest.mark.parametrize("name", [*OURS, *ENGINES, "models"])
def test_no_container_has_privileges_or_memory_without_end(
    services: dict[str, Any], name: str
) -> None:
    service = services[name]
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert "no-new-privileges:true" in service["security_opt"]
    assert service.get("read_only", False) == (name != "milvus")
    assert gigabytes(service["mem_limit"]) > 0


def test_memory_is_bounded_as_in_kubernetes(services: dict[str, Any]) -> None:
    for name in [*OURS, "triton"]:
        (file,) = [each for each in yaml.safe_load_all(k8s_file(name)) if "Deploy" in each["kind"]]
        (container,) = file["spec"]["template"]["spec"]["containers"]
        limit = container["resources"]["limits"]["memory"]
        assert gigabytes(services[name]["mem_limit"]) == gigabytes(limit), name


def k8s_file(name: str) -> str:
    (found,) = ROOT.glob(f"deploy/k8s/base/*/{name}.yaml")
    return found.read_text()


def test_images_are_pinned_and_none_has_a_known_hole(services: dict[str, Any]) -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    floors = dict(MINIMUM)
    for service in services.values():
        name, _, tag = service["image"].partition("@")[0].rpartition(":")
        if name.startswith("sightline/"):
            assert tag == version[1]
            continue
        numbers = tuple(int(n) for n in re.findall(r"\d+", tag.split("-")[0]))
        assert len(numbers) >= 2, f"{service['image']} is not pinned"
        assert numbers >= floors.pop(name), service["image"]
    assert not floors


def test_triton_is_the_one_that_kubernetes_runs(services: dict[str, Any]) -> None:
    name, _, tag = services["triton"]["image"].partition("@")[0].rpartition(":")
    base = (ROOT / "deploy/k8s/base/images/kustomization.yaml").read_text()
    assert f"{{ name: {name}, newTag: {tag}" in base


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting_and_the_settings_are_good(
    services: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = given(services[name])
    assert set(environment) - variables(name) == set()
    loaded(name, environment, monkeypatch)


def port_of(services: Mapping[str, Any], name: str) -> set[int]:
    if name in SERVED:
        return {SERVED[name][0]}
    return {"triton": {8001}, "milvus": {19530}, "postgres": {5432}}[name]


def test_each_calls_whom_the_design_lets_it_call(services: dict[str, Any], secrets: Path) -> None:
    called = set()
    files = {f"/run/secrets/{path.name}": path.read_text() for path in secrets.iterdir()}
    for name in OURS:
        for variable, written in given(services[name]).items():
            key, value = variable.removesuffix("_FILE"), files.get(written, written)
            found = re.search(r"(?:@|//|^)([a-z-]+):(\d+)(?:/|$)", value)
            if found and key.endswith(("_TARGET", "_URI", "_URL")):
                host, port = found[1], int(found[2])
                assert port in port_of(services, host), f"{key}={value}"
                called.add((name, "stores" if host in ("milvus", "postgres") else host, port))
    # Compose has no schedule: its trainings are asked for, and done by the worker. Its gateway is
    # on the machine of whoever runs it: one port is enough.
    # Its servers make their tables themselves.
    elsewhere = {"callers", "operators", "ranker-train", *ONCE}
    assert called == {arrow for arrow in ARROWS if arrow[0] not in elsewhere}


@pytest.mark.parametrize("name", OURS)
def test_our_containers_can_change_nothing_but_their_volumes(
    services: dict[str, Any], name: str
) -> None:
    service = services[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    volumes = [volume.split(":")[1] for volume in service.get("volumes", [])]
    for key, value in given(service).items():
        if key.endswith(("PHOTOS_URL", "_BACKUPS", "_STORE", "_FILE")):
            mounts = [*volumes, *targets(service)]
            assert any(value.startswith(mount) for mount in mounts), f"{key} is on no volume"


@pytest.mark.parametrize("name", ["gateway", "retriever", "ranker", "models"])
def test_a_new_volume_belongs_to_the_user_that_writes_it(
    services: dict[str, Any], name: str
) -> None:
    """Check the owner: Docker gives a new volume that of the folder that it covers in the image."""
    build = services[name]["build"]
    stages = dockerfiles.read(ROOT / build.get("dockerfile", "Dockerfile"))
    target = next((each for each in stages if each.name == build.get("target")), stages[-1])
    made = {
        folder
        for stage in dockerfiles.lineage(stages, target)
        for run in stage.runs()
        for command in run.split("&&")
        if "65532:65532" in command or "-o 65532 -g 65532" in command
        for folder in re.findall(r"(?<=\s)/\S+", command)
    }
    for volume in services[name]["volumes"]:
        assert volume.split(":")[1] in made, volume


def test_on_a_gpu_only_triton_differs() -> None:
    plain, gpu = load("compose.yaml"), load("compose.yaml", "compose.gpu.yaml")
    changed = {name for name in gpu["services"] if gpu["services"][name] != plain["services"][name]}
    assert changed == {"triton"}
    triton = gpu["services"]["triton"]
    assert "--model-config-name=gpu" in triton["command"]
    (device,) = triton["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    for file, name in ((plain, "cpu"), (gpu, "gpu")):
        assert f"--model-config-name={name}" in file["services"]["triton"]["command"]
        assert list(ROOT.glob(f"deploy/triton/models/*/configs/{name}.pbtxt"))


@pytest.mark.parametrize("name", [name for name in OURS if name not in WORKERS])
def test_a_health_check_asks_for_the_service_itself(services: dict[str, Any], name: str) -> None:
    port, service = SERVED[name]
    assert services[name]["environment"]["PROBE"] == f"127.0.0.1:{port}/{service}"


@pytest.mark.slow
def test_the_health_check_is_red_without_a_service_and_green_with_one(
    services: dict[str, Any], tmp_path: Path
) -> None:
    """Run the health check's own command against a real gateway."""
    kind, python, *arguments = services["gateway"]["healthcheck"]["test"]
    assert (kind, python) == ("CMD", "python")
    port = free_port()
    _, full_name = services["gateway"]["environment"]["PROBE"].split("/")

    def probe(service: str) -> int:
        environment = {"PROBE": f"127.0.0.1:{port}/{service}"}
        command = [sys.executable, *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        return done.returncode

    assert probe(full_name) != 0
    environment = {"GATEWAY_PORT": str(port)}
    with (tmp_path / "log").open("wb") as log:
        gateway = subprocess.Popen(
            [sys.executable, "-m", "gateway"], env=environment, stderr=log, cwd=tmp_path
        )
    try:
        until = time.monotonic() + SECONDS
        while probe(full_name) != 0:
            assert time.monotonic() < until, (tmp_path / "log").read_text()
        assert probe("sightline.gateway.v1.NoSuchService") != 0
    finally:
        gateway.terminate()
        gateway.wait(SECONDS)
