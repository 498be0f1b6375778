"""The Java client: `make java` writes a Maven project whose own tests pass, at a suite with the
wines too.

Java's libraries are Debian's, as in test_clients.py. Maven's registry is not needed: the project is
compiled by javac alone, with Google's files of the contract, which Debian's jar of them lacks.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest
from defusedxml import ElementTree

from examples.wines.catalogue import load_wines
from sightline.protos import write
from tests.live.test_clients import LANGUAGES, SECONDS, with_languages

pytestmark = pytest.mark.when("client", "docs", "protos")

ROOT = Path(__file__).parents[2]
README = (ROOT / "client/java/README.md").read_text("utf-8")
JARS = LANGUAGES / "share/java"
POM = "{http://maven.apache.org/POM/4.0.0}"


def run(*command: str | Path, cwd: Path, environment: dict[str, str]) -> str:
    """Run a command. Return its output; fail with it."""
    done = subprocess.run(
        command, cwd=cwd, env=environment,
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.full
def test_the_project_that_make_java_writes_passes_its_tests_at_a_suite(
    gateway: str, shop_is_open: None, tmp_path: Path
) -> None:
    environment = os.environ | with_languages("javac", LANGUAGES / "bin/grpc_java_plugin")
    if not (JARS / "junit4.jar").exists():
        pytest.skip(
            "NOT RUN: junit4.jar is missing; `make tools` unpacks it where apt has Debian 12's"
        )
    environment["JAVA_TOOL_OPTIONS"] = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
    (group,) = re.findall(r"^make java GROUP=(\S+)", README, re.MULTILINE)
    project, made = tmp_path / "java", {"OUT": str(tmp_path / "java"), "GROUP": group}
    for _ in range(2):  # the second time over its own output
        run(ROOT / "deploy/java.sh", cwd=ROOT, environment=environment | made)
    pom = ElementTree.parse(project / "pom.xml").getroot()
    assert pom.findtext(f"{POM}groupId") == group
    assert (pom.findtext(f"{POM}version") or "0") != "0"

    (snippet,) = re.findall(r"^```java\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    (project / "Shop.java").write_text(snippet)
    protos = tmp_path / "protos"
    write(protos)
    google = sorted(str(path.relative_to(protos)) for path in (protos / "google").rglob("*.proto"))
    (tmp_path / "google").mkdir()
    run("protoc", "--java_out=../google", *google, cwd=protos, environment=environment)
    sources = [*project.rglob("*.java"), *(tmp_path / "google").rglob("*.java")]
    (tmp_path / "sources").write_text("\n".join(map(str, sources)))
    path = f"classes:{project}/src/main/resources:{JARS}/*"
    run(
        *("javac", "-nowarn", "-proc:none", "--release", "17"),
        *("-d", "classes", "-cp", path, "@sources"),
        cwd=tmp_path, environment=environment,
    )  # fmt: skip
    wine = load_wines()[0].id
    suite = {
        "SIGHTLINE_TARGET": gateway,
        "SIGHTLINE_PHOTO": str(ROOT / f"examples/wines/images/{wine}.jpg"),
    }
    tests = [f"sightline.client.{each.stem}" for each in project.rglob("*Test.java")]
    printed = run(
        *("java", "-cp", path, "org.junit.runner.JUnitCore", *tests),
        cwd=tmp_path, environment=environment | suite,
    )  # fmt: skip
    assert len(tests) == 2
    assert f"first: {wine}\n" in printed, "the photo is its own"


def refused(out: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script that writes the project."""
    return subprocess.run(
        [ROOT / "deploy/java.sh"],
        env=os.environ | {"OUT": str(out)} | environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_what_is_no_group_id_is_refused(tmp_path: Path) -> None:
    done = refused(tmp_path / "java", GROUP="com/shop")
    assert done.returncode == 2
    assert "no group id" in done.stderr
    assert not (tmp_path / "java").exists()


def test_another_protoc_is_refused(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, version in (("protoc", "libprotoc 31.1"), ("grpc_java_plugin", "")):
        (tools / name).write_text(f"#!/bin/sh\necho {version}\n")
        (tools / name).chmod(0o755)
    done = refused(tmp_path / "java", PATH=f"{tools}:{os.environ['PATH']}")
    assert done.returncode == 1
    assert "must be version 3.21 to 3.25" in done.stderr
