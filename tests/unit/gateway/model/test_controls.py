"""Rejected controls, with their field, in a request and in a scene's file."""

import math
import re
from pathlib import Path

import pytest

from gateway.model import controls
from gateway.model.controls import ControlRule, RequestCondition, problems
from gateway.model.filters import carried, of_words
from gateway.state.scenes import SceneFiles
from sightline.common.v1 import filter_pb2
from sightline_rules.controls import ControlKind

PINNED = {"kind": ControlKind.PIN, "product_ids": ("a", "b"), "place": 2}
BRAND = filter_pb2.Filter(existence=filter_pb2.Existence(field="brand"))


def made(**fields) -> ControlRule:
    return ControlRule(**{"name": "one", **PINNED, **fields})


def nested(levels: int) -> filter_pb2.Filter:
    found = BRAND
    for _ in range(levels):
        outer = filter_pb2.Filter()
        getattr(outer, "not").CopyFrom(found)
        found = outer
    return found


def boost(**fields) -> dict:
    return {"kind": ControlKind.BOOST, "product_ids": ("a",), "place": 0, **fields}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"name": ""}, "[0].name"),
        ({"name": "Ä"}, "[0].name"),
        ({"place": 0}, "[0].place"),
        ({"place": 200}, "[0].place"),
        ({"product_ids": ()}, "[0].product_ids"),
        ({"product_ids": tuple(map(str, range(21)))}, "[0].product_ids"),
        ({"product_ids": ("a", "a")}, "[0].product_ids"),
        ({"product_ids": ("a", "")}, "[0].product_ids[1]"),
        ({"filter": carried(BRAND)}, "[0].filter"),
        ({"boost": 1.0}, "[0].boost"),
        (boost(), "[0].boost"),
        (boost(boost=math.nan), "[0].boost"),
        (boost(boost=math.inf), "[0].boost"),
        (boost(boost=-1.0), "[0].boost"),
        (boost(boost=10.1), "[0].boost"),
        (boost(boost=1.0, place=1), "[0].place"),
        (boost(boost=1.0, filter=carried(BRAND)), "[0].filter"),
        (boost(boost=1.0, product_ids=(), filter=carried(filter_pb2.Filter())), "[0].filter"),
        (boost(least_share=-0.1), "[0].least_share"),
        (boost(least_share=1.1), "[0].least_share"),
        (boost(least_share=math.nan), "[0].least_share"),
        (boost(least_share=0.1, boost=1.0), "[0].least_share"),
        (boost(least_share=0.1, by_merit=True), "[0].least_share"),
        (boost(by_merit=True, daily_budget=5), "[0].daily_budget"),
        ({"least_share": 0.1}, "[0].least_share"),
        ({"by_merit": True}, "[0].by_merit"),
        ({"start_time": 5, "end_time": 5}, "[0].end_time"),
        ({"daily_budget": -1}, "[0].daily_budget"),
        ({"kind": ControlKind.BURY, "place": 0, "daily_budget": 1}, "[0].daily_budget"),
    ],
)
def test_what_one_control_can_have_wrong(fields, path):
    assert " ".join(found for found, _ in problems([made(**fields)])) == path


def test_shares_of_goals_that_apply_together_add_up_to_at_most_1():
    one, other = (made(name=name, **boost(least_share=0.6)) for name in ("one", "two"))
    assert [path for path, _ in problems([one, other])] == [
        "[0].least_share",
        "[1].least_share",
    ]
    assert not [*problems([one, made(name="two", **boost(least_share=0.4))])]
    until, since = (
        made(name=name, **boost(least_share=0.6), **time)
        for name, time in (("one", {"end_time": 7}), ("two", {"start_time": 7}))
    )
    assert not [*problems([until, since])], "one after the other"


