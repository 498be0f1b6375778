"""Supply chain: locks, tools and third-party images, their advisories, and the content of each
image.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker

from docs import platforms
from tests.engines import free_port

ROOT = Path(__file__).parents[2]
UV = ROOT / ".tools/bin/uv"
DIGEST = "sha256:" + "0123456789abcdef" * 4
TRITON = ROOT / "deploy/triton/server/Dockerfile"
LOCKS = [
    *("uv.lock", "lab/uv.lock"),
    *(f"deploy/{name}/uv.lock" for name in ("triton", "milvus", "milvus-server")),
]


def locked(lock: str = "uv.lock") -> dict[str, str]:
    """Return the version of each package in a lock; the newest of several."""
    packages = tomllib.loads((ROOT / lock).read_text())["package"]
    return {each["name"]: each["version"] for each in packages}


def project(lock: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / lock).with_name("pyproject.toml").read_text())


# Tools


def test_the_first_make_installs_the_uv_of_the_lock_by_its_hashes() -> None:
    exported = subprocess.run(
        [UV, "export", "--quiet", "--frozen", "--only-group", "tools", "--no-header"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    held = (ROOT / "deploy/tools.txt").read_text()
    assert [line for line in held.splitlines() if not line.startswith("#")] == exported.splitlines()
    assert "--require-hashes" in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("lock", LOCKS)
def test_what_builds_a_package_is_pinned(lock: str) -> None:
    """Check build tools, which locks do not name: their versions must be those of the root's
    lock."""
    constraints = dict(
        each.split("==") for each in project(lock)["tool"]["uv"]["build-constraint-dependencies"]
    )
    versions = locked()
    assert constraints == {name: versions[name] for name in constraints}
    wanted = {"editables", "hatchling", *_needs("hatchling")}
    if lock in {"uv.lock", "lab/uv.lock"}:
        wanted |= {"setuptools"}  # LightFM's
    assert set(constraints) == wanted


def _needs(package: str) -> set[str]:
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    (found,) = [each for each in packages if each["name"] == package]
    return {each["name"] for each in found.get("dependencies", ())}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_of_a_lock_has_its_hash(lock: str) -> None:
    for package in tomllib.loads((ROOT / lock).read_text())["package"]:
        if "registry" in package["source"]:
            files = [*package.get("wheels", ()), *filter(None, [package.get("sdist")])]
            assert files, package["name"]
            assert all(file["hash"].startswith("sha256:") for file in files), package["name"]


@pytest.mark.full
@pytest.mark.slow
def test_numbers_are_of_a_numpy_that_is_kept_up() -> None:
    """Check for NumPy 2 and a pyarrow that needs it; only Triton's wheel requires the old one."""
    held = {lock: locked(lock)["numpy"] for lock in LOCKS if "numpy" in locked(lock)}
    assert {lock for lock, version in held.items() if version.startswith("1.")} == {
        "deploy/triton/uv.lock"
    }
    (triton,) = [
        each
        for each in tomllib.loads((ROOT / "deploy/triton/uv.lock").read_text())["package"]
        if each["name"] == "nvidia-pytriton"
    ]
    assert "numpy" in {each["name"] for each in triton["dependencies"]}
    assert int(locked()["pyarrow"].split(".")[0]) >= 22


# Images


