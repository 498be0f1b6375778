"""The programs in PHP work by the commands of their page, on Debian's packages."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from examples.wines.catalogue import load_wines
from local_suite.suite import Suite
from sightline.protos import write
from tests.live.test_clients import CLIENTS, LANGUAGES, ROOT, check, typed, with_languages
from tests.live.test_http import ADDRESS
from tests.waiting import SECONDS

pytestmark = pytest.mark.when("client", "docs", "protos")

PHP = f"""#!/bin/sh
exec {LANGUAGES}/bin/php8.2 -n -d extension_dir={LANGUAGES}/lib/php/20220829 \\
  -d extension=curl -d extension=ctype -d display_errors=stderr "$@"
"""
"""PHP as Debian configures it, which is unpacked here and not installed."""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Return the page's folder in a clone after `make protos-bundle`."""
    folder = tmp_path / "docs/integrate/clients/php"
    shutil.copytree(CLIENTS / "php", folder, ignore=shutil.ignore_patterns("generated"))
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    write(tmp_path / "dist/protos")
    return folder


def test_php(page: Path, suite: Suite, shop_is_open: None, tmp_path: Path) -> None:
    environment = os.environ | with_languages(LANGUAGES / "bin/php8.2", LANGUAGES / "bin/protoc")
    (tmp_path / "php").write_text(PHP)
    (tmp_path / "php").chmod(0o755)
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    environment["PROTOBUF_PHP"] = str(LANGUAGES / "share/php")
    commands = typed("php").replace(ADDRESS, suite.http)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands.replace("/usr/bin/", f"{LANGUAGES}/bin/")],
        cwd=page, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    generated = check(done.stdout, "INVALID_ARGUMENT", late="", field="pageSize")
    if generated[0].startswith("too late"):  # not where the answer takes less than a millisecond
        assert generated.pop(0) == "too late: DEADLINE_EXCEEDED"
    wine = load_wines()[0]
    assert generated[0] == f"1. {wine.id} {wine.title}", "over HTTP, by the generated classes"
    assert len(generated) == 3
    client = page / "generated/Sightline/Gateway/V1/RecommendationServiceClient.php"
    assert "function Recommend(" in client.read_text()
