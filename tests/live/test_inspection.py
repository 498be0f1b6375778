"""The commands of docs/integrate/inspect.md, typed at a suite, and what they answer."""

import json
import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from local_suite.suite import Suite
from sightline_client import (
    FailedPrecondition,
    NotFound,
    PieceVerdict,
    Product,
    ProductImage,
    SightlineClient,
    SyncSightlineClient,
    VerdictDoubt,
)
from tests.fakes.pieces import piece
from tests.live.hands import SIGHTLINE
from tests.waiting import SECONDS

pytestmark = pytest.mark.full

PAGE = (Path(__file__).parents[2] / "docs/integrate/inspect.md").read_text("utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
TYPED = [
    shlex.split(line)[1:]
    for block in BLOCKS
    for line in block.splitlines()
    if line.startswith("sightline ")
]
FIT, LIST, PROMOTE, START, FOLLOW, PHOTO, FIT_PRODUCT, RETURNED = TYPED
(CURL,) = (block for block in BLOCKS if block.startswith("curl"))
AS_JOB, PYTHON = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
GOOD = 24
STORED = 20


def run(
    gateway: str, folder: Path, arguments: Sequence[str], code: int = 0
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [SIGHTLINE, *arguments, "--target", gateway],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        cwd=folder,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with photos of good pieces, and one of a stained one."""
    (tmp_path / "good").mkdir()
    for seed in range(GOOD):
        (tmp_path / "good" / f"{seed}.jpg").write_bytes(piece(seed))
    (tmp_path / "good" / "notes.txt").write_text("no photo")
    (tmp_path / "piece.jpg").write_bytes(piece(101, stained=True))
    (tmp_path / "fine.jpg").write_bytes(piece(102))
    (tmp_path / "returned.jpg").write_bytes(piece(103, shape="ball"))
    return tmp_path


async def test_a_stained_piece_is_unlike_the_good_ones(
    gateway: str, suite: Suite, folder: Path
) -> None:
    missing = run(gateway, folder, PHOTO, 1)
    assert "REFERENCE_NOT_FOUND" in missing.stderr
    made = run(gateway, folder, [*FIT, "--timeout", str(SECONDS)])
    assert ("serving" in made.stdout, "24" in made.stdout) == (True, True)
    assert "sightline inspect photo PHOTO --reference bottle" in made.stderr
    assert "bottle" in run(gateway, folder, LIST).stdout
    assert "serving" in run(gateway, folder, PROMOTE).stdout

    unlike = run(gateway, folder, PHOTO)
    assert "unlike the good pieces" in unlike.stdout
    assert (folder / "map.png").read_bytes().startswith(b"\x89PNG")
    fine = run(gateway, folder, ["inspect", "photo", "fine.jpg", "--reference", "bottle", "--json"])
    assert json.loads(fine.stdout)["verdict"] == "VERDICT_LIKE"
    _by_program(gateway, folder)
    assert _by_curl(suite.http, folder)["verdict"] == "VERDICT_UNLIKE"
    await _rare(gateway)
    _as_job(gateway, folder)
    assert "deleted" in run(gateway, folder, ["inspect", "delete", "bottle"]).stdout


def _as_job(gateway: str, folder: Path) -> None:
    """Fit a second version in a job, by commands and by the page's program."""
    for seed in range(GOOD, 2 * GOOD):
        (folder / "good" / f"{seed}.jpg").write_bytes(piece(seed))
    job_id = json.loads(run(gateway, folder, [*START[: START.index("|")]]).stdout)["jobId"]
    followed = [job_id if "$" in each else each for each in FOLLOW]
    assert "succeeded" in run(gateway, folder, followed).stdout.lower()
    with SyncSightlineClient(gateway, timeout=SECONDS) as client:
        (second, first) = client.list_references("bottle")
        assert (second.photo_count, second.evaluation is not None) == (2 * GOOD, True)
        assert second.evaluation is not None
        assert second.evaluation.compared_version == first.version
        assert second.evaluation.photo_count == GOOD
        for seed in range(2 * GOOD, 3 * GOOD):
            client.add_reference_photos("bottle", [piece(seed)])
        names: dict[str, Any] = {"client": client}
        exec(AS_JOB, names)  # noqa: S102 - the page's own program
        assert names["job"].results["version"]
        job = client.start_reference_fit("none")
        *_, ended = client.watch_job(job.job_id)
        assert ended.error is not None
        assert ended.error.reason == "REFERENCE_NOT_FOUND"


def _by_program(gateway: str, folder: Path) -> None:
    """Run the page's program in the folder."""
    (folder / "map.png").unlink()
    program = PYTHON.replace('Path("', f'Path("{folder}/')
    with SyncSightlineClient(gateway) as client:
        names: dict[str, Any] = {"client": client, "Path": Path}
        exec(program, names)  # noqa: S102 - the page's own program
    assert names["found"].verdict is PieceVerdict.UNLIKE
    assert (folder / "map.png").is_file()


def _by_curl(address: str, folder: Path) -> dict[str, Any]:
    command = CURL.replace("http://127.0.0.1:8680", address)
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, check=True, cwd=folder, timeout=SECONDS
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def _rare(gateway: str) -> None:
    """Ask for fewer false alarms than so few photos allow, by a program."""
    async with SightlineClient(gateway, timeout=SECONDS) as client:
        found = await client.inspect(piece(103), reference_id="bottle", false_alarm_rate=0.01)
        assert found.verdict is PieceVerdict.CANNOT_SAY
        assert (found.doubt, found.threshold) == (VerdictDoubt.TOO_FEW_PHOTOS, None)
        (listed,) = await client.list_references("bottle")
        assert (listed.photo_count, listed.version) == (GOOD, found.version)


async def test_another_product_in_the_box_is_unlike_the_scanned_one(
    gateway: str, folder: Path
) -> None:
    assert "serving" in run(gateway, folder, [*FIT_PRODUCT, "--timeout", str(SECONDS)]).stdout
    found = json.loads(run(gateway, folder, [*RETURNED, "--json"]).stdout)
    assert found["verdict"] == "VERDICT_UNLIKE"
    run(gateway, folder, ["inspect", "delete", FIT_PRODUCT[2]])


async def test_photos_of_two_things_make_no_reference(gateway: str) -> None:
    async with SightlineClient(gateway, timeout=SECONDS) as client:
        shapes = ("label", "ball")
        photos = [piece(seed, shape=shapes[seed % 2]) for seed in range(20)]
        added = await client.add_reference_photos("mixed", [*photos, b"no photo"])
        assert (added.photo_count, [place for place, _ in added.failures]) == (20, [20])
        with pytest.raises(FailedPrecondition, match="two different things"):
            await client.fit_reference("mixed")
        assert await client.delete_reference("mixed") == 1
        with pytest.raises(NotFound):
            await client.fit_reference("mixed")


async def test_the_photos_of_a_product_in_the_catalog_make_a_reference(
    gateway: str, folder: Path
) -> None:
    catalog, name = "inspected", ["--reference", "stored"]
    async with SightlineClient(gateway, timeout=60) as anywhere:
        await anywhere.create_catalog(catalog)
    async with SightlineClient(gateway, catalog=catalog, timeout=60) as client:
        photos = tuple(ProductImage(piece(seed)) for seed in range(STORED))
        await client.upsert_products([Product("p1", "A piece", images=photos)])
    of = ["--catalog", catalog, "--timeout", str(SECONDS)]
    fit = ["inspect", "fit", "stored", "--product", "p1"]
    made = run(gateway, folder, [*fit, "--catalog-photos", "--promote", *of])
    assert str(STORED) in made.stdout
    found = run(gateway, folder, ["inspect", "photo", "fine.jpg", *name, *of, "--json"])
    assert json.loads(found.stdout)["verdict"] == "VERDICT_LIKE"
    run(gateway, folder, [*fit, *of], 2)  # no photos
