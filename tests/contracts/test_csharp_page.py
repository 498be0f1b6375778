"""The page about C#: its command generates the messages, and its program uses names in them."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from defusedxml import ElementTree

from sightline.protos import write
from tests.live.test_clients import LANGUAGES, with_languages
from tests.waiting import SECONDS

pytestmark = pytest.mark.when("client", "docs", "protos")

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/integrate/clients/csharp/README.md").read_text("utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the page's second command writes, by Debian's protoc: that of
    grpcio-tools has no generator of C#."""
    folder = tmp_path_factory.mktemp("csharp")
    make, command = blocks("sh")
    assert make == "make protos-bundle OUT=shop/protos\n"
    write(folder / "protos")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder, env=os.environ | with_languages(LANGUAGES / "bin/protoc"),
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "generated"


def test_the_program_uses_names_of_the_contract(generated: Path) -> None:
    (program,) = blocks("csharp")
    (service,) = re.findall(r"new (\w+)\.\w+Client\(", program)
    for namespace in re.findall(r"^using (Sightline\.[\w.]+);$", program, re.MULTILINE):
        folder = generated.joinpath(*namespace.split("."))
        text = "".join(path.read_text("utf-8-sig") for path in folder.glob("*.cs"))
        assert f"namespace {namespace} {{" in text
        for name in re.findall(r"new (Recommend\w*Request|QuerySignal)\b", program):
            assert f"class {name} :" in text
        for name in ("PageSize", "Signals", "Image", "Results", "Rank", "Product"):
            assert re.search(rf"public \S+ {name} \{{", text), name
    assert (generated / f"Sightline/Gateway/V1/{service}.cs").is_file()


def test_the_project_compiles_our_files_alone() -> None:
    (project,) = blocks("xml")
    (protos,) = ElementTree.fromstring(project).iter("Protobuf")
    assert protos.attrib["Include"] == "protos/sightline/**/*.proto"
    assert protos.attrib["GrpcServices"] == "Client"
