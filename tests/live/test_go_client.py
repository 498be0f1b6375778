"""The Go client: `make go` writes a module whose own tests pass, at a suite with the wines too.

Go and its libraries are Debian's, as in test_clients.py. Go's module proxy is not needed: the
libraries are linked into the module's vendor folder.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

from examples.wines.catalogue import load_wines
from tests.live.test_clients import GO, LANGUAGES, SECONDS, with_languages

pytestmark = pytest.mark.when("client", "docs", "protos")

ROOT = Path(__file__).parents[2]
README = (ROOT / "client/go/README.md").read_text("utf-8")
LIBRARIES = LANGUAGES / "share/gocode/src"
IN_README = """package sightline_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	sightline "{module}"
	gatewayv1 "{module}/gateway/v1"
)

func inReadme(ctx context.Context, photo []byte) error {{
{snippet}	return nil
}}

var _ = inReadme
"""


def vendor(module: Path) -> None:
    """Link Debian's libraries into a module, as of the versions that it requires."""
    # Debian generates some of gRPC's code by an older protoc-gen-go, which needs one more module.
    with (module / "go.mod").open("a") as file:
        file.write("\nrequire github.com/golang/protobuf v1.5.4 // indirect\n")
    required = dict(
        re.findall(r"^(?:\t|require )(\S+) (v\S+)", (module / "go.mod").read_text(), re.M)
    )
    packages: dict[str, set[str]] = {name: set() for name in required}
    for folder in ("google.golang.org", "golang.org/x", "github.com/golang"):
        (module / "vendor" / folder).mkdir(parents=True)
        for library in (LIBRARIES / folder).iterdir():
            (module / "vendor" / folder / library.name).symlink_to(library)
            for file in library.rglob("*.go"):
                name = str(file.parent.relative_to(LIBRARIES))
                if owners := [each for each in required if f"{name}/".startswith(f"{each}/")]:
                    packages[max(owners, key=len)].add(name)
    lines = []
    for name, version in required.items():
        lines += [f"# {name} {version}", "## explicit; go 1.22", *sorted(packages[name])]
    (module / "vendor/modules.txt").write_text("\n".join(lines) + "\n")


@pytest.mark.full
def test_the_module_that_make_go_writes_passes_its_tests_at_a_suite(
    gateway: str, shop_is_open: None, tmp_path: Path
) -> None:
    environment = os.environ | with_languages(GO / "go", LANGUAGES / "bin/protoc-gen-go-grpc")
    (name,) = re.findall(r"^make go MODULE=(\S+)", README, re.MULTILINE)
    module = tmp_path / "go"
    make = {"OUT": str(module), "MODULE": name}
    for _ in range(2):  # the second time over its own output
        subprocess.run([ROOT / "deploy/go.sh"], env=environment | make, check=True, timeout=SECONDS)
    assert f"module {name}\n" in (module / "go.mod").read_text()
    unformatted = subprocess.run(
        [GO / "gofmt", "-l", *sorted(module.glob("*.go"))],
        capture_output=True, text=True, check=True, env=environment,
    ).stdout  # fmt: skip
    assert unformatted == ""
    (snippet,) = re.findall(r"^```go\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    (module / "readme_test.go").write_text(IN_README.format(module=name, snippet=snippet))
    vendor(module)
    environment |= {
        "GOFLAGS": "-mod=vendor -trimpath -gcflags=all=-l",
        "GOCACHE": str(ROOT / ".tools/languages/go-cache"),
        "GOPATH": str(tmp_path),
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
        "GOGC": "off",
        "CGO_ENABLED": "0",
        "SIGHTLINE_TARGET": gateway,
        "SIGHTLINE_PHOTO": str(ROOT / f"examples/wines/images/{load_wines()[0].id}.jpg"),
    }
    for command in (["vet", "./..."], ["test", "-v", "."]):
        done = subprocess.run(
            ["go", *command], cwd=module, env=environment,
            capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    assert "--- PASS: TestLive" in done.stdout
    assert f"first: {load_wines()[0].id}\n" in done.stdout, "the photo is its own"


def test_what_is_no_import_path_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [ROOT / "deploy/go.sh"],
        env=os.environ | {"OUT": str(tmp_path / "go"), "MODULE": "https://shop.example"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no import path" in done.stderr
    assert not (tmp_path / "go").exists()
