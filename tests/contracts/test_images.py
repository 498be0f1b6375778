"""Properties of the Dockerfiles, read from their text. tests/wire/test_alone.py runs their build
stages; neither needs an engine to build images.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from local_suite.programs import GRPC
from sightline_agents import settings as agents
from sightline_console import settings as console
from tests import dockerfiles
from tests.contracts.settings import variables
from tests.dockerfiles import ROOT, Stage, exec_form, ignored, lineage, read
from tests.waiting import SECONDS

OURS = ROOT / "Dockerfile"
LOCKED = ["gateway", "embedder", "retriever", "ranker", "vision", "all", "agents", "console"]
"""Images with packages of the workspace's lock."""
TRITON = ROOT / "deploy/triton/Dockerfile"
FILES = {**dict.fromkeys(LOCKED, OURS), "ranker-train": OURS, "models": TRITON}
SERVICES = LOCKED[:-2]
FOUR = {"gateway": "8600 8680", "embedder": "8601", "retriever": "8602", "ranker": "8603"}
PORTS = {**FOUR, "vision": "8605"}
INSIDE = {**{name: [name] for name in PORTS}, "all": list(FOUR)}
"""The services that an image runs."""
MODULES = {**{name: name for name in PORTS}, "all": "sightline_all"}
COMPILERS = re.compile(r"(?<!\S)(gcc|g\+\+|clang|build-essential|c?make|[a-z0-9]\S*-dev)(?!\S)")


def final(name: str) -> list[Stage]:
    """Return the stage that becomes an image, with the stages that it is built on."""
    stages = read(FILES[name])
    named = [stage for stage in stages if stage.name == name]
    return lineage(stages, named[0] if named else stages[-1])


def builders(name: str) -> list[Stage]:
    """Return the stages in which the packages of an image are installed."""
    stages = read(FILES[name])
    (build,) = [stage for stage in stages if stage.name == f"build-{name}"]
    return lineage(stages, build)


def images() -> list[tuple[str, str]]:
    """Return (name, image) of every image that a file starts from."""
    found = []
    for path in (OURS, TRITON):
        stages = read(path)
        own = {stage.name for stage in stages if stage.name}
        found += [(path.parent.name, stage.base) for stage in stages if stage.base not in own]
    return found


@pytest.mark.parametrize(("name", "image"), images())
def test_every_base_is_pinned_to_a_whole_version(name: str, image: str) -> None:
    assert re.search(r":\d+\.\d+\.\d+(-[a-z]+)*(@sha256:[0-9a-f]{64})?$", image), image


def test_uv_is_the_one_that_make_installs() -> None:
    wanted = re.search(r"^uv==(\S+)", (ROOT / "deploy/tools.txt").read_text(), re.MULTILINE)
    assert wanted is not None
    bases = {image.split("@")[0] for _, image in images()}
    assert {base for base in bases if "/uv:" in base} == {f"ghcr.io/astral-sh/uv:{wanted[1]}"}
    assert len({base for base in bases if base.startswith("python:3.11.")}) == 1


def test_every_stage_that_starts_something_is_an_image() -> None:
    stages = [stage for path in {*FILES.values()} for stage in read(path)]
    started = [stage for stage in stages if stage.all("ENTRYPOINT") or stage.all("CMD")]
    assert len(started) == len(FILES)
    assert {stage.name for stage in started} == {*FILES} - {"models"} | {""}


@pytest.mark.parametrize("name", FILES)
def test_an_image_is_no_build_stage_and_runs_as_a_numbered_user(name: str) -> None:
    stages = final(name)
    assert not any(stage.name.startswith(("build", "workspace")) for stage in stages)
    assert any("--from=build" in copy for stage in stages for copy in stage.all("COPY"))
    user = [user for stage in stages for user in stage.all("USER")][-1]
    assert user == "65532:65532", "Kubernetes can't tell that a name is not root"


