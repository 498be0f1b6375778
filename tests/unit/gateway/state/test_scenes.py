"""Scenes as files."""

import os
import re
from pathlib import Path

import pytest

from gateway.model.diversity import Diversity
from gateway.model.errors import SceneInvalid, SceneNotFound
from gateway.model.quality import Quality
from gateway.model.scene_checks import warnings
from gateway.state import scenes as shipped
from gateway.state.scenes import STALE, SceneFiles, ScenesInvalid
from gateway.state.scenes.texts import read
from sightline_core.branch import Branch
from tests.fakes.toml import parsed

FILES = sorted(Path(shipped.__file__).parent.glob("*.toml"))
BUILT_IN = tuple(sorted(path.stem for path in FILES))
GOOD = "over_fetch = 3.0\n[branches]\nvisual = 2.0\n"
NO_SIGNALS = """
popular_fallback = false
new_fallback = false
[branches]
visual = 0.0
text = 0.0
text_visual = 0.0
keywords = 0.0
"""
ZEROES = "[parts_with_signals]\nco_view = 1.0\n[parts_without_signals]\ntaste = 0.0\n"
REORDER = "[branches]\nreorder = 1.0\ncollaborative = 0.0\nvisual = 0.0\ntext = 0.0\n" + (
    "text_visual = 0.0\nkeywords = 0.0\n[parts_without_signals]\nreorder = 1.0\n"
)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def put(path: Path, text: str) -> None:
    """Write a file with a newer modification time than before."""
    stamp = path.stat().st_mtime_ns + 10**9 if path.exists() else None
    path.write_text(text)
    if stamp is not None:
        os.utime(path, ns=(stamp, stamp))


def test_the_built_in_default_is_what_no_name_means():
    scenes = SceneFiles()

    assert scenes.names() == BUILT_IN
    assert scenes.get("") == scenes.get("default")
    assert re.fullmatch("[0-9a-f]{16}", scenes.get("").version)


def test_in_the_built_in_default_similarity_outweighs_behaviour_when_there_is_a_photo():
    scene = SceneFiles().get("default")

    rest = [value for part, value in scene.parts_with_signals.items() if part != "visual"]
    assert scene.parts_with_signals["popularity"] == 0
    assert scene.parts_with_signals["visual"] > max(scene.parts_with_signals["taste"], 0.5)
    assert rest
    assert scene.buyable_only


def test_what_moves_products_is_off_unless_a_scene_asks_for_it(tmp_path):
    put(
        tmp_path / "home.toml",
        "[diversity]\ndiversity = 0.2\ncalibrated = 0.3\nbrand_cap = 2\n"
        "category_caps = { 2 = 3, 1 = 5 }\nexploration_places = [4, 9]\n",
    )
    scenes = SceneFiles(tmp_path)

    assert scenes.get("default").diversity == Diversity()
    assert scenes.get("home").diversity == Diversity(
        diversity=0.2,
        calibrated=0.3,
        brand_cap=2,
        category_caps=((1, 5), (2, 3)),
        exploration_places=(4, 9),
    )


async def test_an_objective_that_is_not_known_is_invalid():
    scene = await read("home", 'objective = "revenue"', parsed)
    assert scene.objective == "revenue"
    with pytest.raises(SceneInvalid) as caught:
        await read("home", 'objective = "profit"', parsed)
    assert caught.value.violations[0].field == "toml.objective"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("objective_strength = 0.5", "toml.objective_strength"),
        ('objective = "margin"\nobjective_strength = 1.1', "toml.objective_strength"),
        ("[parts_with_signals]\nmargin = -1", "toml.parts_with_signals.margin"),
        ("[parts_with_signals]\nmargins = 1", "toml.parts_with_signals"),
        (
            '[parts_without_signals]\ntaste = 1\n"attribute.abv" = 1',
            "toml.parts_without_signals.attribute.abv",
        ),
        ("[numbers]\nplenty_of_stock = 0", "toml.numbers.plenty_of_stock"),
        ("[numbers]\nusual_rating = 6.0", "toml.numbers.usual_rating"),
        ("[numbers.attributes.abv]\nleast = 2\nmost = 2", "toml.numbers.attributes.abv"),
        ("[numbers.attributes.abv]\nleast = 2\nmost = inf", "toml.numbers.attributes.abv.most"),
        ("[numbers.attributes.ABV]\nleast = 2\nmost = 3", "toml.numbers.attributes.ABV.[key]"),
    ],
)
async def test_numbers_and_objectives_out_of_bounds_are_invalid(text: str, field: str) -> None:
    with pytest.raises(SceneInvalid) as caught:
        await read("home", text, parsed)
    assert [one.field for one in caught.value.violations] == [field]