def test_a_filter_is_checked_by_its_parts_and_one_that_excludes_is_nested_less_deep():
    unknown = filter_pb2.Filter(existence=filter_pb2.Existence(field="colour"))
    whole = filter_pb2.Filter(all=filter_pb2.FilterList(filters=[BRAND, unknown]))
    fields = {"kind": ControlKind.BURY, "place": 0, "product_ids": ()}
    (found,) = problems([made(**fields, filter=carried(whole))])
    assert found[0] == "[0].filter.all.filters[1].existence.field"
    for kind, most in ((ControlKind.BURY, 7), (ControlKind.EXCLUDE, 6)):
        fields["kind"] = kind
        assert not [*problems([made(**fields, filter=carried(nested(most)))])]
        assert [*problems([made(**fields, filter=carried(nested(most + 1)))])]


def test_filters_of_a_list_are_few_and_what_is_excluded_fits_into_one():
    def many(kind: ControlKind, count: int, parts: int) -> list[ControlRule]:
        several = filter_pb2.FilterList(filters=[BRAND] * parts)
        part = carried(filter_pb2.Filter(any=several))
        fields = {"kind": kind, "place": 0, "product_ids": (), "filter": part}
        return [made(name=str(n), **fields) for n in range(count)]

    assert [path for path, _ in problems(many(ControlKind.BURY, 9, 1))] == ["[8].filter"]
    assert not [*problems(many(ControlKind.BURY, 8, 60))]
    assert not [*problems(many(ControlKind.EXCLUDE, 4, 60))]
    ((path, problem),) = problems(many(ControlKind.EXCLUDE, 5, 60))
    assert (path, "has 311 parts in all" in problem) == ("[4].filter", True)


@pytest.mark.parametrize(
    ("other", "path"),
    [
        (made(name="two", product_ids=("c",)), "[1].place"),
        (made(name="two", product_ids=("c",), place=3), "[1].place"),
        (made(name="two", product_ids=("c", "b"), place=9), "[1].product_ids[1]"),
        (made(product_ids=("c",), place=9), "[0].name [1].name"),
        (
            made(name="two", kind=ControlKind.EXCLUDE, place=0),
            "[1].product_ids[0] [1].product_ids[1]",
        ),
        (
            made(name="two", kind=ControlKind.BURY, place=0, product_ids=("b",)),
            "[1].product_ids[0]",
        ),
        (made(name="two", product_ids=("c",), place=4), ""),
        (made(name="two", start_time=7), ""),
    ],
)
def test_what_contradicts_a_pin_until_7(other, path):
    found = problems([made(end_time=7), other])
    assert " ".join(path for path, _ in found) == path


def test_boosted_and_buried_by_name_contradict_each_other():
    bury = made(name="two", kind=ControlKind.BURY, place=0, product_ids=("b", "a"))
    one = made(**boost(boost=1.0))
    assert [path for path, _ in problems([one, bury])] == ["[1].product_ids[1]"]
    assert [path for path, _ in problems([bury, one])] == ["[1].product_ids[0]"]


FILE = """
[[controls]]
name = "hero"
kind = "pin"
product_ids = ["wine-7"]
place = 1
start_time = 2026-12-01T00:00:00Z
end_time = 2026-12-25T00:00:00+01:00
daily_budget = 1000
[[controls]]
name = "own-brand"
kind = "boost"
boost = 0.2
filter = "brand = Aurora"
"""


def test_a_scenes_file_has_the_same_controls(tmp_path):
    (tmp_path / "home.toml").write_text(FILE)
    hero, own = SceneFiles(tmp_path).get("home").controls
    day = 86_400 * 10**6
    assert (hero.kind, hero.product_ids, hero.place) == (ControlKind.PIN, ("wine-7",), 1)
    assert hero.start_time == 20_788 * day
    assert hero.end_time == 20_812 * day - day // 24
    assert own.filter.message.comparison.value.text == "Aurora"


