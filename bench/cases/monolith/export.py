"""Data of the monolith: the same vectors, model and products as a suite's.

The files are in its own folder; bench/peers/monolith/app.py describes their content.
"""

import hashlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from local_suite.suite import Suite
from ranker.adapters.model_store import MANIFEST, ModelStore
from ranker.domain import pseudonyms
from ranker.domain.events import Identity, Shopper
from ranker.domain.model import Model

CATALOG = "default"
BUYABLE = ("IN_STOCK", "PREORDER", "BACKORDER", "")
"""Availabilities of products that can be bought, as the record writes them."""

Floats = npt.NDArray[np.float32]


def export(suite: Suite, folder: Path, users: Sequence[str]) -> None:
    """Write everything that bench/peers/monolith/app.py reads."""
    data = suite.layout.data
    numbers = from_record(data, folder)
    if users:
        key = pseudonyms.load(data / "ranker" / "pseudonym.key", create=False)
        names = {user: key.of(CATALOG, Shopper(Identity.USER, user)) for user in users}
        _learned(_served(data / "ranker"), names, folder, numbers)


def from_record(data: Path, folder: Path) -> dict[str, int]:
    """Write products and vectors from the record in a suite's folder.

    Return the number of each product.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = sqlite3.connect(f"file:{data}/retriever/record.db?mode=ro", uri=True)
    try:
        ids = _products(record, folder)
        numbers = {product: number for number, product in enumerate(ids)}
        _vectors(record, folder, numbers)
    finally:
        record.close()
    return numbers


def _products(record: sqlite3.Connection, folder: Path) -> list[str]:
    """Copy the products into a separate database. Return their ids in order."""
    (folder / "shop.db").unlink(missing_ok=True)
    shop = sqlite3.connect(folder / "shop.db")
    shop.execute(
        "CREATE TABLE products (product_id TEXT PRIMARY KEY, parent_id TEXT, title TEXT,"
        " category TEXT, brand TEXT, price_micros INTEGER, currency TEXT, availability TEXT,"
        " tags TEXT, attributes TEXT, uri TEXT, images TEXT) WITHOUT ROWID"
    )
    rows = record.execute(
        "SELECT p.product_id, p.parent_id, p.title, p.category, p.brand, p.price_micros,"
        " p.currency, p.availability, p.tags, p.attributes, p.uri,"
        " (SELECT json_group_array(i.image_id) FROM product_images i"
        "  WHERE i.catalog_id = p.catalog_id AND i.product_id = p.product_id)"
        " FROM products p WHERE p.catalog_id = ? ORDER BY p.product_id",
        (CATALOG,),
    ).fetchall()
    shop.executemany("INSERT INTO products VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    shop.commit()
    shop.close()
    ids = [row[0] for row in rows]
    (folder / "ids.json").write_text(json.dumps(ids))
    np.save(folder / "buyable.npy", np.array([row[7] in BUYABLE for row in rows]))
    parents = {product: number for number, product in enumerate(ids)}
    # Variants share the number of their parent, which has one even if it is no product.
    groups = [parents.setdefault(row[1] or row[0], len(parents)) for row in rows]
    np.save(folder / "groups.npy", np.array(groups, np.int64))
    return ids


def _vectors(record: sqlite3.Connection, folder: Path, numbers: Mapping[str, int]) -> None:
    """Write unit vectors of photos and texts, of the newest version of each space."""
    newest = "SELECT max(space_version) FROM vectors WHERE catalog_id = ? AND space = 'visual'"
    (version,) = record.execute(newest, (CATALOG,)).fetchone()
    # CROSS JOIN fixes the order: photo by photo, each vector by its key. SQLite would reverse it.
    photos = record.execute(
        "SELECT i.product_id, v.data FROM product_images i CROSS JOIN vectors v"
        " ON v.catalog_id = i.catalog_id AND v.space = 'visual' AND v.space_version = ?"
        " AND v.image_id = i.image_id WHERE i.catalog_id = ? ORDER BY i.product_id, i.position",
        (version, CATALOG),
    )
    _save(folder, "visual", photos.fetchall(), numbers)
    texts = record.execute(
        "SELECT product_id, data FROM product_vectors"
        " WHERE catalog_id = ? AND space = 'text' ORDER BY product_id",
        (CATALOG,),
    )
    _save(folder, "text", texts.fetchall(), numbers)


def _save(
    folder: Path, name: str, rows: Sequence[tuple[str, bytes]], numbers: Mapping[str, int]
) -> None:
    if not rows:
        return
    vectors = np.stack([np.frombuffer(data, "<f4") for _, data in rows])
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    np.save(folder / f"{name}.npy", np.ascontiguousarray(vectors, np.float32))
    np.save(folder / f"{name}_rows.npy", np.array([numbers[each] for each, _ in rows], np.int64))


def _served(ranker: Path) -> Model:
    """Return the model that the suite trained. Raise OSError when there is none."""
    store = ranker / "models"
    manifests = sorted(
        (store / CATALOG).glob(f"*/{MANIFEST}"), key=lambda each: each.stat().st_mtime
    )
    if not manifests:
        raise OSError(f"{store} holds no model")
    sha256 = hashlib.sha256(manifests[-1].read_bytes()).hexdigest()
    return ModelStore(str(store)).read(CATALOG, manifests[-1].parent.name, sha256)


def _learned(
    model: Model, names: Mapping[str, str], folder: Path, numbers: Mapping[str, int]
) -> None:
    """Write the model's vectors and the row of each shopper of `names` (pseudonyms by user)."""
    (folder / "users.json").write_text(
        json.dumps({user: model.actor_rows[name] for user, name in names.items()})
    )
    kept = [row for row, item in enumerate(model.item_ids) if item in numbers]
    np.save(folder / "actors.npy", model.actor_vectors)
    np.save(folder / "items.npy", model.item_vectors[kept])
    np.save(folder / "biases.npy", model.item_biases[kept])
    places = [numbers[model.item_ids[row]] for row in kept]
    np.save(folder / "items_rows.npy", np.array(places, np.int64))