async def test_last_products_find_others_without_a_second_source_of_anchors() -> None:
    table = "[parts_with_history]\nvisual = 1.0\naffinity = 0.3\n"
    scene = await read("home", f"[branches]\nvisual = 0.0\n{table}", parsed)
    assert scene.branches_by_history[Branch.VISUAL] == 1.0
    assert scene.branches_by_history[Branch.CO_VIEW] == 0.0
    assert not [each for each in warnings(scene) if "history" in each]
    with pytest.raises(SceneInvalid) as caught:
        await read("home", f'anchors_from = "cart"\n{table}', parsed)
    assert [one.field for one in caught.value.violations] == ["toml.parts_with_history"]
    idle = await read("home", "[parts_without_signals]\ntaste = 1\naffinity = 1\n", parsed)
    assert "parts_without_signals.affinity: only parts_with_history has it" in [*warnings(idle)]


async def test_a_scaled_attribute_is_a_part_and_without_a_weight_a_warning() -> None:
    scale = "[numbers.attributes.abv]\nleast = 10\nmost = 15\n"
    weights = '[parts_without_signals]\nmargin = 2\n"attribute.abv" = 1\n'
    scene = await read("home", weights + scale, parsed)
    assert scene.parts_without_signals == {"margin": 2, "attribute.abv": 1}
    assert not any("abv" in each for each in warnings(scene))
    (warning,) = [each for each in warnings(await read("home", scale, parsed)) if "abv" in each]
    assert warning == "numbers.attributes.abv: has no weight"


async def test_an_objective_moves_products_only_with_a_strength() -> None:
    label = await read("home", 'objective = "margin"', parsed)
    assert not label.applied_objective
    scene = await read("home", 'objective = "purchases"\nobjective_strength = 0.5', parsed)
    assert (scene.applied_objective.goal, scene.applied_objective.strength) == ("purchases", 0.5)


def test_an_unknown_scene_is_not_found_and_the_nearest_is_named():
    with pytest.raises(SceneNotFound, match=r"no scene has this name$"):
        SceneFiles().get("nope")
    with pytest.raises(SceneNotFound, match="did you mean for-you") as caught:
        SceneFiles().get("for_you")
    assert caught.value.violations[0].field == "scene"


@pytest.mark.parametrize("name", ["../default", "default.toml", "/etc/passwd", "\x00"])
def test_a_name_is_never_a_path(name):
    with pytest.raises(SceneNotFound):
        SceneFiles().get(name)


def test_a_folder_adds_scenes_and_replaces_those_of_the_same_name(tmp_path):
    put(tmp_path / "home.toml", GOOD)
    put(tmp_path / "default.toml", 'drop_seen = true\nmin_answer_quality = "reduced"\n')

    scenes = SceneFiles(tmp_path)

    assert set(scenes.names()) - {*BUILT_IN} == {"home"}
    assert scenes.get("home").branches[Branch.VISUAL] == 2.0
    assert scenes.get("default").drop_seen
    assert scenes.get("default").min_answer_quality is Quality.REDUCED
    assert scenes.get("home").min_answer_quality is Quality.ANY


def test_a_changed_file_is_taken_up_within_a_second_and_has_another_version(tmp_path):
    clock = Clock()
    put(tmp_path / "home.toml", GOOD)
    scenes = SceneFiles(tmp_path, clock)
    before = scenes.get("home")
    put(tmp_path / "home.toml", GOOD.replace("3.0", "4.0"))

    clock.now = 0.5
    assert scenes.get("home") is before
    clock.now = 1.0
    assert scenes.get("home").over_fetch == 4.0
    assert scenes.get("home").version != before.version


def test_a_file_that_appears_or_goes_is_noticed(tmp_path):
    clock = Clock()
    scenes = SceneFiles(tmp_path, clock)
    put(tmp_path / "home.toml", GOOD)
    clock.now = 1.0
    assert set(scenes.names()) - {*BUILT_IN} == {"home"}

    (tmp_path / "home.toml").unlink()
    clock.now = 2.0
    assert scenes.names() == BUILT_IN


