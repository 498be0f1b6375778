import dataclasses
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import numpy as np
import pytest
from botocore.exceptions import EndpointConnectionError
from fsspec.implementations.memory import MemoryFileSystem

from ranker.adapters import model_store
from ranker.adapters.export_store import ExportStore
from ranker.adapters.model_store import ModelStore, dump_arrays, load_arrays, version_of
from ranker.adapters.packing import arrays_of, pack_texts, part_of, unpack_texts
from ranker.domain.arrays import AnyArray, Neighbours
from ranker.domain.content import Content
from ranker.domain.errors import ExportUnwritable, ModelCorrupt, StoreUnwritable
from ranker.domain.events import EventType
from ranker.domain.model import Calibration, Looks, Model
from tests.fakes.ranker import model

MADE = model(
    {"p1": [1.0, 2.0], "p2": [3.0, 4.0], "葡萄酒": [5.0, 6.0]},
    actors={"ab" * 32: [0.5, 0.5]},
    features={"id=p1": [1.0, 0.0], "brand=Ł": [0.0, 1.0]},
    biases={"p2": -1.5},
    version="lfm-1",
    score_scale=2.5,
)


WHOLE = dataclasses.replace(
    MADE,
    neighbours={
        "item_item": Neighbours(
            np.array([0, 2, 2, 3]),
            np.array([1, 2, 0], np.int32),
            np.array([0.5, -1, 2], np.float32),
        ),
        "bought_together": Neighbours(
            np.array([0, 0, 0, 0]), np.zeros(0, np.int32), np.zeros(0, np.float32)
        ),
    },
    item_features=Neighbours(
        np.array([0, 1, 1, 2]), np.array([0, 1], np.int32), np.ones(2, np.float32)
    ),
    popularity=np.array([1, 0.5, 0], np.float32),
    numbers={"trend": np.array([0, -1, 2], np.float32)},
    styles=np.array([[1, 2], [np.nan, np.nan], [3, 4]], np.float32),
    style_mean=np.zeros(5, np.float32),
    style_axes=np.ones((2, 5), np.float32),
    style_space="v1",
    looks=Looks(
        np.ones((3, 5), np.float32), np.ones((3, 2), np.float32), np.ones(2, np.float32), 2
    ),
    content=Content(
        ("brand=Ł", "tag=葡萄酒"),
        np.array([[0, 1]]),
        vectors=np.ones((3, 4), np.float32),
        usual=np.ones(4, np.float32),
        sources=np.array([0, 2]),
        source_vectors=np.ones((2, 4), np.float32),
        rows=np.array([1]),
        row_vectors=np.ones((1, 4), np.float32),
    ),
    actor_contents=np.ones((1, 4), np.float32),
    part_scales={"item_item": 0.5},
    blend={"taste": 1.0, "popularity": 0.0},
    newcomers={"trend": 0.0},
    returning={"popularity": 2.0},
    calibration=Calibration(
        EventType.CLICK, np.array([-1.0, 0.5]), np.array([0.01, 0.2]), sample_count=9_000
    ),
    purchases=Calibration(
        EventType.PURCHASE, np.array([-1.0, 0.5]), np.array([0.0, 0.02]), sample_count=9_000
    ),
    purchases_per_click=0.125,
    examination=(1.0, 0.5),
    shopper_feature_names=("age_band=25-34",),
    shopper_feature_rows={"age_band=25-34": 0},
    shopper_feature_vectors=np.ones((1, 2), np.float32),
)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(str(tmp_path))


def test_a_model_comes_back_bit_for_bit(store: ModelStore) -> None:
    digest = store.write("default", MADE, {"metrics": []})
    back = store.read("default", "lfm-1", digest)
    assert dump_arrays(arrays_of(back)) == dump_arrays(arrays_of(MADE))
    for field in ("version", "item_ids", "item_rows", "actor_rows", "feature_rows", "score_scale"):
        assert getattr(back, field) == getattr(MADE, field)