@pytest.mark.parametrize("name", FILES)
def test_no_compiler_gets_into_an_image(name: str) -> None:
    for command in (command for stage in final(name) for command in stage.runs()):
        assert not COMPILERS.search(command), command
        assert "uv " not in command
        assert "pip" not in command


def test_the_compiler_is_where_lightfm_is_built_and_builds_for_every_processor() -> None:
    compiling = [each for each in read(OURS) if any(COMPILERS.search(run) for run in each.runs())]
    assert [stage.name for stage in compiling] == ["build-ranker-train"]
    assert compiling[0].pairs("ENV")["LIGHTFM_NO_CFLAGS"] == "1"


@pytest.mark.parametrize("name", LOCKED)
def test_what_is_installed_is_what_the_lock_says(name: str) -> None:
    stages = builders(name)
    syncs = [run for stage in stages for run in stage.runs() if run.startswith("uv ")]
    assert len(syncs) >= 2
    for command in syncs:
        words = command.split()
        assert words[:2] == ["uv", "sync"]
        assert {"--locked", "--no-dev"} <= set(words)
        assert words[words.index("--package") + 1] == f"sightline-{name}"
        assert "--no-editable" in words or "--no-install-workspace" in words
    copies = [copy for stage in stages for copy in stage.all("COPY")]
    copied = [word for copy in copies for word in copy.split()[:-1]]
    assert "uv.lock" in copied
    assert [word for word in copied if word.endswith("/src")] == sources(name)


def sources(name: str) -> list[str]:
    """Return the folders of sources that an image is built from."""
    if name in ("agents", "console"):
        return ["client/src", f"{name}/src"]
    services = dict.fromkeys([*INSIDE[name], name])
    shared = ["kit/src", "rules/src"] if name == "vision" else ["kit/src", "rules/src", "core/src"]
    return [*shared, *(f"services/{each}/src" for each in services)]


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_starts_its_service_and_is_reachable(name: str) -> None:
    stages = final(name)
    assert exec_form(stages[-1], "ENTRYPOINT") == ["python", "-m", MODULES[name]]
    ports = " ".join(PORTS[each] for each in INSIDE[name])
    assert [port for stage in stages for port in stage.all("EXPOSE")] == [ports]
    environment = {k: v for stage in stages for k, v in stage.pairs("ENV").items()}
    for each in INSIDE[name]:
        assert environment[f"{each.upper()}_HOST"] == "0.0.0.0"  # noqa: S104 - inside a container
        ours = {key for key in environment if key.startswith(f"{each.upper()}_")}
        assert ours <= variables(each) | (variables("gateway-http") if each == "gateway" else set())
    assert GRPC.items() <= environment.items(), "as make up has it"


@pytest.mark.parametrize(
    ("name", "port", "command"),
    [("agents", agents.Listening().port, ["http"]), ("console", console.Listening().port, [])],
)
def test_an_image_of_a_command_starts_it_and_is_reachable(
    name: str, port: int, command: list[str]
) -> None:
    stages = final(name)
    assert exec_form(stages[-1], "ENTRYPOINT") == ["python", "-m", f"sightline_{name}"]
    assert ([exec_form(stages[-1], "CMD")] if command else stages[-1].all("CMD")) == (
        [command] if command else []
    )
    assert [port for stage in stages for port in stage.all("EXPOSE")] == [str(port)]
    environment = {k: v for stage in stages for k, v in stage.pairs("ENV").items()}
    host = f"SIGHTLINE_{name.upper()}_HOST"
    assert environment[host] == "0.0.0.0"  # noqa: S104 - inside a container
    assert GRPC.items() <= environment.items(), "as make up has it"


@pytest.mark.parametrize("known", [True, False])
def test_grpc_knows_what_it_has_to_do_without(known: bool) -> None:
    """Check the option by its warning: a later gRPC only warns of an unknown one."""
    given = GRPC if known else {"GRPC_EXPERIMENTS": "-no_such_thing"}
    program = "import grpc; grpc.insecure_channel('127.0.0.1:1').close()"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | given,
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )
    assert ("Unknown experiment" in ended.stderr) != known