def test_a_bad_file_is_rejected_alone_and_a_metric_says_so(tmp_path):
    clock = Clock()
    put(tmp_path / "home.toml", GOOD)
    put(tmp_path / "sale.toml", GOOD)
    scenes = SceneFiles(tmp_path, clock)
    put(tmp_path / "home.toml", "over_fetch = ")
    put(tmp_path / "new.toml", "plce = 2")
    put(tmp_path / "sale.toml", GOOD.replace("3.0", "4.0"))
    put(tmp_path / "other.toml", GOOD)
    clock.now = 1.0

    assert set(scenes.names()) - {*BUILT_IN} == {"home", "other", "sale"}
    assert scenes.get("home").over_fetch == 3.0
    assert scenes.in_use("home").text == GOOD
    assert scenes.get("sale").over_fetch == 4.0
    assert sorted(scenes.problems()) == ["home.toml", "new.toml"]
    assert "plce" in scenes.problems("wines")["new.toml"]
    assert STALE.labels("files")._value.get() == 1
    (tmp_path / "new.toml").unlink()

    put(tmp_path / "home.toml", GOOD)
    clock.now = 2.0
    assert set(scenes.names()) - {*BUILT_IN} == {"home", "other", "sale"}
    assert not scenes.problems()
    assert STALE.labels("files")._value.get() == 0


def test_a_bad_file_of_a_catalog_is_told_in_that_catalog_and_others_stand_in(tmp_path):
    clock = Clock()
    put(tmp_path / "home.toml", GOOD)
    (tmp_path / "wines").mkdir()
    scenes = SceneFiles(tmp_path, clock)
    put(tmp_path / "wines" / "home.toml", "over_fetch = 0.1")
    clock.now = 1.0

    assert scenes.get("home", "wines").over_fetch == 3.0
    assert [*scenes.problems("wines")] == ["wines/home.toml"]
    assert not scenes.problems("other")


def test_a_file_that_sets_its_own_name_is_rejected_like_others(tmp_path):
    clock = Clock()
    scenes = SceneFiles(tmp_path, clock)
    put(tmp_path / "home.toml", 'name = "other"')
    clock.now = 1.0

    assert scenes.names() == BUILT_IN
    assert [*scenes.problems()] == ["home.toml"]


@pytest.mark.parametrize(
    ("text", "culprit"),
    [
        ("over_fetch = 0.5", "over_fetch"),
        ("over_fetch = inf", "over_fetch"),
        ("most_candidates = 2001", "most_candidates"),
        ("colour = 1", "colour"),
        ("[branches]\nvisual = -1.0", "branches.visual"),
        ("[branches]\nvideo = 1.0", "branches.video"),
        ("[parts_with_signals]\ncharm = 1.0", "charm"),
        ("[budgets]\nembed = 0.9\ncandidates = 0.5", "budgets"),
        ("[budgets]\nembed = nan", "budgets.embed"),
        ('min_answer_quality = "best"', "min_answer_quality"),
        ("min_answer_quality = [3]", "min_answer_quality"),
        ("[diversity]\ndiversity = 1.5", "diversity.diversity"),
        ("[diversity]\ncalibrated = 1.1", "diversity.calibrated"),
        ("[diversity]\nwindow = 1", "diversity.window"),
        ("[diversity]\ncategory_caps = { 9 = 1 }", "diversity.category_caps"),
        ("[diversity]\ncategory_caps = { 1 = 0 }", "diversity.category_caps"),
        ("[diversity]\nexploration_places = [1]", "diversity.exploration_places"),
        ("[diversity]\nexploration_places = [5, 4]", "exploration_places must ascend"),
        ("[diversity]\nshuffle = true", "diversity.shuffle"),
        ("not toml", "home.toml"),
        ("half_life_hours = 0", "half_life_hours"),
        ('anchors_from = "shelf"', "anchors_from"),
        ('[ranking]\nmodel = "../lfm-1"', "ranking.model"),
        ('[ranking]\nmodels = "lfm-1"', "ranking.models"),
        ("other_categories = 9", "other_categories"),
        ('followed_attribute = "by whom"', "followed_attribute"),
        # Each entry is fine, the whole is not.
        (ZEROES, "parts_with_signals and parts_without_signals: all scores would be 0"),
        (NO_SIGNALS + "[parts_without_signals]\ncollaborative = 1.0\n", "all scores would be 0"),
        (NO_SIGNALS + "collaborative = 0.0\n", "branches: no branch is used"),
        ("anchors_look_alike = true\n[branches]\nvisual = 0.0", "anchors_look_alike"),
        ("other_categories = 1", "other_categories: no branch uses anchors"),
        ("other_categories = 1\nanswer_anchors = true", "answer_anchors"),
        ("anchors_look_alike = true\nanswer_anchors = true", "answer_anchors"),
        ('followed_attribute = "author"', "the branch followed is not used"),
        ("[branches]\nfollowed = 1.0", "branches.followed: needs followed_attribute"),
        ("drop_seen = true\n" + REORDER, "drop_seen: excludes all"),
    ],
)
def test_a_bad_file_at_the_start_blocks_only_itself_and_names_the_culprit(tmp_path, text, culprit):
    put(tmp_path / "home.toml", text)
    put(tmp_path / "sale.toml", GOOD)
    scenes = SceneFiles(tmp_path)

    assert culprit in scenes.problems()["home.toml"]
    assert scenes.get("sale").over_fetch == 3.0
    assert STALE.labels("files")._value.get() == 1
    with pytest.raises(SceneNotFound, match="file of this scene is invalid"):
        scenes.get("home")