def test_a_model_with_every_part_comes_back_bit_for_bit(store: ModelStore) -> None:
    digest = store.write("default", WHOLE, {})
    back = store.read("default", "lfm-1", digest)
    assert back.manifest_sha256 == digest
    back = dataclasses.replace(back, manifest_sha256="")
    assert dump_arrays(arrays_of(back)) == dump_arrays(arrays_of(WHOLE))
    for one in dataclasses.fields(Model):
        value, expected = getattr(back, one.name), getattr(WHOLE, one.name)
        if isinstance(expected, np.ndarray):
            np.testing.assert_array_equal(value, expected)
        elif one.name in ("neighbours", "numbers"):  # their arrays are those of above
            assert value.keys() == expected.keys()
        elif not dataclasses.is_dataclass(expected):
            assert value == expected, one.name
    assert back.calibration is not None
    assert (back.calibration.event, back.calibration.sample_count) == (EventType.CLICK, 9_000)
    np.testing.assert_array_equal(back.calibration.chances, [0.01, 0.2])
    assert back.purchases is not None
    assert back.purchases.event is EventType.PURCHASE
    np.testing.assert_array_equal(back.purchases.chances, [0.0, 0.02])


def test_a_model_of_the_first_format_is_read_as_one_without_the_newer_parts(
    store: ModelStore, tmp_path: Path
) -> None:
    store.write("default", MADE, {})
    path = tmp_path / "default" / "lfm-1" / "manifest.json"
    said = json.loads(path.read_text())
    older = {"format": 1} | {
        name: said[name]
        for name in ("catalog_id", "model_version", "score_scale", "attribute_keys", "files")
    }
    arrays = arrays_of(MADE)
    kept = {name: array for name, array in arrays.items() if not name.startswith("shopper_")}
    digest = rewritten(tmp_path, json.dumps(older).encode(), dump_arrays(kept))
    back = store.read("default", "lfm-1", digest)
    assert (back.neighbours, back.numbers, back.popularity) == ({}, {}, None)
    assert (back.blend, back.style_space) == ({}, "")
    assert (back.newcomers, back.returning) == ({}, {})
    np.testing.assert_array_equal(back.item_vectors, MADE.item_vectors)


def test_a_format_that_is_not_known_asks_for_a_new_training(
    store: ModelStore, tmp_path: Path
) -> None:
    store.write("default", MADE, {})
    digest = rewritten(tmp_path, b'{"format": 4, "files": {}}')
    with pytest.raises(ModelCorrupt, match="train a new model"):
        store.read("default", "lfm-1", digest)


def test_a_state_is_kept_apart_from_what_serves(store: ModelStore, tmp_path: Path) -> None:
    state = {"steps": np.arange(3.0)}
    digest = store.write("default", MADE, {"seed": 1}, state)
    manifest, arrays = store.read_state("default", "lfm-1", digest)
    assert manifest["seed"] == 1
    np.testing.assert_array_equal(arrays["steps"], state["steps"])
    (tmp_path / "default" / "lfm-1" / "state.npz").write_bytes(b"PK")
    store.read("default", "lfm-1", digest)
    with pytest.raises(ModelCorrupt, match="another hash"):
        store.read_state("default", "lfm-1", digest)


def test_a_model_without_a_state_says_so(store: ModelStore) -> None:
    digest = store.write("default", MADE, {})
    with pytest.raises(ModelCorrupt, match="no state"):
        store.read_state("default", "lfm-1", digest)


def test_a_deleted_model_is_gone_and_may_be_deleted_again(store: ModelStore) -> None:
    digest = store.write("default", MADE, {})
    assert store.delete("default", "lfm-1")
    assert not store.delete("default", "lfm-1")
    with pytest.raises(ModelCorrupt):
        store.read("default", "lfm-1", digest)


def test_what_was_read_can_not_be_changed_by_a_request(store: ModelStore) -> None:
    back = store.read("default", "lfm-1", store.write("default", MADE, {}))
    with pytest.raises(ValueError, match="read-only"):
        back.item_vectors[0, 0] = 9.0


