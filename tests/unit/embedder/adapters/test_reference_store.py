"""The store of references."""

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from embedder.adapters import reference_store
from embedder.adapters.reference_store import ReferenceStore
from embedder.domain import errors
from embedder.domain.inspection import PatchMemory
from embedder.domain.references import FittedReference, ListedReference, ReferenceState
from servicekit.keys.keyring import KeyRing
from tests.broken_files import BROKEN

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)


def memory(seed: int = 0) -> PatchMemory:
    rng = np.random.default_rng(seed)
    arrays = {
        name: rng.normal(size=size).astype(np.float32)
        for name, size in (
            ("basis", (5, 3)),
            ("patches", (7, 3)),
            ("means", (4, 4)),
            ("deviations", (4, 4)),
            ("scores", (9,)),
        )
    }
    return PatchMemory(**arrays, separation=0.9)


def fitted(seed: int = 0) -> FittedReference:
    return FittedReference(memory(seed), "model", None)


@pytest.fixture
def store(tmp_path: Path) -> ReferenceStore:
    return ReferenceStore(tmp_path)


def keep(store: ReferenceStore, seed: int = 0, product: str = "p", name: str = "r") -> str:
    kept = store.keep("default", name, product, fitted(seed), ["a"])
    assert kept.manifest is not None
    return kept.manifest.version


def states(store: ReferenceStore) -> dict[str, ReferenceState]:
    return {each.manifest.version: each.state for each in store.listed("default") if each.manifest}


def test_a_photo_is_added_once(store: ReferenceStore) -> None:
    assert store.add("default", "r", "a", PIXELS) == 1
    assert store.add("default", "r", "a", PIXELS) == 1
    assert store.add("default", "r", "b", PIXELS) == 2
    assert np.array_equal(store.draft("default", "r")["a"], PIXELS)
    (draft,) = store.listed("default")
    assert (draft.state, draft.photos, draft.manifest) == (ReferenceState.DRAFT, 2, None)
    assert store.listed("other") == []


def test_a_fit_deletes_the_draft_and_is_kept_as_it_was(store: ReferenceStore) -> None:
    store.add("default", "r", "a", PIXELS)
    version = keep(store)
    assert store.draft("default", "r") == {}
    assert keep(store) == version
    assert states(store) == {version: ReferenceState.CANDIDATE}
    with pytest.raises(errors.ReferenceNotFound):
        store.load("default", "r", "", "")
    manifest, found = store.load("default", "r", "", version)
    assert (manifest.photos, manifest.photo_ids) == (9, ("a",))
    for name in ("basis", "patches", "means", "deviations", "scores"):
        assert np.array_equal(getattr(found, name), getattr(memory(), name))


def test_a_promotion_retires_the_former_version(store: ReferenceStore) -> None:
    first = keep(store)
    assert store.promote("default", "r", "").state is ReferenceState.SERVING
    second = keep(store, 1)
    assert store.load("default", "r", "", "")[0].version == first
    store.promote("default", "r", second)
    assert states(store) == {first: ReferenceState.RETIRED, second: ReferenceState.SERVING}
    store.promote("default", "r", first)
    assert states(store) == {second: ReferenceState.RETIRED, first: ReferenceState.SERVING}
    with pytest.raises(errors.ReferenceNotFound):
        store.promote("default", "r", "0" * 16)


def test_old_versions_are_deleted_but_not_the_one_that_serves(store: ReferenceStore) -> None:
    first = keep(store)
    store.promote("default", "r", "")
    others = [keep(store, seed) for seed in range(1, 6)]
    assert states(store).keys() == {first, *others[-2:]}


def test_the_reference_of_a_product_is_the_one_promoted_last(store: ReferenceStore) -> None:
    for name, seed in (("b", 1), ("a", 2)):
        keep(store, seed, name=name)
        store.promote("default", name, "")
    assert store.load("default", "", "p", "")[0].reference_id == "a"
    store.delete("default", "a", "")
    assert store.load("default", "", "p", "")[0].reference_id == "b"
    with pytest.raises(errors.ReferenceNotFound):
        store.load("default", "", "q", "")


def test_a_deleted_version_serves_no_longer(store: ReferenceStore) -> None:
    version = keep(store)
    store.promote("default", "r", "")
    assert store.delete("default", "r", version) == 1
    with pytest.raises(errors.ReferenceNotFound):
        store.load("default", "r", "", "")
    with pytest.raises(errors.ReferenceNotFound):
        store.delete("default", "r", version)


def test_a_changed_file_is_not_compared_with(store: ReferenceStore, tmp_path: Path) -> None:
    keep(store)
    store.promote("default", "r", "")
    (path,) = tmp_path.glob("references/*/r/*/memory.npz")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(errors.ReferenceNotFound):
        store.load("default", "r", "", "")