def test_the_image_for_training_is_the_worker() -> None:
    assert exec_form(final("ranker-train")[-1], "ENTRYPOINT") == ["python", "-m", "ranker.worker"]


@pytest.mark.parametrize("name", FILES)
def test_images_say_what_they_are(name: str) -> None:
    labels = {k: v for stage in final(name) for k, v in stage.pairs("LABEL").items()}
    named = {key.removeprefix("org.opencontainers.image.") for key in labels}
    assert named == {"title", "description", "licenses", "version", "revision"}
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    if name in LOCKED:
        folder = ROOT / "services" / name if name in SERVICES else ROOT / name
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        assert labels["org.opencontainers.image.description"] == project["description"]


@pytest.mark.parametrize("path", {*FILES.values()})
def test_no_secret_is_built_in(path: Path) -> None:
    for stage in read(path):
        for key in {**stage.pairs("ENV"), **dict.fromkeys(stage.all("ARG"), "")}:
            assert not re.search(r"PASSWORD|TOKEN|SECRET|_KEY|DATABASE_URL", key.upper()), key


def test_the_context_holds_what_is_built_from_and_nothing_private() -> None:
    for path in (
        ".git/config",
        ".env",
        ".venv/bin/python",
        ".data/suite/ranker/pseudonym.key",
        "services/ranker/.env",
        "services/ranker/.data/ranker.db",
        "kit/src/servicekit/sql/__pycache__/database.cpython-311.pyc",
        "deploy/triton/models/efficientnet_lite0/1/model.onnx",
        "deploy/triton/.venv/bin/python",
        "tests/conftest.py",
    ):
        assert ignored(path), path
    for path in (
        "uv.lock",
        "protos/sightline/common/v1/job.proto",
        "kit/src/servicekit/sql/database.py",
        "deploy/triton/triton_engine/backbones/exported.onnx",
        "deploy/triton/server/locked-triton",
    ):
        assert not ignored(path), path


