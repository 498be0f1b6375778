"""The contract: generated code is current, comments are complete, and a breaking change fails."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUF = Path(sys.executable).with_name("buf")
PROTO = Path("protos/sightline/common/v1/product.proto")


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the contract that a test may break."""
    shutil.copytree(ROOT / "protos", tmp_path / "protos")
    exported = run(
        sys.executable, "protos/generate.py", "--google-protos", ".cache/googleapis", cwd=tmp_path
    )
    assert exported.returncode == 0, exported.stderr
    shutil.copyfile(ROOT / "buf.yaml", tmp_path / "buf.yaml")
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
    path.write_text(text.replace(old, new))


def breaking(tree: Path) -> subprocess.CompletedProcess[str]:
    """Compare the contract with the image of the last release."""
    built = run(BUF, "build", "--path", "protos/sightline", "-o", "now.binpb", cwd=tree)
    assert built.returncode == 0, built.stderr
    return run(BUF, "breaking", "now.binpb", "--against", "protos/image.binpb", cwd=tree)


@pytest.mark.when("protos")
@pytest.mark.slow
def test_the_contract_lints_and_breaks_nothing_of_the_last_release(copy: Path) -> None:
    for result in (run(BUF, "lint", cwd=copy), breaking(copy)):
        assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.when("protos")
def test_a_removed_field_is_seen_as_a_break(copy: Path) -> None:
    edit(copy / PROTO, "  string brand = 6;\n", "")
    result = breaking(copy)
    assert result.returncode != 0
    assert 'field "6"' in result.stdout


@pytest.mark.when("protos")
def test_a_field_without_a_comment_does_not_lint(copy: Path) -> None:
    edit(copy / PROTO, "  string brand = 6;\n", "  string brand = 6;\n  string bare = 99;\n")
    result = run(BUF, "lint", cwd=copy)
    assert result.returncode != 0
    assert "comment" in result.stdout


@pytest.mark.when("protos")
@pytest.mark.slow
def test_generated_code_is_what_the_protos_give(copy: Path) -> None:
    fresh = run(sys.executable, "protos/generate.py", "--check", cwd=copy)
    assert fresh.returncode == 0, fresh.stderr
    edit(copy / PROTO, "string brand = 6;", "string maker = 6;")
    stale = run(sys.executable, "protos/generate.py", "--check", cwd=copy)
    assert stale.returncode != 0
    assert "product_pb2" in stale.stderr
