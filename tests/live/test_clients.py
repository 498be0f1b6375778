"""The clients in other languages work by the commands of their pages.

Go and Java are compiled with Debian's packages, which `make tools` unpacks into .tools/languages.
Where there is no such toolchain they are NOT MEASURED; tests/contracts/test_clients.py still has
protoc compile what the pages name.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from examples.wines.catalogue import load_wines
from sightline.protos import write
from tests import npm

pytestmark = pytest.mark.full

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "docs" / "integrate" / "clients"
LANGUAGES = ROOT / ".tools" / "languages" / "usr"
GO = LANGUAGES / "lib" / "go-1.24" / "bin"
ADDRESS = "127.0.0.1:8600"
"""The gateway's address on the pages."""

SECONDS = 400
"""Seconds for all commands of a page: Go compiles its own library once, and Java 565 files."""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clone after `make protos-bundle`, with the files that the pages name."""
    folder = tmp_path_factory.mktemp("clone")
    shutil.copytree(CLIENTS, folder / "docs" / "integrate" / "clients", ignore=_made)
    (folder / "examples").symlink_to(ROOT / "examples")
    write(folder / "dist" / "protos")
    return folder


def _made(folder: str, names: list[str]) -> set[str]:
    """Return the files that the pages' commands created in this clone."""
    made = {"node_modules", "generated", "classes", "own"}
    return made & set(names) | {name for name in names if (Path(folder) / name / "v1").is_dir()}


def typed(language: str) -> str:
    """Return the commands of a language's page in their order."""
    page = (CLIENTS / language / "README.md").read_text("utf-8")
    return "".join(re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))


def follow(language: str, repository: Path, gateway: str, **environment: str) -> str:
    """Run a page's commands in its folder until one fails. Return their output."""
    commands = typed(language).replace(ADDRESS, gateway)
    # Debian's packages are unpacked here, and not installed.
    commands = commands.replace("/usr/share/java", str(LANGUAGES / "share/java"))
    commands = commands.replace("/usr/bin/", f"{LANGUAGES}/bin/")
    folder = Path(environment.get("PWD", repository / "docs" / "integrate" / "clients" / language))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def with_languages(*missing_without: Path | str) -> dict[str, str]:
    """Return an environment with Debian's tools; skip if one is missing."""
    for each in missing_without:
        if not shutil.which(each):
            pytest.skip(
                f"NOT RUN: {each} is missing; `make tools` unpacks it where apt has Debian 12's"
            )
    return {
        "PATH": f"{LANGUAGES}/bin:{GO}:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": str(LANGUAGES / "lib" / "x86_64-linux-gnu"),
    }


def check(printed: str, refused: str, late: str, field: str = "page_size") -> list[str]:
    """Check the output, which differs between languages only in gRPC's codes, and over HTTP in the
    name of the refused field. Return the lines after it."""
    wine = load_wines()[0]
    titles = {each.id: each.title for each in load_wines()}
    lines = printed.splitlines()
    assert lines[0] == f"1. {wine.id} {wine.title}", "the photo is its own"
    for rank, line in enumerate(lines[:5], start=1):
        place, product, title = line.split(" ", 2)
        assert (place, title) == (f"{rank}.", titles[product])
    reason = f"PAGE_SIZE_INVALID: {field}: must be 1 to 200, or 0 for the default"
    assert lines[5:7] == ["written: 1", f"refused: {refused} {reason}"]
    if not late:
        return lines[7:]
    assert lines[7] == f"too late: {late}"
    return lines[8:]


def test_node(repository: Path, gateway: str, shop_is_open: None) -> None:
    printed = follow("node", repository, gateway, **npm.options())
    check(printed[printed.index("1. ") :], "INVALID_ARGUMENT", "DEADLINE_EXCEEDED")


def test_go(repository: Path, gateway: str, shop_is_open: None, tmp_path: Path) -> None:
    environment = with_languages(GO / "go", LANGUAGES / "bin/protoc-gen-go-grpc")
    sources = tmp_path / "src"
    sources.mkdir()
    for each in (LANGUAGES / "share/gocode/src").iterdir():
        (sources / each.name).symlink_to(each)
    (sources / "sightline").symlink_to(repository / "docs" / "integrate" / "clients" / "go")
    environment |= {
        "PWD": str(sources / "sightline"),
        "GOPATH": str(tmp_path),
        "GO111MODULE": "off",
        "GOCACHE": str(ROOT / ".tools/languages/go-cache"),
        # What is compiled is known again in another folder; and what is run once need not be fast.
        "GOFLAGS": "-trimpath -gcflags=all=-l",
        "GOGC": "off",  # of the compiler, a third of whose time it is
        "CGO_ENABLED": "0",
    }
    check(follow("go", repository, gateway, **environment), "InvalidArgument", "DeadlineExceeded")

    module = sources / "shop.example/backend/sightline"
    module.parent.mkdir(parents=True)
    module.symlink_to(repository / "docs/integrate/clients/go/own")
    vetted = subprocess.run(
        ["go", "vet", ".", "shop.example/backend/sightline/gateway/v1"],
        cwd=sources / "sightline",
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert vetted.returncode == 0, vetted.stderr
    own = (module / "gateway/v1/recommendation_service.pb.go").read_text("utf-8")
    assert "package gatewayv1" in own
    assert "sightline/common/v1" not in own.replace("shop.example/backend/sightline", "")


def test_java(repository: Path, gateway: str, shop_is_open: None) -> None:
    environment = with_languages("javac", LANGUAGES / "bin/grpc_java_plugin")
    # Half of javac's processor time went into optimizing itself (39 s, now 20, 2026-11).
    environment |= {"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}
    printed = follow("java", repository, gateway, **environment)
    check(printed, "INVALID_ARGUMENT", "DEADLINE_EXCEEDED")
