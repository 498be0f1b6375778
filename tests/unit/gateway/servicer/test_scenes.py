"""Scenes on the wire: listed, shown, checked, compared and published."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.model.causes import Peer
from gateway.model.errors import EtagMismatch, PeerUnavailable, SceneInvalid, SceneNotFound
from gateway.model.price import LABEL, MODEL, SIGNAL, RequestPrice, diff_price
from gateway.model.query import RequestQuery, SignalKind
from gateway.model.replay import RankerReplay, RecordedAnswer
from gateway.servicer import scenes
from gateway.servicer.scenes import SceneCalls
from gateway.state.expensive_requests import ExpensiveRequestLimiter
from gateway.state.prices import Charge, RequestPrices
from gateway.state.scenes import SceneFiles
from servicekit.admission import access
from servicekit.admission.access import Caller, Role
from servicekit.rpc.requests import CatalogNotFound, RequestInvalid
from sightline.gateway.v1 import admin_service_pb2 as pb
from sightline_core.answer import AnsweredProduct, AnswerOrder, AnswerRecord
from sightline_core.branch import BITS, Branch
from sightline_core.versions import Versions
from tests.fakes.gateway_peers import Shop
from tests.fakes.gateway_values import ANN, by_photo
from tests.fakes.toml import parsed

HOME = "over_fetch = 3.0\n[diversity]\nbrand_cap = 2\n"


class Calls(SceneCalls):
    def __init__(self, folder: Path) -> None:
        shop = Shop()
        self.folder, self._catalogs = folder, ("default",)
        self._scenes = SceneFiles(folder)
        self._parse = parsed
        self._prices = RequestPrices()
        self._deps = replace(shop.deps, scenes=self._scenes)
        self._ranker, self._retriever = shop.ranker, shop.retriever  # type: ignore[assignment]


@pytest.fixture
def calls(tmp_path: Path) -> Calls:
    (tmp_path / "home.toml").write_text(HOME)
    return Calls(tmp_path)


async def test_scenes_are_listed_and_shown_with_their_files(calls: Calls, tmp_path: Path) -> None:
    found = await calls.ListScenes(pb.ListScenesRequest(), None)
    assert {"default", "home"} <= {one.scene for one in found.scenes}
    assert not any(one.toml for one in found.scenes)
    home = await calls.GetScene(pb.GetSceneRequest(scene="home"), None)
    assert (home.toml, home.version) == (HOME, calls._scenes.get("home").version)
    assert "over_fetch" in (await calls.GetScene(pb.GetSceneRequest(), None)).toml
    (tmp_path / "default.toml").write_text(HOME)
    assert (await Calls(tmp_path).GetScene(pb.GetSceneRequest(), None)).toml == HOME
    with pytest.raises(SceneNotFound):
        await calls.GetScene(pb.GetSceneRequest(scene="none"), None)
    with pytest.raises(CatalogNotFound):
        await calls.ListScenes(pb.ListScenesRequest(catalog_id="none"), None)


async def test_controls_are_checked_and_compared_one_by_one(calls: Calls) -> None:
    hero = '[[controls]]\nname = "hero"\nkind = "pin"\nproduct_ids = ["p1", "p2"]\nplace = 1\n'
    bury = """[[controls]]
    name = "old"
    kind = "bury"
    filter = "brand = Aurora"
    end_time = 2026-01-31T00:00:00Z"""
    (calls.folder / "home.toml").write_text(HOME.replace("[div", hero + "[div"))
    toml = HOME.replace("[div", hero.replace("place = 1", "place = 2") + bury + "\n[div")
    request = pb.CheckSceneRequest(scene="home", toml=toml)
    found = await Calls(calls.folder).CheckScene(request, None)
    assert [(one.path, one.before, one.after) for one in found.changes] == [
        ("controls.hero.place", "1", "2"),
        ("controls.old.end_time", "", "2026-01-31 00:00:00+00:00"),
        ("controls.old.filter", "", 'brand = "Aurora"'),
        ("controls.old.kind", "", "bury"),
    ]
    assert not any(one.replayed for one in found.changes)
    for wrong in ('"brand = = A"', "7", '{ message = "x", content = "", names_availability = 1 }'):
        toml = bury.replace('"brand = Aurora"', wrong)
        said = await calls.CheckScene(pb.CheckSceneRequest(toml=toml), None)
        assert [one.path for one in said.problems] == ["controls.0.filter"]


@pytest.mark.parametrize(
    ("products", "path"),
    [
        ('filter = "brand = Aurora"', "controls.aurora.filter"),
        ('product_ids = ["none"]', "controls.aurora.product_ids"),
    ],
)
async def test_a_goal_without_products_is_refused(calls: Calls, products: str, path: str) -> None:
    goal = f'[[controls]]\nname = "aurora"\nkind = "boost"\n{products}\n'
    asked = pb.CheckSceneRequest(toml=goal + "least_share = 0.1\n")
    calls._retriever.counted = 0  # type: ignore[attr-defined]
    found = await calls.CheckScene(asked, None)
    assert (found.valid, [one.path for one in found.problems]) == (False, [path])
    boost = pb.CheckSceneRequest(toml=goal + "boost = 0.1\n")
    assert (await calls.CheckScene(boost, None)).valid, "a boost may wait for its products"
    for call in ("product_count", "categories"):
        calls._retriever.fails[call] = PeerUnavailable(Peer.RETRIEVER)  # type: ignore[attr-defined]
    assert (await calls.CheckScene(asked, None)).valid


async def test_a_goal_with_products_is_valid(calls: Calls) -> None:
    goal = '[[controls]]\nname = "aurora"\nkind = "boost"\nfilter = "brand = Aurora"\n'
    asked = pb.CheckSceneRequest(toml=goal + "least_share = 0.1\n")
    assert (await calls.CheckScene(asked, None)).valid


async def test_a_file_is_checked_against_the_scene_that_is_used(calls: Calls) -> None:
    toml = HOME.replace("brand_cap = 2", "brand_cap = 3")
    found = await calls.CheckScene(pb.CheckSceneRequest(scene="home", toml=toml), None)
    assert (found.valid, [one.path for one in found.changes]) == (True, ["diversity.brand_cap"])
    assert (found.changes[0].before, found.changes[0].after) == ("2", "3")
    pinned = '[ranking]\nmodel = "lfm-6f1c0a5b2d3e4f70"\n' + HOME.partition("\n")[2]
    request = pb.CheckSceneRequest(scene="home", toml=pinned)
    found = await calls.CheckScene(request, None)
    assert [one.path for one in found.warnings] == ["ranking.model"]  # there is none
    calls._ranker.fails["has_model"] = PeerUnavailable(Peer.RANKER)  # type: ignore[attr-defined]
    assert not (await calls.CheckScene(request, None)).warnings
    assert ("ranking.model", "", "lfm-6f1c0a5b2d3e4f70", False) in [
        (one.path, one.before, one.after, one.replayed) for one in found.changes
    ]
    own = await calls.CheckScene(pb.CheckSceneRequest(scene="home", toml=HOME), None)
    assert (own.version, list(own.changes)) == (calls._scenes.get("home").version, [])
    new = await calls.CheckScene(pb.CheckSceneRequest(scene="unheard", toml=HOME), None)
    assert (new.valid, list(new.changes)) == (True, [])
    idle = await calls.CheckScene(pb.CheckSceneRequest(toml="[branches]\nvisual = 0.0"), None)
    assert [one.path for one in idle.warnings] == [
        "parts_with_signals",
        "parts_with_signals.visual",
    ]


@pytest.mark.parametrize(
    ("name", "toml", "path"),
    [
        ("home", "over_fetch = 0.5\n[diversity]\nbrand_cap = -1", "over_fetch"),
        ("home", "[diversity]\nbrand_cap = -1", "diversity.brand_cap"),
        ("home", "colour = 1", "colour"),
        ("home", "over_fetch = ", ""),
        ("home", 'version = "1"', "version"),
        ("home", "a = " + "[\n" * 30_000, ""),
        ("home", "a." * 30_000 + "b = 1", ""),
        ("home", ("a." * 190 + '"\x85".') * 20 + "b = 1", ""),  # one line: TOML ends it at LF
        ("home", "# " + "x" * 65_536, ""),
        (
            "home",
            "[parts_with_signals]\nvisual = 0.0\n[parts_without_signals]\ntaste = 0.0",
            "parts_with_signals and parts_without_signals",
        ),
        ("A home", "", "scene"),
        ("home", "__dataclass_self__ = 1", ""),
        *(
            ("home", f'[[controls]]\nname = "a"\nkind = "bury"\nproduct_ids = ["p1"]\n{time}', path)
            for time, path in (
                ("start_time = 99999999999999999999", "controls.0.start_time"),
                ("end_time = 300000000000000000", "controls.0.end_time"),
                ("start_time = 0001-01-01T00:00:00+14:00", "controls.0.start_time"),
            )
        ),
    ],
)
async def test_a_bad_file_is_refused_by_its_entry(
    calls: Calls, name: str, toml: str, path: str
) -> None:
    found = await calls.CheckScene(pb.CheckSceneRequest(scene=name, toml=toml), None)
    assert not found.valid
    assert path in [one.path for one in found.problems]
    if name == "home":
        with pytest.raises(SceneInvalid) as caught:
            await calls.DiffScene(pb.DiffSceneRequest(scene=name, toml=toml), None)
        assert caught.value.violations[0].field.startswith("toml")


async def test_of_many_bad_entries_the_first_hundred_are_reported(calls: Calls) -> None:
    many = "\n".join(f"entry_{number} = 1" for number in range(1_000))
    found = await calls.CheckScene(pb.CheckSceneRequest(toml=many), None)
    assert [one.path for one in found.problems] == [f"entry_{number}" for number in range(100)]


@pytest.mark.parametrize(("role", "costs"), [(Role.OPERATE, True), (Role.MODELS, False)])
async def test_only_an_operator_compares_by_costs(calls: Calls, role: Role, costs: bool) -> None:
    ranker: Any = calls._ranker
    order = AnswerOrder(["p1"], [1.0], [("visual", [1.0])], [""], branches=[BITS[Branch.VISUAL]])
    record = AnswerRecord("a1", b"", None, Versions(), 0, (), 0, 0, replace(order, total=1))
    ranker.records["default", "a1"] = record
    ranker.replays["a1"] = RankerReplay(RecordedAnswer("a1"), [AnsweredProduct("p1", 1.0)])
    toml = 'objective = "margin"\nobjective_strength = 1.0\n[parts_with_signals]\nmargin = 1.0\n'
    held = access.caller.set(Caller("caller", frozenset({role})))
    try:
        found = await calls.DiffScene(pb.DiffSceneRequest(toml=toml), None)
    finally:
        access.caller.reset(held)
    (rules,) = [asked for name, asked in ranker.calls if name == "replay"]
    assert (rules.costs, "margin" in rules.weights) == (costs, costs)
    assert any(each.path == "objective" for each in found.warnings) is not costs


@pytest.mark.parametrize("scope", [None, "", "ann"])
async def test_who_may_not_name_every_shopper_sees_answers_to_unknown_ones(
    calls: Calls, scope: str | None
) -> None:
    ranker: Any = calls._ranker
    ranker.counted = {"recently_viewed": {"p4": 1.0, "p2": 0.5}}
    calls._deps.recent.note("home", RequestQuery(scene="home", shopper=ANN), 1)
    spy = "popular_fallback = false\nnew_fallback = false\n[branches]\nrecently_viewed = 1.0\n"
    held = access.caller.set(Caller("c", frozenset({Role.OPERATE}), shopper=scope))
    try:
        found = await calls.DiffScene(pb.DiffSceneRequest(scene="home", toml=spy), None)
    finally:
        access.caller.reset(held)
    shown = {product for each in found.answers for product in each.after_product_ids}
    assert ({"p4", "p2"} <= shown) is (scope is None)
    assert {"p4", "p2"}.isdisjoint(shown) is (scope is not None)


async def test_a_diff_waits_for_a_place_for_a_few_answers_at_a_time(calls: Calls) -> None:
    ranker: Any = calls._ranker
    for number in range(10):
        ranker.replays[f"a{number}"] = RankerReplay(RecordedAnswer(f"a{number}"))
    held: list[float] = []

    class Places(ExpensiveRequestLimiter):
        @asynccontextmanager
        async def held(self, price: RequestPrice, catalog_id: str) -> AsyncIterator[bool]:
            held.append(price.queue_seconds)
            yield False

    calls._prices = RequestPrices(places=Places(1))
    await calls.DiffScene(pb.DiffSceneRequest(), None)
    assert held == [diff_price(each).queue_seconds for each in (4, 4, 2)]
    assert diff_price(4).is_expensive


async def test_a_diff_is_charged_for_the_answers_that_it_gives_anew(calls: Calls) -> None:
    for _ in range(6):
        calls._deps.recent.note("home", by_photo(scene="home"), 1)
    counted: list[RequestPrice] = []
    held: list[RequestPrice] = []

    class Places(ExpensiveRequestLimiter):
        @asynccontextmanager
        async def held(self, price: RequestPrice, catalog_id: str) -> AsyncIterator[bool]:
            held.append(price)
            yield False

    class Prices(RequestPrices):
        def counted(self, price: RequestPrice) -> Charge:
            counted.append(price)
            return super().counted(price)

    calls._prices = Prices(places=Places(1))
    labels = HOME + "[branches]\nlabels = 1.0\n"
    for toml in (HOME, labels):
        await calls.DiffScene(pb.DiffSceneRequest(scene="home", toml=toml, answer_count=6), None)
    for price in counted:
        assert price.seconds >= diff_price(6).seconds + 12 * SIGNAL[SignalKind.IMAGE]
    assert counted[0].models == pytest.approx(12 * MODEL[SignalKind.IMAGE])
    assert counted[1].models - counted[0].models == pytest.approx(6 * LABEL)
    assert [each.models for each in held[:2]] == pytest.approx(
        [counted[0].models * 8 / 12, counted[0].models * 4 / 12]
    )
    assert held[0].queue_seconds >= 8 * SIGNAL[SignalKind.IMAGE]


def by_models(calls: Calls, loading: int) -> Any:
    """Let a model be pinned, and note a request. Return the ranker."""
    ranker: Any = calls._ranker
    ranker.models, ranker.loading = {"new"}, loading
    ranker.replays["a1"] = RankerReplay(RecordedAnswer("a1"), [AnsweredProduct("p1", 1.0)])
    retriever: Any = calls._retriever
    retriever.nearest[b"photo"] = {"p1": 0.9, "p2": 0.5}
    calls._deps.recent.note("home", by_photo(scene="home"), 1)
    return ranker


async def test_a_diff_of_models_answers_recent_requests_by_each(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenes, "AGAIN_SECONDS", 0.0)
    ranker = by_models(calls, loading=3)
    found = await calls.DiffScene(pb.DiffSceneRequest(scene="home", model_version="new"), None)
    assert (found.answer_count, found.anew_count, found.changed_count) == (1, 1, 1)
    (one,) = found.answers
    assert list(one.before_product_ids) == ["p1", "p2"]
    assert list(one.after_product_ids) == ["p2", "p1"]
    assert [(each.path, each.after) for each in found.changes] == [("ranking.model", "new")]
    both = pb.DiffSceneRequest(scene="home", model_version="new", current_model_version="new")
    same = await calls.DiffScene(both, None)
    assert (same.answer_count, same.changed_count) == (1, 0)
    other = await calls.DiffScene(pb.DiffSceneRequest(model_version="new"), None)
    assert other.answer_count == 0, "no request to that scene is known"
    assert "replay" not in ranker.asked, "a record does not show how another model ranks"


async def test_a_diff_of_models_skips_requests_for_which_one_is_not_loaded_in_time(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenes, "LOAD_SECONDS", 0.0)
    by_models(calls, loading=100)
    found = await calls.DiffScene(pb.DiffSceneRequest(scene="home", model_version="new"), None)
    assert (found.answer_count, found.skipped_count) == (0, 1)


async def test_a_diff_that_waits_for_a_model_asks_ever_more_rarely(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenes, "AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(scenes, "LOAD_SECONDS", 1.0)
    ranker = by_models(calls, loading=1_000)
    await calls.DiffScene(pb.DiffSceneRequest(scene="home", model_version="new"), None)
    tries = 1_000 - ranker.loading
    assert 2 <= tries <= 10, "each try is a whole search, which is charged once"


@pytest.mark.parametrize("field", ["model_version", "current_model_version"])
async def test_a_diff_of_a_model_that_is_gone_is_refused(calls: Calls, field: str) -> None:
    by_models(calls, loading=0)
    with pytest.raises(RequestInvalid, match="list the models") as caught:
        await calls.DiffScene(pb.DiffSceneRequest(scene="home", **{field: "old"}), None)
    assert caught.value.violations[0].field == field


@contextmanager
def by(shopper: str, *roles: Role, scope: str | None = None) -> Iterator[pb.DiffSceneRequest]:
    """Yield a comparison of models for a customer, made by a caller with these roles."""
    held = access.caller.set(Caller("caller", frozenset(roles), shopper=scope))
    try:
        yield pb.DiffSceneRequest(
            scene="home", model_version="new", answer_count=200, shopper={"user_id": shopper}
        )
    finally:
        access.caller.reset(held)


async def test_a_diff_for_a_shopper_answers_them_in_place_of_recent_requests(calls: Calls) -> None:
    ranker = by_models(calls, loading=0)
    ranker.counted = {"recently_viewed": {"p4": 1.0, "p2": 0.5}}
    spy = "popular_fallback = false\nnew_fallback = false\n[branches]\nrecently_viewed = 1.0\n"
    with by("ann", Role.MODELS, Role.READ) as request:
        request.toml = spy
        found = await calls.DiffScene(request, None)
    (one,) = found.answers
    assert (found.answer_count, found.anew_count, found.changed_count) == (1, 1, 1)
    assert {*one.after_product_ids} == {"p4", "p2"}, "the shopper's own, not those of the photo"
    assert "replay" not in ranker.asked
    assert len(calls._deps.recent.of("default", "home", 0, 9)) == 1, "it is no request itself"


async def test_a_diff_for_a_shopper_is_charged_for_two_answers(calls: Calls) -> None:
    by_models(calls, loading=0)
    counted: list[RequestPrice] = []

    class Prices(RequestPrices):
        def counted(self, price: RequestPrice) -> Charge:
            counted.append(price)
            return super().counted(price)

    calls._prices = Prices()
    with by("ann", Role.MODELS, Role.READ) as request:
        await calls.DiffScene(request, None)
    assert counted[0].seconds < diff_price(10).seconds


@pytest.mark.parametrize("roles", [(Role.MODELS,), (Role.MERCHANDISE, Role.OPERATE), ()])
async def test_who_may_not_read_compares_for_no_shopper(
    calls: Calls, roles: tuple[Role, ...]
) -> None:
    ranker = by_models(calls, loading=0)
    with by("ann", *roles) as request, pytest.raises(access.RoleMissing, match="read"):
        await calls.DiffScene(request, None)
    assert not ranker.asked


async def test_a_diff_for_the_callers_own_shopper_is_personal(calls: Calls) -> None:
    ranker = by_models(calls, loading=0)
    ranker.counted = {"recently_viewed": {"p4": 1.0}}
    with by("ann", Role.MODELS, Role.READ, scope="ann") as request:
        request.toml = "popular_fallback = false\n[branches]\nrecently_viewed = 1.0\n"
        found = await calls.DiffScene(request, None)
    assert "p4" in found.answers[0].after_product_ids


@pytest.mark.parametrize("shopper", ["", "a\x00b", "x" * 129])
async def test_a_diff_for_an_invalid_shopper_is_refused(calls: Calls, shopper: str) -> None:
    by_models(calls, loading=0)
    with by(shopper, Role.MODELS, Role.READ) as request:
        with pytest.raises(RequestInvalid) as caught:
            await calls.DiffScene(request, None)
        assert caught.value.violations[0].field == "shopper.user_id"


async def test_a_diff_says_which_versions_it_compares(calls: Calls) -> None:
    toml = HOME.replace("brand_cap = 2", "brand_cap = 3")
    found = await calls.DiffScene(pb.DiffSceneRequest(scene="home", toml=toml), None)
    assert found.version == calls._scenes.get("home").version != found.changed_version
    same = await calls.DiffScene(pb.DiffSceneRequest(scene="home"), None)
    assert same.version == same.changed_version
    for fields, path in (
        ({"answer_count": 201}, "answer_count"),
        ({"place_count": -1}, "place_count"),
        ({"from_time": {"seconds": 10**15}}, "from_time"),
    ):
        with pytest.raises(RequestInvalid) as caught:
            await calls.DiffScene(pb.DiffSceneRequest(scene="home", **fields), None)
        assert caught.value.violations[0].field == path
    with pytest.raises(SceneNotFound):
        await calls.DiffScene(pb.DiffSceneRequest(scene="unheard", toml=HOME), None)


GOOD = pb.SceneText(toml=HOME, version="good")
LIVE = pb.SceneText(toml=HOME, version="good", number=1)
OTHER = pb.SceneText(toml="over_fetch = 4.0", version="other", number=2)


async def published(
    calls: Calls, document: pb.SceneDocument, etag: str, number: int, at: int = 0
) -> list[str]:
    """Publish a scene of a record, or plan it. Return the etags that the retriever gets."""
    sent: list[str] = []

    async def get(request: pb.GetSceneDocumentRequest) -> pb.SceneDocument:
        return document

    async def publish(request: pb.PublishSceneRequest) -> pb.SceneDocument:
        sent.append(request.etag)
        return document

    async def follow() -> None:
        pass

    calls._get_document, calls._publish, calls._follow_scenes = get, publish, follow
    request = pb.PublishSceneRequest(scene="home", etag=etag, number=number)
    if at:
        request.publish_time.seconds = at
    assert await calls.PublishScene(request, None) == document
    return sent


@pytest.mark.parametrize(
    ("draft", "versions", "etag", "number", "sent"),
    [
        (GOOD, [], "", 0, ["e"]),
        (GOOD, [], "e", 0, ["e"]),
        (None, [LIVE], "", 0, []),
        (None, [LIVE], "e", 0, []),
        (None, [LIVE], "good-0", 0, []),
        (GOOD, [LIVE], "old", 0, ["e"]),
        (None, [OTHER, LIVE], "", 1, ["e"]),
        (None, [OTHER], "old", 2, ["e"]),
    ],
)
async def test_only_what_was_checked_is_published(
    calls: Calls,
    draft: pb.SceneText | None,
    versions: list[pb.SceneText],
    etag: str,
    number: int,
    sent: list[str],
) -> None:
    document = pb.SceneDocument(scene="home", draft=draft, versions=versions, etag="e")
    assert await published(calls, document, etag, number) == sent


async def test_a_plan_that_is_sent_again_is_taken(calls: Calls) -> None:
    planned = pb.SceneText(toml=HOME, version="good", number=3, create_time={"seconds": 9})
    document = pb.SceneDocument(
        scene="home", draft=GOOD, planned=planned, versions=[OTHER], etag="with the plan"
    )
    assert await published(calls, document, "before it", 0, at=9) == ["with the plan"]
    for at in (0, 8, 2**62):
        with pytest.raises(EtagMismatch):
            await published(calls, document, "before it", 0, at=at)


@pytest.mark.parametrize(
    ("draft", "versions", "number"),
    [(GOOD, [], 0), (GOOD, [OTHER], 0), (None, [OTHER], 0), (None, [OTHER, LIVE], 1)],
)
async def test_a_text_under_another_etag_is_not_published(
    calls: Calls, draft: pb.SceneText | None, versions: list[pb.SceneText], number: int
) -> None:
    document = pb.SceneDocument(scene="home", draft=draft, versions=versions, etag="e")
    for etag in ("bad", "bad-0"):
        with pytest.raises(EtagMismatch):
            await published(calls, document, etag, number)