def run_images(
    *arguments: str, path: str = os.environ["PATH"], **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(ROOT / "deploy/images.sh"), *arguments],
        env={"PATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def printed(*names: str, **environment: str) -> list[list[str]]:
    """Return the words of each command that would run."""
    done = run_images("--print", *names, **environment)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


def test_make_images_builds_every_image() -> None:
    commands = printed()
    assert [words[:3] for words in commands] == [["docker", "buildx", "build"]] * 11
    built = [words[words.index("--file") + 1] for words in commands]
    assert built == ["Dockerfile"] * 9 + [
        "deploy/triton/Dockerfile",
        "deploy/triton/server/Dockerfile",
    ]
    targets = [words[words.index("--target") + 1] for words in commands[:9]]
    assert targets == [*LOCKED, "ranker-train"]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert all(words[words.index("--tag") + 1].endswith(f":{version}") for words in commands)
    assert all("--load" in words and "--push" not in words for words in commands)


def test_images_are_built_for_several_platforms_and_pushed_with_what_is_in_them() -> None:
    asked = {"PLATFORMS": "linux/amd64,linux/arm64", "PUSH": "1", "TAG": "candidate"}
    (words,) = printed("ranker-train", **asked, REGISTRY="ghcr.io/you/sightline")
    assert words[words.index("--platform") + 1] == "linux/amd64,linux/arm64"
    assert words[words.index("--tag") + 1] == "ghcr.io/you/sightline/ranker-train:candidate"
    assert {"--push", "--sbom=true", "--provenance=mode=max"} <= set(words)
    assert "--load" not in words
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"VERSION={version}" in words, "an image says its version, whatever its tag"


def test_what_cannot_be_built_is_refused_before_anything_is() -> None:
    unknown = run_images("--print", "gateway", "gatewai")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert 'no image "gatewai"' in unknown.stderr
    unpushed = run_images("--print", PLATFORMS="linux/amd64,linux/arm64")
    assert (unpushed.returncode, unpushed.stdout) == (1, "")
    assert "PUSH=1" in unpushed.stderr


def test_podman_builds_the_same_images_under_docker_hubs_names() -> None:
    ours = [words[words.index("--tag") + 1] for words in printed()]
    commands = printed(CONTAINER="podman")
    assert [words[:2] for words in commands] == [["deploy/podman.sh", "build"]] * 11
    assert [words[words.index("--tag") + 1] for words in commands] == [
        f"docker.io/{each}" for each in ours
    ], "Kubernetes looks for the short name on Docker Hub"
    assert all("--load" not in words for words in commands)
    (elsewhere,) = printed("gateway", CONTAINER="podman", REGISTRY="ghcr.io/you/sightline")
    assert elsewhere[elsewhere.index("--tag") + 1].startswith("ghcr.io/you/sightline/gateway:")


def test_bases_can_be_replaced_by_a_mirrors() -> None:
    (words,) = printed("gateway", PYTHON_IMAGE="mirror.example/python:3.11")
    assert "PYTHON_IMAGE=mirror.example/python:3.11" in words
    assert not any(word.startswith("UV_IMAGE=") for word in words), "its default stays"
    for path in (OURS, TRITON):
        stages = {stage.name for stage in read(path)}
        bases = {*re.findall(r"^FROM (\S+)", path.read_text(), re.MULTILINE)} - stages
        assert all(re.fullmatch(r"\$\{[A-Z]+_IMAGE\}", base) for base in bases), path


def test_without_a_registry_every_base_and_the_stores_are_made_here() -> None:
    commands = printed(LOCAL_BASES="1")
    made = {words[2] for words in commands if words[0] == "deploy/local-bases/build.sh"}
    used = {
        word.partition("=")[2]
        for words in commands
        for word in words
        if re.match(r"[A-Z]+_IMAGE=", word)
    }
    assert len(used) == 4
    stores = re.findall(
        r"^ +image: ((?!sightline/)\S+)", (ROOT / "compose.yaml").read_text(), re.MULTILINE
    )
    hub = {f"docker.io/{name if '/' in name else f'library/{name}'}" for name in stores}
    assert made == used | hub
    targets = {stage.name for stage in read(ROOT / "deploy/local-bases/Dockerfile")}
    assert {words[1] for words in commands if words[0].endswith("build.sh")} <= targets


def test_what_podman_cannot_do_is_refused() -> None:
    for environment, said in (
        ({"CONTAINER": "podman", "PUSH": "1"}, "by Docker only"),
        ({"CONTAINER": "docker", "LOCAL_BASES": "1"}, "leave out CONTAINER=docker"),
        ({"CONTAINER": "lxc"}, "by docker or podman"),
    ):
        done = run_images("--print", **environment)
        assert (done.returncode, done.stdout) == (1, "")
        assert said in done.stderr


@pytest.mark.parametrize(
    ("docker", "said"),
    [
        (None, "no docker command"),
        ("exit 1", "buildx, which is missing"),
        ('[ "$1" = buildx ]', "its engine does not answer"),
    ],
)
def test_without_docker_make_images_says_so(docker: str | None, said: str, tmp_path: Path) -> None:
    for tool in ("sed", "head", "dirname", "git", "tr", "expr", "sh"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or tool)
    if docker:
        (tmp_path / "docker").write_text(f"#!/bin/sh\n{docker}\n")
        (tmp_path / "docker").chmod(0o755)
    done = run_images(path=str(tmp_path))
    assert done.returncode == 1
    assert "need Docker" in done.stderr
    assert said in done.stderr
    assert not done.stdout


def test_what_these_tests_read_is_what_docker_reads(tmp_path: Path) -> None:
    """Check the reader itself: continued lines, comments between them, stages built on stages."""
    file = tmp_path / "Dockerfile"
    file.write_text(
        "FROM a:1 AS low\n# no\nRUN one && \\\n    # not this\n    two\n\nFROM low\nUSER 7\n"
    )
    low, top = dockerfiles.read(file)
    assert low.steps == (("RUN", "one && two"),)
    assert [stage.base for stage in lineage([low, top], top)] == ["a:1", "low"]