def test_the_scene_of_the_page_is_taken(tmp_path):
    page = Path(__file__).parents[4] / "docs/merchandise/controls.md"
    (block,) = re.findall(r"^```toml\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
    (tmp_path / "home.toml").write_text(block)
    kinds = [each.kind for each in SceneFiles(tmp_path).get("home").controls]
    assert kinds == [ControlKind.PIN, ControlKind.BOOST, ControlKind.EXCLUDE]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("place = 1", "place = 201"), "[0].place must be 1 to 200"),
        (("boost = 0.2", "boost = nan"), "[1].boost must be"),
        (("brand = Aurora", "brand IS Aurora"), "controls.1.filter: Value error, unexpected"),
        (("00:00:00Z", "00:00:00"), "time zone"),
        (("brand = Aurora", "colour = red"), "controls.1.filter: Value error, no field"),
        (("brand = Aurora", "brand < A"), "controls.1.filter: Value error, brand takes ="),
        (('kind = "pin"', 'kind = "nail"'), "controls.0.kind"),
        (("daily_budget", "budget"), "controls.0.budget"),
        ((FILE, "controls = 3"), "controls"),
        ((FILE, 'controls = ["pin"]'), "controls.0"),
        ((FILE, '[[controls]]\nname = "a"\nkind = "bury"\nfilter = "x"'), "controls.0.filter"),
        ((FILE, '[[controls]]\nname = "a"\nkind = "bury"\nfilter = 3'), "controls.0.filter"),
    ],
)
def test_a_file_with_a_bad_control_is_refused_by_its_field(tmp_path, change, said):
    (tmp_path / "home.toml").write_text(FILE.replace(*change))
    assert said in SceneFiles(tmp_path).problems()["home.toml"]


WHEN = """
[controls.when]
words = ["red wine"]
markets = ["de"]
audiences = ["vip"]
filter = "brand = Aurora"
"""


def test_a_control_of_a_file_has_a_condition(tmp_path):
    (tmp_path / "home.toml").write_text(FILE + WHEN)
    _, own = SceneFiles(tmp_path).get("home").controls
    assert own.said["when"] == (
        'words: red wine; markets: de; audiences: vip; filter: brand = "Aurora"'
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("red wine", "!"), "[1].when.words[0] must contain a word"),
        (("red wine", ""), "controls.1.when.words.0"),
        (("vip", "V I P"), "[1].when.audiences[0] must be 1 to 64"),
        (("brand = Aurora", "brand < A"), "controls.1.when.filter"),
        (("words", "word"), "controls.1.when.word"),
        ((WHEN, "[controls.when]\n"), "[1].when must have"),
        (("[controls.when]", "[controls.when]\nsegments = []"), "controls.1.when.segments"),
    ],
)
def test_a_file_with_a_bad_condition_is_refused_by_its_field(tmp_path, change, said):
    (tmp_path / "home.toml").write_text(FILE + WHEN.replace(*change))
    assert said in SceneFiles(tmp_path).problems()["home.toml"]


def test_controls_for_different_requests_do_not_contradict_each_other():
    def pinned(name, **when):
        condition = RequestCondition(**when) if when else None
        return ControlRule(name, ControlKind.PIN, ("p1",), place=1, when=condition)

    assert list(controls.problems((pinned("a"), pinned("b", words=("red",))))) == []
    same = (pinned("a", words=("red",)), pinned("b", words=("red",)))
    assert [path for path, _ in controls.problems(same)] == ["[1].product_ids[0]", "[1].place"]


def test_a_goal_of_exposure_has_no_condition():
    goal = ControlRule(
        *("a", ControlKind.BOOST, ("p1",)),
        least_share=0.5,
        when=RequestCondition(audiences=("vip",)),
    )
    assert [path for path, _ in controls.problems((goal,))] == ["[0].when"]


def test_controls_are_compared_only_with_others_of_their_products(monkeypatch):
    compared = []
    monkeypatch.setattr(controls, "_meet", lambda *pair: compared.append(pair) or True)
    many = [made(name=str(n), **{**boost(boost=1.0), "product_ids": (str(n),)}) for n in range(49)]
    many.append(made(name="bury", kind=ControlKind.BURY, place=0, product_ids=("7",)))
    assert [path for path, _ in problems(many)] == ["[49].product_ids[0]"]
    assert len(compared) == 1


def test_a_control_says_all_values_of_its_filters():
    five = " OR ".join(f'brand = "b{number}"' for number in range(5))
    one, other = (of_words(f"{five} OR brand = {last}") for last in ("A", "Z"))
    bury = {"kind": ControlKind.BURY, "product_ids": (), "place": 0}
    assert made(**bury, filter=one).said != made(**bury, filter=other).said
    assert RequestCondition(filter=one).said != RequestCondition(filter=other).said