def test_written_again_it_is_the_same_bytes_and_leaves_no_draft(
    store: ModelStore, tmp_path: Path
) -> None:
    assert store.write("default", MADE, {}) == store.write("default", MADE, {})
    names = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert names == ["manifest.json", "model.npz"]


def test_the_manifest_says_what_it_was_given_and_the_hash_of_the_arrays(
    store: ModelStore, tmp_path: Path
) -> None:
    store.write("default", MADE, {"data": {"event_count": 3}})
    manifest = json.loads((tmp_path / "default" / "lfm-1" / "manifest.json").read_text())
    assert manifest["data"] == {"event_count": 3}
    assert len(manifest["files"]["model.npz"]) == 64


@pytest.mark.parametrize("name", ["model.npz", "manifest.json"])
@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_a_changed_cut_or_missing_file_is_refused(
    store: ModelStore, tmp_path: Path, name: str, damage: str
) -> None:
    digest = store.write("default", MADE, {})
    path = tmp_path / "default" / "lfm-1" / name
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[:-10])
    else:
        path.write_bytes(content[:60] + bytes([content[60] ^ 1]) + content[61:])
    with pytest.raises(ModelCorrupt):
        store.read("default", "lfm-1", digest)


def test_arrays_and_manifest_changed_together_are_refused(store: ModelStore) -> None:
    digest = store.write("default", MADE, {})
    other = dataclasses.replace(MADE, item_vectors=MADE.item_vectors + 1)
    store.write("default", other, {})
    with pytest.raises(ModelCorrupt, match="manifest"):
        store.read("default", "lfm-1", digest)


