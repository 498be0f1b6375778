"""The bench of the console's pages: what it says of its figures."""

import re

from bench.harness.machine import ROOT
from bench.harness.model import GoalVerdict
from lab.cases import console
from lab.cases.console import SCREENS, ScreenFigures, SomePictured

MENU = ROOT / "console/src/sightline_console/pages/templates/base.html.j2"


def test_every_screen_of_the_menu_is_measured() -> None:
    named = re.findall(r'\("(/[a-z]*)", _\("([^"]+)"\)\)', MENU.read_text("utf-8"))
    assert len(named) > 8
    assert {name for _path, name in named} <= SCREENS.keys()
    assert all(SCREENS[name].path.partition("?")[0] == path for path, name in named)


def test_each_screen_has_a_goal_and_one_that_was_no_page_is_not_measured() -> None:
    found = {name: ScreenFigures([10.0] * 199 + [900.0], [5.0] * 200) for name in SCREENS}
    found["Why"].pages = [400.0] * 200
    found["Health"].wrong = 503
    result = console.result(found, SomePictured("default", 7, 2))
    verdicts = {goal.name.partition(":")[0]: goal.verdict for goal in result.goals}
    assert verdicts.pop("Why") is GoalVerdict.MISSED
    assert verdicts.pop("Health") is GoalVerdict.NOT_MEASURED
    assert set(verdicts.values()) == {GoalVerdict.MET}
    (table,) = result.tables
    assert {len(row) for row in table.rows} == {len(table.headers)}


def test_the_first_products_alone_have_a_photo() -> None:
    made = SomePictured("default", 10, 2)
    pictured = [number for number in range(10) if made.content(number).image_ids]
    assert pictured == [number for number in range(10) if made.pictured(number) == number]
    assert len(pictured) == made.photo_count == 2
