"""The page docs/merchandise/fairness.md: its commands typed, and its scene loaded."""

import re
import shlex
from pathlib import Path

import pytest

from gateway.state.scenes import SceneFiles
from tests.live.hands import Hands

pytestmark = pytest.mark.full

PAGE = (Path(__file__).parents[3] / "docs/merchandise/fairness.md").read_text("utf-8")
(BLOCK,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
(SCENE,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def hands(gateway: str, tmp_path_factory: pytest.TempPathFactory) -> Hands:
    return Hands(gateway, tmp_path_factory.mktemp("fairness"), "operations")


@pytest.mark.parametrize("line", BLOCK.splitlines())
def test_a_command_of_the_page_reports(hands: Hands, line: str) -> None:
    shown = hands.run(*shlex.split(line)[1:])
    assert re.search(r"^\d[\d,]* answers?, ", shown)
    assert "outcomes: clicks and purchases for each unit of exposure." in " ".join(shown.split())


def test_the_scene_of_the_page_has_its_goals(tmp_path: Path) -> None:
    (tmp_path / "home.toml").write_text(SCENE)
    scene = SceneFiles(tmp_path).get("home")
    goals = [(one.name, one.least_share, one.by_merit) for one in scene.controls]
    assert goals == [("local-makers", 0.1, False), ("new-arrivals", 0.0, True)]
