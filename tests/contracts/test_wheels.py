"""The wheels of client, agents' server, console and protos: their content, reproducible bytes, and
use without this repository.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.contracts.test_names import EVERYWHERE, PYTHONS, ROOT, UV, index, interpreter, run
from tests.fakes.gateway_wire import running

pytestmark = pytest.mark.when(
    "uv.lock", "pyproject.toml", "protos", "client", "agents", "console", "kit", "rules"
)

__all__ = ["index"]  # a fixture

PAGE = "https://example.com/you/sightline"
NEEDS = {
    "protos": [],
    "client": ["sightline-protos"],
    "agents": ["sightline-client"],
    "console": ["sightline-client"],
}
"""Packages of the same release that each requires."""
LOADED = """
import asyncio, importlib, pkgutil, sys, warnings
warnings.simplefilter("error")
import sightline, sightline_agents, sightline_client, sightline_console
assert sys.prefix in sightline.__path__[0], sightline.__path__
for package in (sightline, sightline_client, sightline_agents, sightline_console):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)

async def ask():
    async with sightline_client.SightlineClient(sys.argv[1]) as client:
        return (await client.recommend(products=["p1"])).results[0].product.title
from sightline_client.cli import app
app(["--help"], standalone_mode=False)
print(asyncio.run(ask()))
"""


def built(folder: Path, **environment: str) -> list[Path]:
    """Return the wheels that `make wheels` builds."""
    done = subprocess.run(
        [ROOT / "deploy/wheels.sh"],
        env=os.environ | {"UV": str(UV), "OUT": str(folder), "PROJECT_URL": PAGE} | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [next(folder.glob(f"sightline_{name}-*.whl")) for name in EVERYWHERE]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory, index: None) -> list[Path]:
    return built(tmp_path_factory.mktemp("wheels"))


def inside(wheel: Path, ending: str) -> str:
    with ZipFile(wheel) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith(ending))
        return archive.read(name).decode()


def metadata(wheel: Path) -> Message:
    return HeaderParser().parsestr(inside(wheel, ".dist-info/METADATA"))


@pytest.mark.slow
def test_a_wheel_says_what_an_index_shows(wheels: list[Path]) -> None:
    version = run(ROOT / "deploy/version.sh").stdout.strip()
    for wheel, name in zip(wheels, EVERYWHERE, strict=True):
        held = metadata(wheel)
        assert (held["Name"], held["Version"]) == (f"sightline-{name}", version)
        assert held["License-Expression"] == "Apache-2.0"
        assert inside(wheel, ".dist-info/licenses/LICENSE") == (ROOT / "LICENSE").read_text()
        assert set(held["Requires-Python"].split(",")) == {">=3.11", "<3.15"}
        spoken = {each.rpartition(":: ")[2] for each in held.get_all("Classifier", ())}
        assert {*PYTHONS, "Typed"} <= spoken
        links = dict(each.split(", ") for each in held.get_all("Project-URL", ()))
        assert links["Changelog"] == f"{PAGE}/blob/v{version}/CHANGELOG.md"
        assert held["Description-Content-Type"] == "text/markdown"
        assert "](../" not in str(held.get_payload()), "leads nowhere on an index"
        assert len(str(held.get_payload())) > 200
        assert any(each.endswith("/py.typed") for each in ZipFile(wheel).namelist())
        needed = [
            each for each in held.get_all("Requires-Dist", ()) if each.startswith("sightline")
        ]
        assert needed == [f"{each}=={version}" for each in NEEDS[name]]


@pytest.mark.slow
def test_the_client_brings_the_texts_of_its_command_in_chinese(wheels: list[Path]) -> None:
    names = ZipFile(wheels[EVERYWHERE.index("client")]).namelist()
    folder = "sightline_client/cli/locale/zh/LC_MESSAGES"
    assert {f"{folder}/sightline.po", f"{folder}/sightline.mo"} <= set(names)


@pytest.mark.slow
def test_the_same_commit_makes_the_same_bytes(wheels: list[Path], tmp_path: Path) -> None:
    """Build at another time and with another umask."""
    before = os.umask(0o077)
    try:
        again = built(tmp_path)
    finally:
        os.umask(before)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in wheels]
    later = built(tmp_path, SOURCE_DATE_EPOCH="1800000000")
    with ZipFile(later[0]) as archive:
        assert {each.date_time[0] for each in archive.infolist()} == {2027}


@pytest.mark.slow
@pytest.mark.parametrize(
    "python", [PYTHONS[0], *(pytest.param(one, marks=pytest.mark.full) for one in PYTHONS[1:])]
)
async def test_it_installs_alone_loads_whole_and_asks_a_real_gateway_on(
    python: str, wheels: list[Path], tmp_path: Path
) -> None:
    found, (protos, client, agents, console) = interpreter(python), wheels
    made = run(UV, "venv", "-q", "-p", found, tmp_path / "venv")
    spoken = run(tmp_path / "venv/bin/python", "-V").stdout
    assert spoken.startswith(f"Python {python}.")
    assert made.returncode == 0, made.stderr
    there = tmp_path / "venv" / "bin"
    into = ("-p", there / "python", "--only-binary", ":all:")
    extras = f"{client}[pages,parquet,photos,vision]"
    done = run(UV, "pip", "install", "-q", *into, protos, extras, agents, console)
    assert done.returncode == 0, done.stderr
    feeds = ("merchant-feed.xml", "merchant-feed.tsv", "pages/kettle.html")
    for file in feeds:
        tried = run(
            *(there / "sightline", "products", "import", ROOT / "examples/exports" / file),
            "--dry-run",
        )
        assert tried.returncode == 0, tried.stderr
    async with running() as suite:
        target = f"127.0.0.1:{suite.port}"
        loaded = await asyncio.to_thread(run, there / "python", "-I", "-c", LOADED, target)
        assert loaded.returncode == 0, loaded.stderr
        *shown, title = loaded.stdout.strip().splitlines()
        assert "Load a shop into a Sightline suite" in "".join(shown)
        asked = ("recommend", "--product", "p1", "--target", target, "--json")
        answer = await asyncio.to_thread(run, there / "sightline", *asked)
    chinese = ("env", "LC_ALL=zh_CN.UTF-8", there / "sightline", "similar", "--help")
    assert "商品目录" in run(*chinese).stdout
    assert answer.returncode == 0, answer.stderr
    assert title.startswith("Title p")
    assert title in answer.stdout
    served = run(there / "sightline-agents", "http", "--help")
    assert "--public-address" in served.stdout, served.stderr