@pytest.mark.parametrize("way", BROKEN)
def test_a_damaged_file_of_a_reference_costs_no_other(
    store: ReferenceStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], way: str
) -> None:
    for digest in ("a", "b"):
        store.add("default", "r", digest, PIXELS)
    keep(store, 0, "q", "s")
    store.promote("default", "s", "")
    other = keep(store, 1, "q", "t")
    store.promote("default", "t", "")
    (draft,) = tmp_path.glob("references/*/r/draft/a.png")
    BROKEN[way](draft)
    (state,) = tmp_path.glob("references/*/s/state.json")
    BROKEN[way](state)

    assert [*store.draft("default", "r")] == ["b"]
    assert store.add("default", "r", "a", PIXELS) == 2, "it can be given again"
    assert store.load("default", "", "q", "")[0].version == other
    with pytest.raises(errors.ReferenceNotFound):
        store.load("default", "s", "", "")
    written = capsys.readouterr()
    assert {str(draft), str(state)} <= {*(written.out + written.err).replace("=", " ").split()}
    store.promote("default", "s", "")
    assert store.serving("default", "s") is not None


def test_an_unsigned_manifest_is_ignored_where_keys_sign(tmp_path: Path) -> None:
    keep(ReferenceStore(tmp_path))
    ring = KeyRing([b"k" * 32])
    signed = ReferenceStore(tmp_path, lambda: ring)
    assert signed.listed("default") == []
    version = keep(signed, 1)
    assert states(signed) == {version: ReferenceState.CANDIDATE}


def test_photos_that_are_added_during_a_fit_stay_in_the_draft(store: ReferenceStore) -> None:
    for digest in ("a", "b"):
        store.add("default", "r", digest, PIXELS)
    keep(store)
    assert list(store.draft("default", "r")) == ["b"]


def test_a_signed_manifest_without_newer_fields_is_valid(tmp_path: Path) -> None:
    ring = KeyRing([b"k" * 32])
    version = keep(ReferenceStore(tmp_path))
    (path,) = tmp_path.glob("references/*/r/*/manifest.json")
    old = json.loads(path.read_text("utf-8"))
    del old["photo_ids"]
    assert "evaluation" not in old
    data = json.dumps(old | {"signature": ""}, separators=(",", ":")).encode()
    path.write_text(json.dumps(old | {"signature": ring.sign(("reference",), data)}), "utf-8")
    assert states(ReferenceStore(tmp_path, lambda: ring)) == {version: ReferenceState.CANDIDATE}


def test_drafts_and_references_are_limited(
    store: ReferenceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference_store, "MOST_DRAFTS", 2)
    monkeypatch.setattr(reference_store, "MOST_PHOTOS", 2)
    for name in ("a", "b"):
        store.add("default", name, "x", PIXELS)
    with pytest.raises(errors.ReferencesFull):
        store.add("default", "c", "x", PIXELS)
    store.add("default", "a", "y", PIXELS)
    with pytest.raises(errors.ReferenceFull):
        store.add("default", "a", "z", PIXELS)


def test_a_draft_is_deleted_a_day_after_its_last_photo(
    store: ReferenceStore, tmp_path: Path
) -> None:
    store.add("default", "r", "a", PIXELS)
    store.sweep("default")
    assert store.count("default", "r") == 1
    (draft,) = tmp_path.glob("references/*/r/draft")
    os.utime(draft, (0, 0))
    store.sweep("default")
    assert store.listed("default") == []


def test_a_catalog_is_deleted_with_its_references(store: ReferenceStore) -> None:
    keep(store)
    store.keep("other", "r", "p", fitted(), [])
    store.delete_catalog("default")
    found: list[ListedReference] = store.listed("default")
    assert (found, len(store.listed("other"))) == ([], 1)


def test_a_reference_that_is_deleted_meanwhile_is_begun_anew_or_not_found(
    store: ReferenceStore,
) -> None:
    calls: list[Callable[[], object]] = [
        lambda: store.add("default", "r", "a", PIXELS),
        lambda: store.draft("default", "r"),
        lambda: store.listed("default"),
        lambda: keep(store),
        lambda: store.promote("default", "r", ""),
        lambda: store.delete("default", "r", ""),
        lambda: store.delete("default", "r", ""),
    ]

    def repeat(call: Callable[[], object]) -> None:
        for _ in range(100):
            with suppress(errors.ReferenceNotFound):
                call()

    with ThreadPoolExecutor(len(calls)) as pool:
        list(pool.map(repeat, calls))
    store.add("default", "r", "b", PIXELS)
    assert "b" in store.draft("default", "r")


def test_a_reference_that_is_deleted_each_time_is_not_found(
    store: ReferenceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deleted(*_: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(os, "utime", deleted)
    with pytest.raises(errors.ReferenceNotFound):
        store.add("default", "r", "a", PIXELS)


def test_threads_load_at_once_and_a_changed_manifest_is_no_cached_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference_store, "CACHED", 1)
    store = ReferenceStore(tmp_path)
    versions = {name: keep(store, product=name, name=name) for name in ("r", "s")}
    with ThreadPoolExecutor(4) as threads:
        loads = [
            threads.submit(store.load, "default", name, "", version)
            for name, version in [*versions.items()] * 20
        ]
        assert {each.result()[0].version for each in loads} == {*versions.values()}
    manifest = next(tmp_path.rglob(f"{versions['r']}/manifest.json"))
    told = json.loads(manifest.read_bytes()) | {"file": "0" * 64}
    manifest.write_text(json.dumps(told))
    with pytest.raises(errors.ReferenceNotFound):
        store.load("default", "r", "", versions["r"])
