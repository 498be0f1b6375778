"""Promotion and retirement: no unproven space, and no partial state."""

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedder.adapters.space_metadata import SpaceMetadata
from embedder.adapters.space_store import SpaceStore
from embedder.domain.errors import (
    EmbedderUnavailable,
    FitUnavailable,
    ModelNotReady,
    ModelSilent,
    ProcessLost,
    PromotionRefused,
    SpaceNotFound,
    SpacesFull,
    SpaceUnsigned,
)
from embedder.domain.manifest import MANIFEST, ServingState, SpaceManifest
from embedder.spaces import promote
from embedder.spaces.promote import LOAD_PAUSES, Promotion
from servicekit.errors import ServiceError
from servicekit.keys.keyring import KeyRing
from tests.fakes.spaces import FolderServer
from tests.unit.embedder.spaces.test_learn import SETTINGS, Bench

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two candidates, one of them not proven better."""
    root = tmp_path_factory.mktemp("fitted")
    bench = Bench(root)

    async def fit() -> None:
        await bench.candidate()
        await bench.candidate(replace(SETTINGS, seed=1, catalog_id="other"))

    asyncio.run(fit())
    return root


class Service:
    """Promotion with its dependencies."""

    def __init__(self, fitted: Path, root: Path) -> None:
        shutil.copytree(fitted, root, dirs_exist_ok=True)
        self.root = root / "spaces"
        self.keys = KeyRing()
        self.store = SpaceStore(self.root, lambda: self.keys)
        self.server = FolderServer(self.root / "models")
        self.pauses: list[float] = []
        self.promotion = Promotion(self.store, self.server, self.server.inference, self.pause)

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def only(self, catalog: str = "default") -> tuple[SpaceManifest, ServingState]:
        (found,) = self.store.spaces(catalog)
        return found

    def folders(self, standing: ServingState) -> set[str]:
        return {path.name for path in (self.root / standing).glob("*")}


@pytest.fixture
def service(fitted: Path, tmp_path: Path) -> Service:
    return Service(fitted, tmp_path)


OURS, OTHERS = KeyRing([b"o" * 32]), KeyRing([b"x" * 32])


async def serving(service: Service) -> set[str]:
    return set(await SpaceMetadata(service.store, service.server).serving())


@pytest.mark.full
@pytest.mark.parametrize("theirs", [KeyRing(), OTHERS], ids=["nobody", "another"])
async def test_a_space_that_no_key_signed_is_promoted_by_force_alone_and_signed_then(
    service: Service, theirs: KeyRing
) -> None:
    found, _ = service.only()
    service.keys = theirs
    await service.promotion.promote("default", found.version, force=True)
    await service.promotion.retire("default", found.version)
    service.keys = OURS
    with pytest.raises(SpaceUnsigned, match="force"):
        await service.promotion.promote("default", found.version, force=False)
    assert service.only()[1] is ServingState.RETIRED

    forced = await service.promotion.promote("default", found.version, force=True)
    assert (forced.forced, service.only()) == (True, (forced, ServingState.SERVING))
    assert service.store.trusts(*service.only())
    service.keys = KeyRing([b"n" * 32, b"o" * 32])
    assert service.store.trusts(*service.only()), "older keys are good until they are gone"
    service.keys = OTHERS
    assert not service.store.trusts(*service.only())


async def test_a_space_in_service_that_no_key_signed_is_served_once_it_is_forced(
    service: Service,
) -> None:
    found, _ = service.only()
    await service.promotion.promote("default", found.version, force=False)
    assert await serving(service) == {found.name, found.text_name}
    (service.root / "models" / "visual_planted").mkdir()
    service.keys = OURS
    assert await serving(service) == set()
    with pytest.raises(SpaceUnsigned):
        await service.promotion.promote("default", found.version, force=False)
    forced = await service.promotion.promote("default", found.version, force=True)
    assert forced.forced
    assert await serving(service) == {found.name, found.text_name}


async def test_a_manifest_that_was_changed_is_signed_by_nobody(service: Service) -> None:
    service.keys = OURS
    found, _ = service.only()
    await service.promotion.promote("default", found.version, force=True)
    path = service.root / "models" / found.name / MANIFEST
    said = json.loads(path.read_bytes())
    path.write_text(json.dumps(said))
    assert service.store.trusts(*service.only()), "spelt otherwise, it says the same"
    path.write_text(json.dumps(said | {"backbone": "other"}))
    assert not service.store.trusts(*service.only())


@pytest.mark.full
async def test_a_space_that_is_fitted_with_a_key_is_signed(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.store = SpaceStore(bench.root, lambda: OURS)
    bench.learner = bench.made()
    found = await bench.candidate()
    assert bench.store.trusts(*bench.store.find("default", found.version))


async def test_as_many_spaces_of_a_catalog_serve_as_may(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _ = service.only()
    monkeypatch.setattr(promote, "MOST_SERVING", 0)
    with pytest.raises(SpacesFull, match="retire one"):
        await service.promotion.promote("default", found.version, force=True)
    assert service.only() == (found, ServingState.CANDIDATE)
    assert service.server.loaded == set()
    monkeypatch.setattr(promote, "MOST_SERVING", 1)
    other, _ = service.only("other")
    await service.promotion.promote("other", other.version, force=True)
    await service.promotion.promote("default", found.version, force=False)
    again = await service.promotion.promote("default", found.version, force=False)
    assert again == found, "one that serves is not one more"


async def test_a_space_that_is_better_comes_into_service_whole(service: Service) -> None:
    found, _ = service.only()
    promoted = await service.promotion.promote("default", found.version, force=False)

    assert promoted == found
    assert service.only() == (found, ServingState.SERVING)
    assert service.server.loaded == {found.name, found.text_name}
    assert service.folders(ServingState.SERVING) == {found.name, found.text_name}
    assert not service.folders(ServingState.CANDIDATE) & {found.name, found.text_name}
    assert list(service.root.glob("work/*")) == []
    assert await service.promotion.promote("default", found.name, force=False) == promoted


async def test_one_that_is_not_proven_is_refused_unless_forced_and_that_is_recorded(
    service: Service,
) -> None:
    found, _ = service.only("other")
    with pytest.raises(PromotionRefused, match=r"INCONCLUSIVE.*as the seed says"):
        await service.promotion.promote("other", found.name, force=False)
    assert service.only("other") == (found, ServingState.CANDIDATE)
    promoted = await service.promotion.promote("other", found.name, force=True)
    assert promoted.forced
    assert service.only("other") == (replace(found, forced=True), ServingState.SERVING)


async def test_a_space_belongs_to_its_catalog(service: Service) -> None:
    found, _ = service.only("other")
    for wanted in (found.version, found.name, "", "../models", "f" * 16):
        with pytest.raises(SpaceNotFound):
            await service.promotion.promote("default", wanted, force=True)


def damaged(service: Service, found: SpaceManifest, file: str) -> Path:
    path = service.store.folder(found.name, ServingState.CANDIDATE) / file
    path.write_bytes(path.read_bytes() + b" ")
    return path


@pytest.mark.parametrize("file", ["1/model.onnx", "1/model.py", "config.pbtxt", "proof.npz"])
async def test_files_that_were_tampered_with_are_refused(service: Service, file: str) -> None:
    found, _ = service.only()
    damaged(service, found, file)
    with pytest.raises(ModelNotReady, match=file):
        await service.promotion.promote("default", found.name, force=True)
    assert service.only() == (found, ServingState.CANDIDATE)
    assert service.server.loaded == set()
    assert not service.folders(ServingState.SERVING)


async def test_a_file_more_or_a_link_is_refused_too(service: Service) -> None:
    found, _ = service.only()
    folder = service.store.folder(found.name, ServingState.CANDIDATE)
    (folder / "1/other.py").write_text("import os")
    with pytest.raises(ModelNotReady, match=r"other\.py"):
        await service.promotion.promote("default", found.name, force=True)
    (folder / "1/other.py").unlink()
    (folder / "1/link").symlink_to("/etc/passwd")
    with pytest.raises(ModelNotReady, match="link"):
        await service.promotion.promote("default", found.name, force=True)


async def test_a_model_that_gives_something_else_than_was_fitted_never_serves(
    service: Service,
) -> None:
    found, _ = service.only()
    service.server.spoils = True
    with pytest.raises(ModelNotReady, match="vectors in Triton that differ"):
        await service.promotion.promote("default", found.name, force=True)
    assert service.only() == (found, ServingState.CANDIDATE)
    assert service.server.loaded == set()
    assert not service.folders(ServingState.SERVING)

    service.server.spoils = False
    await service.promotion.promote("default", found.name, force=False)
    assert service.only()[1] is ServingState.SERVING


@pytest.mark.parametrize(
    ("error", "pauses"),
    [
        (EmbedderUnavailable("gone"), [*LOAD_PAUSES]),
        (ModelSilent(), []),
        (ModelNotReady("can't load"), []),
    ],
)
async def test_a_model_that_can_not_be_loaded_leaves_all_as_it_was(
    service: Service, error: ServiceError, pauses: list[float]
) -> None:
    found, _ = service.only()
    service.server.error = error
    with pytest.raises(type(error)):
        await service.promotion.promote("default", found.name, force=True)
    assert service.pauses == pauses
    assert service.only() == (found, ServingState.CANDIDATE)
    assert not service.folders(ServingState.SERVING)


@pytest.mark.parametrize("failures", [1, len(LOAD_PAUSES)])
async def test_a_process_that_is_lost_while_it_starts_is_started_again(
    service: Service, failures: int
) -> None:
    found, _ = service.only()
    service.server.error, service.server.failures = ProcessLost("stood still"), failures
    await service.promotion.promote("default", found.name, force=False)
    assert service.only() == (found, ServingState.SERVING)
    assert service.pauses == [*LOAD_PAUSES][:failures]


async def test_a_promotion_that_was_cut_short_is_a_candidate_still(service: Service) -> None:
    found, standing = service.only()
    service.store.offer(found, standing)  # and the power went
    assert service.only() == (found, ServingState.CANDIDATE)
    await service.promotion.promote("default", found.name, force=False)
    assert service.only() == (found, ServingState.SERVING)


async def test_a_retired_space_is_out_of_service_and_can_come_back(service: Service) -> None:
    found, _ = service.only()
    await service.promotion.promote("default", found.name, force=False)

    assert await service.promotion.retire("default", found.version) == (found, ServingState.RETIRED)
    assert service.server.loaded == set()
    assert service.only() == (found, ServingState.RETIRED)
    assert not service.folders(ServingState.SERVING)
    assert await service.promotion.retire("default", found.version) == (found, ServingState.RETIRED)

    await service.promotion.promote("default", found.version, force=False)
    assert service.only() == (found, ServingState.SERVING)


async def test_a_space_with_a_broken_manifest_is_left_out_and_holds_up_no_other(
    service: Service,
) -> None:
    found, _ = service.only()
    path = service.store.folder(found.name, ServingState.CANDIDATE) / MANIFEST
    whole = json.loads(path.read_text())
    for broken in (b"{", b"[]", b"\xff" * 99, json.dumps({**whole, "dimension": 9999}).encode()):
        path.write_bytes(broken)
        assert list(service.store.spaces("default")) == []
    path.write_text(json.dumps({**whole, "name": "visual_" + "0" * 12}))
    assert list(service.store.spaces("default")) == []
    assert service.only("other")


async def test_without_a_folder_there_is_nothing_to_promote(service: Service) -> None:
    promotion = Promotion(None, service.server, service.server.inference)
    with pytest.raises(FitUnavailable, match="EMBEDDER_SPACES"):
        await promotion.promote("default", "x", force=False)
    with pytest.raises(FitUnavailable, match="EMBEDDER_SPACES"):
        await promotion.retire("default", "x")


async def test_the_proof_is_of_real_photos_of_both_inputs(service: Service) -> None:
    found, _ = service.only()
    with np.load(service.store.folder(found.name, ServingState.CANDIDATE) / "proof.npz") as proof:
        assert proof["image"].shape == (4, 16, 16, 3)
        assert {*proof["kind"].ravel().tolist()} == {0.0, 1.0}
        assert np.allclose(np.linalg.norm(proof["vectors"], axis=1), 1, atol=1e-5)


async def test_all_spaces_of_a_removed_catalog_are_deleted(service: Service) -> None:
    found, _ = service.only("default")
    other = service.only("other")
    await service.promotion.promote("default", found.version, force=False)
    await service.promotion.remove("default")
    assert list(service.store.spaces("default")) == []
    assert service.only("other") == other
    assert service.server.loaded == set()
    for standing in ServingState:
        assert found.name not in service.folders(standing)
        assert found.text_name not in service.folders(standing)
    await service.promotion.remove("default")  # another replica does the same
    await Promotion(None, service.server, service.server.inference).remove("default")