def test_pickled_objects_are_never_opened() -> None:
    out = io.BytesIO()
    np.savez(out, item_vectors=np.array([object()], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        load_arrays(out.getvalue())


@pytest.mark.parametrize("blob", [b"", b"PK", b"not an npz" * 100])
def test_what_is_no_npz_is_refused(blob: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        load_arrays(blob)


@pytest.mark.parametrize(
    "broken",
    [
        dataclasses.replace(MADE, item_vectors=MADE.item_vectors[:1]),
        dataclasses.replace(MADE, item_biases=np.array([np.nan] * 3, np.float32)),
        dataclasses.replace(MADE, item_ids=("p1", "p1", "p2")),
        dataclasses.replace(MADE, score_scale=0.0),
        dataclasses.replace(WHOLE, popularity=np.ones(2, np.float32)),
        dataclasses.replace(WHOLE, numbers={"trend": np.ones(3)}),
        dataclasses.replace(WHOLE, styles=np.array([[1, np.nan]] * 3, np.float32)),
        dataclasses.replace(WHOLE, style_axes=np.ones((3, 5), np.float32)),
        dataclasses.replace(WHOLE, shopper_feature_vectors=np.ones((2, 2), np.float32)),
        dataclasses.replace(WHOLE, blend={"taste": np.inf}),
        dataclasses.replace(WHOLE, returning={"taste": np.nan}),
        dataclasses.replace(WHOLE, part_scales={"taste": 0.0}),
        *(
            dataclasses.replace(WHOLE, neighbours={"item_item": Neighbours(*columns)})
            for columns in (
                (np.array([0, 1]), np.zeros(1, np.int32), np.ones(1, np.float32)),
                (np.array([0, 2, 1, 1]), np.zeros(1, np.int32), np.ones(1, np.float32)),
                (np.array([0, 1, 1, 1]), np.array([3], np.int32), np.ones(1, np.float32)),
                (np.array([0, 1, 1, 1]), np.array([-1], np.int32), np.ones(1, np.float32)),
                (np.array([0, 1, 1, 1]), np.zeros(1, np.int32), np.ones(2, np.float32)),
                (np.array([0, 1, 1, 1]), np.zeros(1, np.int32), np.array([np.nan], np.float32)),
            )
        ),
        *(
            dataclasses.replace(WHOLE, calibration=Calibration(EventType.CLICK, *columns, 1))
            for columns in (
                (np.array([1.0, 0.0]), np.array([0.1, 0.2])),
                (np.array([0.0, 1.0]), np.array([0.2, 0.1])),
                (np.array([0.0, 1.0]), np.array([0.2, 1.1])),
                (np.array([0.0, 1.0]), np.array([0.2])),
                (np.array([0.0, np.nan]), np.array([0.1, 0.2])),
            )
        ),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(store: ModelStore, broken: Model) -> None:
    digest = store.write("default", broken, {})
    with pytest.raises(ModelCorrupt):
        store.read("default", "lfm-1", digest)


def test_learned_parts_are_stored_under_their_own_names_as_releases_up_to_0_40_read_them() -> None:
    names = {name for name in arrays_of(WHOLE) if name.startswith(("item_item", "trend"))}
    assert names == {"item_item_starts", "item_item_items", "item_item_weights", "trend"}


def test_the_version_follows_from_arrays_and_parameters() -> None:
    other = dataclasses.replace(MADE, item_vectors=MADE.item_vectors + 1)
    versions = {version_of(MADE, {}), version_of(other, {}), version_of(MADE, {"seed": 1})}
    assert len(versions) == 3
    assert version_of(MADE, {}) == version_of(dataclasses.replace(MADE, version="x"), {})


def rewritten(tmp_path: Path, manifest: bytes, blob: bytes | None = None) -> str:
    """Replace MADE's manifest and the arrays that it names. Return the manifest's hash."""
    folder = tmp_path / "default" / "lfm-1"
    (folder / "manifest.json").write_bytes(manifest)
    if blob is not None:
        (folder / "model.npz").write_bytes(blob)
        said = json.loads(manifest) | {"files": {"model.npz": hashlib.sha256(blob).hexdigest()}}
        (folder / "manifest.json").write_text(json.dumps(said))
    return hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()


@pytest.mark.parametrize("text", [b"[]", b"3", b"null", b"\xff", b"[" * 100_000, b'{"format": 1}'])
def test_a_manifest_that_was_recorded_but_is_none_is_refused(
    store: ModelStore, tmp_path: Path, text: bytes
) -> None:
    store.write("default", MADE, {})
    with pytest.raises(ModelCorrupt):
        store.read("default", "lfm-1", rewritten(tmp_path, text))


def huge() -> bytes:
    """Return an npz that claims to hold eight terabytes."""
    out, header = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)}
    )
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("item_vectors.npy", header.getvalue())
    return out.getvalue()


def corrupted() -> bytes:
    """Return an npz with a wrong checksum."""
    content = bytearray(dump_arrays(arrays_of(MADE)))
    content[len(content) // 3] ^= 1
    return bytes(content)


@pytest.mark.parametrize(
    "blob",
    [
        b"PK\x03\x04" + bytes(100),
        corrupted(),
        huge(),
        dump_arrays(arrays_of(MADE) | {"item_vectors": np.zeros(3, np.float32)}),
        dump_arrays(arrays_of(MADE) | {"item_ids_offsets": np.zeros(0, np.int64)}),
        dump_arrays(arrays_of(MADE) | {"item_ids_offsets": np.zeros((2, 2), np.int64)}),
    ],
    ids=["no zip", "checksum", "huge", "one dimension", "no offsets", "square offsets"],
)
def test_arrays_that_were_recorded_but_make_no_model_are_refused(
    store: ModelStore, tmp_path: Path, blob: bytes
) -> None:
    store.write("default", MADE, {})
    manifest = (tmp_path / "default" / "lfm-1" / "manifest.json").read_bytes()
    with pytest.raises(ModelCorrupt):
        store.read("default", "lfm-1", rewritten(tmp_path, manifest, blob))


def test_two_trainings_that_write_the_same_model_at_once_both_succeed(store: ModelStore) -> None:
    with ThreadPoolExecutor(8) as threads:
        written = [threads.submit(store.write, "default", MADE, {}) for _ in range(100)]
        (digest,) = {done.result() for done in written}
    assert store.read("default", "lfm-1", digest).item_ids == MADE.item_ids


class Away(MemoryFileSystem):
    """A bucket whose driver raises errors of its own, as S3's does without a connection."""

    protocol = "away"

    def _fail(self, *_: object, **__: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://s3.example")

    makedirs = open = cat_file = rm = rm_file = find = ls = _fail


async def test_a_bucket_that_does_not_answer_is_an_error_of_ours() -> None:
    fsspec.register_implementation("away", Away, clobber=True)
    store = ModelStore("away://bucket/models")
    with pytest.raises(StoreUnwritable):
        store.write("default", MADE, {})
    with pytest.raises(ModelCorrupt):
        store.read("default", "lfm-1", "0")
    with pytest.raises(OSError, match="does not answer"):
        store.delete("default", "lfm-1")
    folder = ExportStore("away://bucket/exports").folder("default", "job")
    with pytest.raises(ExportUnwritable):
        await folder.put("part", b"")
    with pytest.raises(ExportUnwritable):
        await folder.names()


STATE = {
    "shoppers_vectors": np.array([[1, 2], [3, 4]], np.float32),
    "shoppers_biases": np.array([5, 6], np.float32),
    "items_vectors": np.array([[7, 8], [9, 9]], np.float32),
} | pack_texts("shopper_names", ("ab" * 32, "age_band=25-34"))


def test_a_model_is_written_without_a_shopper_and_the_former_files_serve_until_it_is_recorded(
    store: ModelStore, tmp_path: Path
) -> None:
    first = store.write("default", WHOLE, {"data": {"event_count": 3}}, STATE)
    second = store.without("default", "lfm-1", first, {"ab" * 32}.__contains__)
    assert second is not None
    assert "ab" * 32 in store.read("default", "lfm-1", first).actor_rows
    model_ = store.read("default", "lfm-1", second)
    assert (model_.actor_rows, model_.actor_vectors.shape) == ({}, (0, 2))
    np.testing.assert_array_equal(model_.item_vectors, WHOLE.item_vectors)
    manifest, state = store.read_state("default", "lfm-1", second)
    assert manifest["data"] == {"event_count": 3}
    assert unpack_texts("shopper_names", state) == ("age_band=25-34",)
    assert state["shoppers_vectors"].tolist() == [[3, 4]]
    assert state["shoppers_biases"].tolist() == [6]
    assert state["items_vectors"].tolist() == [[7, 8], [9, 9]]

    assert store.without("default", "lfm-1", first, {"ab" * 32}.__contains__) == second
    assert store.without("default", "lfm-1", second, {"ab" * 32}.__contains__) is None
    store.tidy("default", "lfm-1", second)
    assert {path.name for path in (tmp_path / "default" / "lfm-1").iterdir()} == {
        name for name, _ in store.files("default", "lfm-1", second)
    }
    assert len(store.read("default", "lfm-1", second).item_ids) == 3
    with pytest.raises(ModelCorrupt):
        store.read("default", "lfm-1", first)


def test_a_rewritten_model_is_restored_from_its_files(store: ModelStore) -> None:
    first = store.write("default", WHOLE, {})
    second = store.without("default", "lfm-1", first, {"ab" * 32}.__contains__) or ""
    files = dict(store.files("default", "lfm-1", second))
    store.delete("default", "lfm-1")
    for name, content in files.items():
        store.put("default", "lfm-1", name, content)
    assert store.read("default", "lfm-1", second).actor_rows == {}


# Shoppers in files of their own


@pytest.fixture
def large(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    """Return a store that splits every model into four parts."""
    monkeypatch.setattr(model_store, "SPLIT_SHOPPERS", 0)
    monkeypatch.setattr(model_store, "PARTS", 4)
    return store


ACTORS = [f"actor-{number}" for number in range(20)]
CROWDED = dataclasses.replace(
    WHOLE,
    actor_rows={name: row for row, name in enumerate(ACTORS)},
    actor_vectors=np.arange(20 * MADE.item_vectors.shape[1], dtype=np.float32).reshape(20, -1),
    actor_contents=np.ones((20, 4), np.float32),
)
CROWDED_STATE = {
    "items_vectors": np.ones((2, 2), np.float32),
    "shoppers_vectors": np.arange(42, dtype=np.float32).reshape(21, 2),
    **pack_texts("shopper_names", [*ACTORS, "age_band=25-34"]),
}


def vectors(model: Model) -> dict[str, list[float]]:
    return {name: model.actor_vectors[row].tolist() for name, row in model.actor_rows.items()}


def state_rows(arrays: Mapping[str, AnyArray]) -> dict[str, list[float]]:
    names = unpack_texts("shopper_names", arrays)
    return dict(zip(names, arrays["shoppers_vectors"].tolist(), strict=True))


def test_a_model_whose_shoppers_are_in_parts_reads_as_a_whole_one(
    large: ModelStore, tmp_path: Path
) -> None:
    digest = large.write("default", CROWDED, {}, CROWDED_STATE)
    assert len(list((tmp_path / "default" / "lfm-1").iterdir())) == 2 * (1 + 4) + 1
    back = large.read("default", "lfm-1", digest)
    assert vectors(back) == vectors(CROWDED)
    assert back.popularity is not None
    _, arrays = large.read_state("default", "lfm-1", digest)
    assert state_rows(arrays) == state_rows(CROWDED_STATE)
    assert arrays["items_vectors"].tolist() == CROWDED_STATE["items_vectors"].tolist()
    some = large.vectors_of("default", "lfm-1", digest, ["actor-3", "nobody"])
    assert some == {"actor-3": vectors(CROWDED)["actor-3"]}


@pytest.mark.parametrize("among", [["actor-3", "nobody"], None])
def test_the_erasure_of_a_shopper_writes_the_files_that_have_rows_of_theirs(
    large: ModelStore, tmp_path: Path, among: list[str] | None
) -> None:
    digest = large.write("default", CROWDED, {}, CROWDED_STATE)
    folder = tmp_path / "default" / "lfm-1"
    before = {each.name for each in folder.iterdir()}
    after = large.without("default", "lfm-1", digest, {"actor-3"}.__contains__, among)
    assert after is not None
    new = {each.name for each in folder.iterdir()} - before
    part = f"shoppers-{part_of('actor-3', 4):02}.npz"
    assert sorted(name[17:] for name in new) == ["manifest.json", f"model-{part}", f"state-{part}"]
    large.tidy("default", "lfm-1", after)
    back, (_, arrays) = (
        large.read("default", "lfm-1", after),
        large.read_state("default", "lfm-1", after),
    )
    wanted = {name: row for name, row in vectors(CROWDED).items() if name != "actor-3"}
    assert vectors(back) == wanted
    assert set(state_rows(arrays)) == {*wanted, "age_band=25-34"}
    kept = {name for name, _ in large.files("default", "lfm-1", after)}
    assert kept == {each.name for each in folder.iterdir()}
    assert large.without("default", "lfm-1", after, {"actor-3"}.__contains__, among) is None


def test_other_sums_of_a_model_in_parts_leave_its_shoppers(large: ModelStore) -> None:
    digest = large.write("default", CROWDED, {}, CROWDED_STATE)
    other = dataclasses.replace(
        large.read("default", "lfm-1", digest), popularity=np.zeros(3, np.float32)
    )
    after = large.unlearned("default", other, digest, 7)
    back = large.read("default", "lfm-1", after)
    assert back.popularity is not None
    assert not back.popularity.any()
    assert vectors(back) == vectors(CROWDED)


def test_a_part_that_was_exchanged_is_refused(large: ModelStore, tmp_path: Path) -> None:
    digest = large.write("default", CROWDED, {}, CROWDED_STATE)
    folder = tmp_path / "default" / "lfm-1"
    (folder / "model-shoppers-00.npz").write_bytes((folder / "model-shoppers-01.npz").read_bytes())
    with pytest.raises(ModelCorrupt):
        large.read("default", "lfm-1", digest)
