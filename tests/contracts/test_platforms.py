"""The page of platforms agrees with the locks, and no image excludes a platform."""

from __future__ import annotations

import re

import pytest

from docs.platforms import MACHINES, ROOT, images, judged, packages, required

SCRIPT = (ROOT / "deploy/images.sh").read_text("utf-8")
WHEEL = "https://files.example/made-1-{}.whl"


def lock(*tags: str, sdist: bool = False) -> str:
    """Return a lock of one package with these wheels."""
    wheels = ", ".join(f'{{ url = "{WHEEL.format(tag)}" }}' for tag in tags)
    source = 'sdist = { url = "https://files.example/made-1.tar.gz" }' if sdist else ""
    return f'[[package]]\nname = "made"\nversion = "1"\nwheels = [{wheels}]\n{source}\n'


@pytest.mark.parametrize(
    ("tags", "fits"),
    [
        (["py3-none-any"], True),
        (["cp311-cp311-manylinux_2_28_aarch64"], True),
        (["cp39-abi3-manylinux2014_aarch64.manylinux_2_17_aarch64"], True),
        (["cp311-cp311-manylinux_2_28_x86_64", "cp311-cp311-musllinux_1_2_aarch64"], False),
        (["cp312-cp312-manylinux_2_28_aarch64", "cp311-cp311-macosx_11_0_arm64"], False),
        (["cp311-cp311-manylinux_2_39_aarch64"], False),  # a glibc that Debian 12 has not
    ],
)
def test_a_wheel_fits_or_stops_the_image(tags: list[str], fits: bool) -> None:
    needed = [("made", "1", "")]
    cell = judged(needed, packages(lock(*tags)), "aarch64", compiles=True)
    assert cell == ("1 wheels" if fits else "0 wheels; **stopped** by made 1")
    sourced = packages(lock(*tags, sdist=True))
    if not fits:
        assert "compiled made 1" in judged(needed, sourced, "aarch64", compiles=True)
        assert "**stopped** by made 1" in judged(needed, sourced, "aarch64", compiles=False)


def test_what_the_lock_leaves_out_on_a_platform_is_said() -> None:
    needed = [("made", "1", "platform_machine == 'x86_64'"), ("made", "1", "sys_platform=='win32'")]
    known = packages(lock("py3-none-any"))
    assert judged(needed, known, "aarch64", compiles=True) == "0 wheels; without made 1"
    assert judged(needed, known, "x86_64", compiles=True) == "1 wheels"


def test_no_image_is_stopped_or_lacks_a_package_on_a_platform() -> None:
    page = (ROOT / "docs/reference/platforms.md").read_text("utf-8")
    table = page.partition("The environments of `make setup`")[0]
    found = {each.name: each for each in images(SCRIPT)}
    rows = re.findall(r"^\| `([a-z-]+)` \| `\S+` \| (.*) \| (.*) \|$", table, re.MULTILINE)
    assert [row[0] for row in rows] == list(found) == re.findall(r"^image (\S+)", SCRIPT, re.M)
    assert "**stopped**" not in table
    for name, *cells in rows:
        assert len(cells) == len(MACHINES)
        assert len({re.sub(r"\d+ wheels", "", cell) for cell in cells}) == 1, name
        assert ("compiled" in cells[0]) == (name == "ranker-train")


def test_the_table_reads_what_the_dockerfiles_install() -> None:
    found = {each.name: each for each in images(SCRIPT)}
    assert found["ranker-train"].compiles
    assert not found["ranker"].compiles
    assert found["triton"].words == ()
    names = {name for name, *_ in required(found["models"])}
    assert "onnxruntime" in names
    assert "nvidia-pytriton" not in names
    assert "rectools-lightfm" in {name for name, *_ in required(found["ranker-train"])}
