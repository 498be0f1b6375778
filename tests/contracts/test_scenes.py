"""Each built-in scene has a page and a row in the table, which agrees with its file."""

import tomllib
from pathlib import Path

import pytest

from gateway.model.scene import PARTS
from gateway.state import scenes
from sightline_client.cli.show import tables

DOCS = Path(__file__).parents[2] / "docs" / "merchandise"
FILES = {
    path.stem: path
    for path in Path(scenes.__file__).parent.glob("*.toml")
    if path.stem != scenes.DEFAULT
}
"""The default one is described by its own comments."""
FALLBACK = {
    (True, True): "popular, then new",
    (True, False): "popular",
    (False, True): "new",
    (False, False): "nothing",
}


def row(name: str) -> str:
    """Return the scene's row in the table."""
    use, needs, *_ = FILES[name].read_text("utf-8").splitlines()
    file = tomllib.loads(FILES[name].read_text("utf-8"))
    ranked = sorted(file["branches"].items(), key=lambda pair: -pair[1])
    fallback = FALLBACK[file.get("popular_fallback", True), file.get("new_fallback", True)]
    cells = [
        f"[{name}](scenes/{name}.md)",
        use.removeprefix("# "),
        needs.removeprefix("# Needs "),
        ", ".join(branch for branch, weight in ranked if weight > 0),
        fallback,
    ]
    return f"| {' | '.join(cells)} |"


def test_the_table_says_what_the_files_say() -> None:
    lines = (DOCS / "scenes.md").read_text("utf-8").splitlines()
    assert {line for line in lines if line.startswith("| [")} == {*map(row, FILES)}


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_scene_has_a_page_that_asks_for_it(name: str) -> None:
    page = (DOCS / "scenes" / f"{name}.md").read_text("utf-8")
    assert f"sightline recommend --scene {name} " in page
    assert f'client.recommend(scene="{name}", ' in page


def test_no_page_is_of_a_scene_that_is_not_there() -> None:
    assert {page.stem for page in (DOCS / "scenes").glob("*.md")} == {*FILES}


def test_the_command_says_what_each_part_of_a_score_means() -> None:
    assert PARTS - tables.PARTS.keys() == set()
