"""Scenes of the record over real gRPC: a retriever, and two gateways that follow it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import grpc
import pytest

from servicekit.admission.access import Role, rule
from servicekit.clock import now_micros
from servicekit.status import from_rpc_error
from sightline.common.v1 import product_pb2
from sightline.gateway.v1 import admin_service_pb2 as pb
from sightline.gateway.v1 import catalog_service_pb2 as catalog_pb
from sightline.retriever.v1 import catalog_registry_service_pb2 as catalogs_pb
from sightline.retriever.v1 import synonym_service_pb2 as synonyms_pb
from sightline_rules.ids import SYNONYMS_DOCUMENT as SYNONYMS
from tests.fakes.gateway_wire import Suite, running
from tests.unit.gateway.callers.conftest import entry
from tests.unit.gateway.callers.test_admission import NAMES
from tests.waiting import until
from tests.wire.retriever_shop import Shop, exact_rows, refused, shop

__all__ = ["exact_rows", "shop"]  # fixtures
HOME = "over_fetch = 3.0\n"
WRONG = 'over_fetch = 3.0\nplce = 1\n[[controls]]\nname = "a b"\nkind = "pin"\n'


@pytest.fixture
async def gateways(shop: Shop) -> AsyncIterator[tuple[Suite, Suite]]:
    """Yield two gateways of one retriever."""
    async with AsyncExitStack() as stack:
        both = []
        for _ in range(2):
            one = await stack.enter_async_context(running(retriever_target=shop.target))
            await one.gateway.start()
            stack.push_async_callback(one.catalogs.stop)
            both.append(one)
        yield both[0], both[1]


async def _steer(one: Suite, by: catalogs_pb.SteeredBy.ValueType) -> None:
    request = catalogs_pb.UpdateCatalogRequest(catalog=catalogs_pb.Catalog(steered_by=by))
    request.update_mask.paths.append("steered_by")
    await one.admin.UpdateCatalog(request)


async def _has(one: Suite, number: int) -> bool:
    """Return whether a gateway uses a version of the scene."""
    found = await one.admin.ListScenes(pb.ListScenesRequest())
    return [each.number for each in found.scenes if each.scene == "home"] == [number]


async def test_a_scene_is_drafted_published_and_undone_in_all_gateways(
    gateways: tuple[Suite, Suite],
) -> None:
    first, second = gateways
    await _steer(first, catalogs_pb.STEERED_BY_RECORD)
    draft = await first.admin.WriteSceneDraft(
        pb.WriteSceneDraftRequest(scene="home", toml=HOME, comment="a start", etag="none")
    )
    assert (draft.draft.toml, draft.draft.comment) == (HOME, "a start")
    with refused("NOT_FOUND", "SCENE_NOT_FOUND"):
        await first.admin.GetScene(pb.GetSceneRequest(scene="home"))
    published = await first.admin.PublishScene(
        pb.PublishSceneRequest(scene="home", etag=draft.etag)
    )
    assert [each.number for each in published.versions] == [1]
    assert published.etag != draft.etag
    repeated = pb.PublishSceneRequest(scene="home", etag=draft.etag)
    assert await first.admin.PublishScene(repeated) == published
    own = await first.admin.GetScene(pb.GetSceneRequest(scene="home"))
    assert (own.number, own.toml, own.version) == (1, HOME, published.versions[0].version)
    await until(partial(_has, second, 1))
    listed = await second.admin.ListScenes(pb.ListScenesRequest())
    assert listed.steered_by == catalogs_pb.STEERED_BY_RECORD

    toml = HOME.replace("3.0", "4.0")
    await second.admin.WriteSceneDraft(pb.WriteSceneDraftRequest(scene="home", toml=toml))
    await second.admin.PublishScene(pb.PublishSceneRequest(scene="home"))
    await until(partial(_has, first, 2))
    await second.admin.PublishScene(pb.PublishSceneRequest(scene="home", number=1))
    await until(partial(_has, first, 3))
    assert (await first.admin.GetScene(pb.GetSceneRequest(scene="home"))).toml == HOME

    await _steer(second, catalogs_pb.STEERED_BY_FILES)

    async def by_files() -> bool:
        found = await first.admin.ListScenes(pb.ListScenesRequest())
        return "home" not in [each.scene for each in found.scenes]

    await until(by_files)
    with refused("FAILED_PRECONDITION", "SCENES_FROM_FILES"):
        await first.admin.PublishScene(pb.PublishSceneRequest(scene="home", number=2))


async def test_a_planned_version_comes_into_use_in_all_gateways(
    gateways: tuple[Suite, Suite],
) -> None:
    first, second = gateways
    await _steer(first, catalogs_pb.STEERED_BY_RECORD)
    await first.admin.WriteSceneDraft(pb.WriteSceneDraftRequest(scene="home", toml=HOME))
    await first.admin.PublishScene(pb.PublishSceneRequest(scene="home"))
    await until(partial(_has, second, 1))
    toml = HOME.replace("3.0", "4.0")
    await first.admin.WriteSceneDraft(pb.WriteSceneDraftRequest(scene="home", toml=toml))
    request = pb.PublishSceneRequest(scene="home")
    request.publish_time.FromMicroseconds(now_micros() + 3_000_000)
    planned = await first.admin.PublishScene(request)
    assert (planned.planned.number, planned.planned.create_time) == (2, request.publish_time)
    assert await _has(first, 1)
    for one in gateways:
        await until(partial(_has, one, 2))
    found = await second.admin.GetSceneDocument(pb.GetSceneDocumentRequest(scene="home"))
    assert ([each.number for each in found.versions], found.HasField("planned")) == ([2, 1], False)
    with refused("INVALID_ARGUMENT", "REQUEST_INVALID", "publish_time"):
        request.publish_time.FromMicroseconds(now_micros() + 10**14)
        await first.admin.PublishScene(request)


async def test_a_plan_is_cancelled_and_the_version_in_use_stays(
    gateways: tuple[Suite, Suite],
) -> None:
    first, second = gateways
    await _steer(first, catalogs_pb.STEERED_BY_RECORD)
    await first.admin.WriteSceneDraft(pb.WriteSceneDraftRequest(scene="home", toml=HOME))
    await first.admin.PublishScene(pb.PublishSceneRequest(scene="home"))
    await until(partial(_has, second, 1))
    toml = HOME.replace("3.0", "4.0")
    await first.admin.WriteSceneDraft(pb.WriteSceneDraftRequest(scene="home", toml=toml))
    request = pb.PublishSceneRequest(scene="home")
    request.publish_time.FromMicroseconds(now_micros() + 60_000_000)
    planned = await first.admin.PublishScene(request)
    cancel = pb.CancelPlannedSceneRequest(scene="home", etag=planned.etag)
    cancelled = await second.admin.CancelPlannedScene(cancel)
    assert (cancelled.HasField("planned"), list(cancelled.versions)) == (False, [*planned.versions])
    assert cancelled.draft == planned.draft
    assert await second.admin.CancelPlannedScene(cancel) == cancelled, "a repeated call"
    found = await first.admin.GetSceneDocument(pb.GetSceneDocumentRequest(scene="home"))
    assert found == cancelled
    assert [await _has(one, 1) for one in gateways] == [True, True]
    with refused("INVALID_ARGUMENT", "REQUEST_INVALID", "scene"):
        await first.admin.CancelPlannedScene(pb.CancelPlannedSceneRequest(scene="a/b"))


async def test_synonyms_are_drafted_published_and_undone(
    shop: Shop, gateways: tuple[Suite, Suite]
) -> None:
    first, second = gateways
    await shop.upsert(product_pb2.Product(product_id="p0", title="Blue sneaker"))
    get = pb.GetSceneDocumentRequest(scene=SYNONYMS)
    with refused("NOT_FOUND", "SCENE_DOCUMENT_NOT_FOUND"):
        await first.admin.GetSceneDocument(get)
    text = "# shoes\nsneaker, trainer\n"
    write = pb.WriteSceneDraftRequest(scene=SYNONYMS, toml=text, comment="try", etag="none")
    draft = await first.admin.WriteSceneDraft(write)

    async def finds(found: int) -> bool:
        return len((await shop.find("trainer")).candidates.product_ids) == found

    assert await finds(0)
    published = await second.admin.PublishScene(
        pb.PublishSceneRequest(scene=SYNONYMS, etag=draft.etag)
    )
    assert [(each.number, each.toml, each.comment) for each in published.versions] == [
        (1, text, "try")
    ]
    await until(partial(finds, 1))
    held = await first.admin.GetSynonyms(synonyms_pb.GetSynonymsRequest())
    assert [list(each.terms) for each in held.rules] == [["sneaker", "trainer"]]
    await first.admin.SetSynonyms(synonyms_pb.SetSynonymsRequest(etag=held.etag))
    await until(partial(finds, 0))
    undone = await first.admin.PublishScene(pb.PublishSceneRequest(scene=SYNONYMS, number=1))
    assert [each.toml for each in undone.versions] == [text, "", text]
    await until(partial(finds, 1))
    assert await second.admin.GetSceneDocument(get) == undone
    listed = await first.admin.ListSceneDocuments(pb.ListSceneDocumentsRequest())
    assert list(listed.documents) == []
    scenes = await first.admin.ListScenes(pb.ListScenesRequest())
    assert SYNONYMS not in [each.scene for each in scenes.scenes]


async def test_synonyms_that_are_wrong_or_planned_are_refused(
    gateways: tuple[Suite, Suite],
) -> None:
    first, _ = gateways
    with refused("INVALID_ARGUMENT", "SYNONYMS_INVALID", "toml.line 2.terms"):
        await first.admin.WriteSceneDraft(
            pb.WriteSceneDraftRequest(scene=SYNONYMS, toml="a, b\nalone\n")
        )
    checked = await first.admin.CheckScene(pb.CheckSceneRequest(scene=SYNONYMS, toml=HOME))
    assert not checked.valid, "a gateway of 0.42 publishes no synonyms as a scene"
    largest = "".join(
        ", ".join(f"{'ü' * 58}{rule:04d}{term:02d}" for term in range(10)) + "\n"
        for rule in range(2_000)
    )
    assert len(largest.encode()) > 2 * 2**20
    await first.admin.WriteSceneDraft(pb.WriteSceneDraftRequest(scene=SYNONYMS, toml=largest))
    request = pb.PublishSceneRequest(scene=SYNONYMS)
    request.publish_time.FromMicroseconds(now_micros() + 60_000_000)
    with refused("INVALID_ARGUMENT", "REQUEST_INVALID", "publish_time"):
        await first.admin.PublishScene(request)
    published = await first.admin.PublishScene(pb.PublishSceneRequest(scene=SYNONYMS))
    assert published.versions[0].toml == largest


async def test_a_draft_that_the_check_refuses_is_not_published(
    gateways: tuple[Suite, Suite],
) -> None:
    first, _ = gateways
    await _steer(first, catalogs_pb.STEERED_BY_RECORD)
    draft = await first.admin.WriteSceneDraft(pb.WriteSceneDraftRequest(scene="home", toml=WRONG))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await first.admin.PublishScene(pb.PublishSceneRequest(scene="home"))
    error = from_rpc_error(caught.value)
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "SCENE_INVALID")
    assert {each.field for each in error.violations} == {"toml.plce", "toml.controls"}
    found = await first.admin.GetSceneDocument(pb.GetSceneDocumentRequest(scene="home"))
    assert found == draft
    assert await first.admin.DeleteSceneDocument(
        pb.DeleteSceneDocumentRequest(scene="home", draft_only=True)
    ) == pb.DeleteSceneDocumentResponse(deleted=True)
    with refused("NOT_FOUND", "SCENE_DOCUMENT_NOT_FOUND"):
        await first.admin.PublishScene(pb.PublishSceneRequest(scene="home"))


async def test_two_authors_and_names_that_no_scene_has_are_refused(
    gateways: tuple[Suite, Suite],
) -> None:
    first, second = gateways
    draft = await first.admin.WriteSceneDraft(pb.WriteSceneDraftRequest(scene="home", toml=HOME))
    with refused("ABORTED", "ETAG_MISMATCH"):
        await second.admin.WriteSceneDraft(
            pb.WriteSceneDraftRequest(scene="home", toml="views = 1\n", etag="none")
        )
    await second.admin.WriteSceneDraft(
        pb.WriteSceneDraftRequest(scene="home", toml="views = 1\n", etag=draft.etag)
    )
    for name in ("", "a/b", "../x", "Home", "🍷", "a b", "x" * 65):
        with refused("INVALID_ARGUMENT", "REQUEST_INVALID", "scene"):
            await first.admin.WriteSceneDraft(pb.WriteSceneDraftRequest(scene=name, toml=HOME))
        with refused("INVALID_ARGUMENT", "REQUEST_INVALID", "scene"):
            await first.admin.PublishScene(pb.PublishSceneRequest(scene=name))
    with refused("INVALID_ARGUMENT", "REQUEST_INVALID", "toml"):
        await first.admin.WriteSceneDraft(
            pb.WriteSceneDraftRequest(scene="home", toml="#" * (64 * 1024 + 1))
        )
    with refused("NOT_FOUND", "CATALOG_NOT_FOUND"):
        await first.admin.WriteSceneDraft(
            pb.WriteSceneDraftRequest(catalog_id="none", scene="home", toml=HOME)
        )


ANN, BEN = "a" * 40, "b" * 40


async def test_a_merchandiser_steers_their_catalogs_under_their_name(
    shop: Shop, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text(
        entry("ann", ANN, '["merchandise"]') + entry("ben", BEN, '["operate"]', '["*"]')
    )

    def by(token: str) -> tuple[tuple[str, str]]:
        return (("authorization", f"Bearer {token}"),)

    async with running(retriever_target=shop.target, keys_file=keys) as suite:
        draft = pb.WriteSceneDraftRequest(scene="home", toml=HOME)
        await suite.admin.WriteSceneDraft(draft, metadata=by(ANN))
        published = await suite.admin.PublishScene(
            pb.PublishSceneRequest(scene="home", in_advance=True), metadata=by(BEN)
        )
        assert [each.author for each in published.versions] == ["ben"]
        drafted = await suite.admin.WriteSceneDraft(
            pb.WriteSceneDraftRequest(scene="home", toml="views = 1\n"), metadata=by(ANN)
        )
        assert (drafted.draft.author, drafted.versions[0].author) == ("ann", "ben")
        await suite.admin.SetSynonyms(
            synonyms_pb.SetSynonymsRequest(rules=[{"terms": ["wine", "vino"]}]), metadata=by(ANN)
        )
        synonyms = await suite.admin.PublishScene(
            pb.PublishSceneRequest(scene=SYNONYMS, number=1, comment="again"), metadata=by(BEN)
        )
        assert [each.author for each in synonyms.versions] == ["ann"], "it is in use already"
        await shop.upsert(*(product_pb2.Product(product_id=each, title="x") for each in "ab"))
        named = {"product_ids": ["a", "b"]}
        marked = await suite.catalog.MarkDistinctProducts(
            catalog_pb.MarkDistinctProductsRequest(**named), metadata=by(ANN)
        )
        assert [each.author for each in marked.pairs] == ["ann"]
        with refused("PERMISSION_DENIED", "ROLE_MISSING"):
            await suite.catalog.UnmarkDistinctProducts(
                catalog_pb.UnmarkDistinctProductsRequest(**named), metadata=by(BEN)
            )
        with refused("PERMISSION_DENIED", "CATALOG_FORBIDDEN"):
            draft.catalog_id = "other"
            await suite.admin.WriteSceneDraft(draft, metadata=by(ANN))
        with refused("PERMISSION_DENIED", "ROLE_MISSING"):
            await suite.admin.UpdateCatalog(catalogs_pb.UpdateCatalogRequest(), metadata=by(ANN))


def test_a_merchandiser_reads_and_changes_nothing_else() -> None:
    permitted = {each for each in NAMES if Role.MERCHANDISE in rule(each).roles}
    assert {each.removeprefix("sightline.gateway.v1.") for each in permitted} == {
        *(f"AdminService/{name}Scene" for name in ("Get", "Check", "Diff", "Publish")),
        *(f"AdminService/{name}SceneDocument" for name in ("Get", "Delete")),
        *("AdminService/ListScenes", "AdminService/ListSceneDocuments"),
        *("AdminService/WriteSceneDraft", "AdminService/CancelPlannedScene"),
        *("AdminService/GetSynonyms", "AdminService/SetSynonyms"),
        *("CatalogService/GetProduct", "CatalogService/GetImage"),
        *(f"CatalogService/{name}DistinctProducts" for name in ("Mark", "Unmark", "List")),
        *(f"RecommendationService/{name}" for name in ("Recommend", "Search", "List")),
        "RecommendationService/ExplainRecommendation",
    }
    assert all(rule(each).audited for each in permitted if rule(each).changes)