def naming() -> list[Path]:
    """Return the tracked files that may name an image."""
    listed = subprocess.run(
        ["git", "ls-files", "compose*.yaml", ".github/*.yaml", "deploy/*.yaml", "*Dockerfile"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    return [Path(each) for each in listed]


def references(root: Path = ROOT) -> list[str]:
    """Return every third-party image that is run or built on, with its tag and, if present,
    digest."""
    found = []
    for path in naming():
        text = (root / path).read_text()
        stages = set(re.findall(r"^FROM .+ AS (\S+)$", text, re.MULTILINE))
        named = re.findall(
            r"^(?:ARG \w+_IMAGE=|(?:FROM|[ -]+image:) +)[\"']?([^\s\"'{[$]+)", text, re.MULTILINE
        )
        rows = re.findall(r"\{ name: (\S+), newTag: ([^, ]+)(?:, digest: (\S+))? \}", text)
        named += [f"{name}:{tag}" + (f"@{held}" if held else "") for name, tag, held in rows]
        found += [each for each in named if each not in stages]
    own = ("sightline/", "scratch")
    return [each for each in found if not each.startswith(own)]


@pytest.mark.full
def test_all_images_carry_digests_once_one_of_them_does() -> None:
    """Check digests, which `make digests` reads from the registries: once one image has a digest,
    every image must have exactly one."""
    held = references()
    assert len({each.partition("@")[0] for each in held}) == 10
    digests = {each.partition("@")[2] for each in held}
    if digests != {""}:
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in digests), held
    assert len({each.partition("@")[0] for each in held}) == len(set(held))


@pytest.mark.full
@pytest.mark.slow
def test_make_digests_pins_every_image_everywhere(tmp_path: Path) -> None:
    """Run the script twice with a fake registry, the second time with newer builds."""
    for path in naming():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, tmp_path / path)
    images = {each.partition("@")[0] for each in references()}
    for digest in (DIGEST, "sha256:" + "f" * 64):
        docker = tmp_path / "bin/docker"
        docker.parent.mkdir(exist_ok=True)
        docker.write_text(f"#!/bin/sh\necho {digest}\n")
        docker.chmod(0o755)
        done = subprocess.run(
            [ROOT / "deploy/digests.sh", tmp_path],
            env={"PATH": f"{docker.parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert {line.split()[0] for line in done.stdout.splitlines()} == images
        assert set(references(tmp_path)) == {f"{image}@{digest}" for image in images}


# Advisories


class Answers(BaseHTTPRequestHandler):
    """OSV's two calls, about one package that has a hole."""

    holed = ""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))["queries"]
        held = [{"id": "OSV-1", "modified": "2026-01-01T00:00:00Z"}]
        self._answer(
            {
                "results": [
                    {"vulns": held} if each["package"]["name"] == self.holed else {}
                    for each in asked
                ]
            }
        )

    def do_GET(self) -> None:
        self._answer(
            {
                "id": "OSV-1",
                "modified": "2026-01-01T00:00:00Z",
                "summary": "It has a hole",
                "affected": [{"package": {"name": self.holed, "ecosystem": "PyPI"}}],
            }
        )

    def _answer(self, message: Mapping[str, Any]) -> None:
        body = json.dumps(message).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Suppress the log."""


@contextmanager
def osv(holed: str) -> Iterator[str]:
    """Run a fake OSV on this machine. Yield its address."""
    made = type("_Answers", (Answers,), {"holed": holed})
    with ThreadingHTTPServer(("127.0.0.1", 0), made) as server, ThreadPoolExecutor(1) as threads:
        threads.submit(server.serve_forever)
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def advisories(at: str) -> subprocess.CompletedProcess[str]:
    """Run `make advisories` on uv's locks; tests do not call npm's registry."""
    quiet = {"UV_HTTP_RETRIES": "0", "UV_HTTP_TIMEOUT": "10", "npm_config_registry": at}
    return subprocess.run(
        [ROOT / "deploy/advisories.sh"],
        env={**os.environ, **quiet, "npm_config_fetch_retries": "0", "OSV_URL": at},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.full
@pytest.mark.slow
def test_every_lock_is_asked_about_and_an_advisory_is_an_error() -> None:
    with osv("jinja2") as at:
        done = advisories(at)
    listed = subprocess.run(
        ["git", "ls-files", "*uv.lock", "*package-lock.json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert all(f"{lock}: " in done.stdout for lock in listed), done.stdout
    assert "\nuv.lock: ADVISORIES" in f"\n{done.stdout}"
    assert "OSV-1" in done.stdout
    assert "deploy/milvus-server/uv.lock: no advisory" in done.stdout
    assert done.returncode == 1


@pytest.mark.full
@pytest.mark.slow
def test_where_nobody_can_be_asked_it_says_so_and_why() -> None:
    done = advisories(f"http://127.0.0.1:{free_port()}")
    assert "\nuv.lock: NOT MEASURED: " in f"\n{done.stdout}"
    assert "no advisory" not in done.stdout
    assert "ADVISORIES" not in done.stdout
    assert done.returncode == 0


# What is in an image


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the output of `make sbom` by image."""
    folder: Path = tmp_path_factory.mktemp("sbom")
    subprocess.run(
        [ROOT / "deploy/sbom.sh"],
        env={**os.environ, "OUT": str(folder)},
        capture_output=True,
        check=True,
        timeout=300,
    )
    return {path.name.split(".")[0]: json.loads(path.read_text()) for path in folder.iterdir()}


@pytest.mark.full
@pytest.mark.slow
def test_each_image_has_a_list_of_what_is_in_it(listed: dict[str, Any]) -> None:
    built = re.findall(r"^image (\S+)", (ROOT / "deploy/images.sh").read_text(), re.MULTILINE)
    assert set(listed) == set(built) - {"triton"}  # NVIDIA's, without anything of ours
    parts = {
        name: {each["name"]: each.get("version") for each in bom["components"]}
        for name, bom in listed.items()
    }
    versions = locked()
    for name, found in parts.items():
        assert listed[name]["bomFormat"] == "CycloneDX"
        if name != "models":
            assert found["grpcio"] == versions["grpcio"]
        assert not {"pytest", "ruff", "nvidia-pytriton"} & set(found), name
    assert "psycopg" in parts["retriever"]
    assert "psycopg" not in parts["gateway"]
    assert "rectools-lightfm" in parts["ranker-train"]
    assert "rectools-lightfm" not in parts["ranker"]
    assert "onnx" in parts["models"]


def on_linux(marker: str) -> bool:
    machines = platforms.MACHINES.values()
    return not marker or any(
        Marker(marker).evaluate({"platform_machine": each, "sys_platform": "linux"})
        for each in machines
    )


@pytest.mark.full
@pytest.mark.slow
def test_what_no_platform_lets_in_is_in_no_list(listed: dict[str, Any]) -> None:
    for image in platforms.images((ROOT / "deploy/images.sh").read_text()):
        if (bom := listed.get(image.name)) is None:
            continue
        needed = {name for name, _, marker in platforms.required(image) if on_linux(marker)}
        there = {each["name"] for each in bom["components"] if "purl" in each}
        assert there == needed if image.name != "models" else there < needed, image.name
        known = {each["bom-ref"] for each in (*bom["components"], bom["metadata"]["component"])}
        named = {ref for each in bom["dependencies"] for ref in each.get("dependsOn", ())}
        assert named <= known
        assert {each["ref"] for each in bom["dependencies"]} <= known
    assert "huggingface-hub" not in str(listed["embedder"])