def test_a_built_in_scene_stands_in_for_a_file_that_is_bad_at_the_start(tmp_path):
    clock = Clock()
    put(tmp_path / "default.toml", "plce = 2")
    scenes = SceneFiles(tmp_path, clock)

    assert scenes.get("") == SceneFiles().get("")
    assert [*scenes.problems()] == ["default.toml"]
    put(tmp_path / "default.toml", GOOD)
    clock.now = 1.0
    assert scenes.get("").over_fetch == 3.0
    assert STALE.labels("files")._value.get() == 0


def test_a_file_whose_name_is_no_scene_name_is_rejected(tmp_path):
    put(tmp_path / "My Scene.toml", GOOD)

    assert [*SceneFiles(tmp_path).problems()] == ["My Scene.toml"]


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ScenesInvalid, match="not a folder"):
        SceneFiles(tmp_path / "nope")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_in_a_scene_that_is_shipped_is_without_effect(path):
    assert list(warnings(SceneFiles().get(path.stem))) == []


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("[parts_with_signals]\nvisual = 1.0\nco_view = 1.0", "parts_with_signals.co_view: the br"),
        ("[branches]\ntrending = 1.0", "branches.trending: has no part in scores"),
        ("[parts_without_signals]\nvisual = 0.0", "parts_without_signals: all scores are 0"),
        ('anchors_from = "cart"\n' + "[parts_without_signals]\ntaste = 1.0", "anchors_from"),
        (
            '[ranking]\nmodel = "lfm-1"\n[branches]\ncollaborative = 0.0\n'
            "[parts_without_signals]\nvisual = 1.0",
            "ranking.model: no part uses a model",
        ),
    ],
)
def test_what_has_no_effect_is_warned_of_and_goes_on(tmp_path, text, warning, capsys):
    put(tmp_path / "home.toml", text)
    scene = SceneFiles(tmp_path).get("home")

    assert [item for item in warnings(scene) if item.startswith(warning)]
    assert warning.partition(":")[0] in capsys.readouterr().out


def test_a_catalog_s_own_folder_adds_to_and_replaces_the_others(tmp_path, capsys):
    clock = Clock()
    put(tmp_path / "home.toml", GOOD)
    for catalog in ("wines", "shoes", "..data"):
        (tmp_path / catalog).mkdir()
    put(tmp_path / "wines" / "home.toml", GOOD.replace("3.0", "5.0"))
    put(tmp_path / "wines" / "cellar.toml", GOOD)
    put(tmp_path / "..data" / "home.toml", "not toml")
    scenes = SceneFiles(tmp_path, clock, catalogs={"wines"})

    assert scenes.get("home").over_fetch == scenes.get("home", "shoes").over_fetch == 3.0
    assert scenes.get("home", "wines").over_fetch == 5.0
    assert {"cellar", "default"} <= {*scenes.names("wines")}
    assert "cellar" not in scenes.names("shoes")
    with pytest.raises(SceneNotFound):
        scenes.get("cellar")
    assert "scenes of an undeclared catalog" in capsys.readouterr().out

    put(tmp_path / "shoes" / "home.toml", "over_fetch = ")
    clock.now = 1.0
    assert scenes.get("home", "wines").over_fetch == 5.0
    assert STALE.labels("files")._value.get() == 1
    put(tmp_path / "shoes" / "home.toml", GOOD.replace("3.0", "7.0"))
    clock.now = 2.0
    assert scenes.get("home", "shoes").over_fetch == 7.0
    assert STALE.labels("files")._value.get() == 0


PAGES = Path(__file__).parents[4] / "docs" / "merchandise"
SHOWN = [
    (name, text)
    for page in sorted(PAGES.glob("*.md"))
    for name, text in re.findall(
        r"^```toml\n# scenes/([\w-]+\.toml)\n(.*?)^```", page.read_text("utf-8"), re.M | re.S
    )
]


@pytest.mark.parametrize(("name", "text"), SHOWN)
def test_scenes_on_the_pages_can_be_used(name, text, tmp_path):
    put(tmp_path / name, text)
    assert name.removesuffix(".toml") in SceneFiles(tmp_path).names()


def test_there_are_scenes_on_the_pages():
    assert len(SHOWN) >= 2
