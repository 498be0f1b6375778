"""Models with every part, drawn by a seed, and values whose every part can be compared."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from ranker.domain.arrays import Neighbours
from ranker.domain.content import Content
from ranker.domain.events import EventType
from ranker.domain.model import Calibration, Looks, Model


def drawn_model(seed: int, actor: str) -> Model:
    """Return a model of some dozens of products that knows `actor`; which parts it has depends on
    the seed. Half of the products were liked in training."""
    drawn = np.random.default_rng(seed)
    count, dimension = int(drawn.integers(20, 120)), int(drawn.integers(2, 16))
    ids = tuple(f"p{n:04}" for n in range(count))
    kinds = {"category": 5, "brand": 7, "word": 9, "tag": 4}
    styles = ["style=00", "style=01"] if seed % 5 == 0 else []
    named = [f"{kind}={n}" for kind, most in kinds.items() for n in range(most)]
    names = (*sorted([*named, *(f"id={item}" for item in ids[::2])]), *styles)
    rows = {name: row for row, name in enumerate(names)}
    vectors = drawn.normal(0, 0.3, (len(names), dimension)).astype(np.float32)
    biases = drawn.normal(0, 0.1, len(names)).astype(np.float32)
    made = [
        sorted(
            rows[name]
            for name in (
                *(f"{kind}={n % most}" for kind, most in kinds.items()),
                *([f"id={item}"] if n % 2 == 0 else []),
                *styles,
            )
        )
        for n, item in enumerate(ids)
    ]
    composed = Neighbours(
        np.cumsum([0, *map(len, made)]),
        np.array([row for each in made for row in each], np.int32),
        drawn.choice([1.0, 0.5], sum(map(len, made))).astype(np.float32),
    )
    looks = None
    items = np.stack([vectors[each].sum(axis=0) for each in made])
    if seed % 3 == 0:
        photos, effects = drawn.normal(size=(6, 4)), drawn.normal(size=(6, dimension))
        offset = np.zeros(dimension, np.float32)
        looks = Looks(photos.astype(np.float32), effects.astype(np.float32), offset, 3.0)
        shown = drawn.normal(size=(len(items[1::4]), 4)).astype(np.float32)
        items[1::4] += looks.of(shown)
    return Model(
        version=f"m{seed}",
        item_ids=ids,
        item_rows={item: row for row, item in enumerate(ids)},
        item_vectors=items.astype(np.float32),
        item_biases=np.array([biases[each].sum() for each in made], np.float32),
        actor_rows={actor: 0, "another": 1},
        actor_vectors=drawn.normal(0, 0.5, (2, dimension)).astype(np.float32),
        feature_rows=rows,
        feature_names=names,
        feature_vectors=vectors,
        feature_biases=biases,
        score_scale=2.0,
        attribute_keys=("country",),
        neighbours={
            **({"item_item": _neighbours(drawn, count, 9)} if seed % 7 else {}),
            "bought_together": _neighbours(drawn, count, 4),
        },
        popularity=drawn.random(count).astype(np.float32),
        numbers={"trend": drawn.normal(size=count).astype(np.float32)} if seed % 2 else {},
        styles=drawn.normal(size=(count, 3)).astype(np.float32),
        style_space="v",
        looks=looks,
        content=_content(drawn, count, names) if seed % 4 == 1 else None,
        item_features=composed if seed % 6 else None,
        blend=dict.fromkeys(("taste", "session", "item_item", "content", "trend"), 0.7),
        calibration=_calibration() if seed % 2 else None,
    )


def _neighbours(drawn: np.random.Generator, count: int, most: int) -> Neighbours:
    """Return fewer than `most` neighbours of each product."""
    counts = drawn.integers(0, most, count)
    items = [np.sort(drawn.choice(count, each, replace=False)) for each in counts]
    rows = np.concatenate(items).astype(np.int32)
    starts = np.concatenate([[0], counts.cumsum()])
    return Neighbours(starts, rows, drawn.random(len(rows)).astype(np.float32))


def _content(drawn: np.random.Generator, count: int, names: tuple[str, ...]) -> Content:
    known = tuple(sorted(name for name in names if name.startswith(("category", "brand", "tag"))))
    liked, new = np.arange(0, count, 2), np.arange(1, count, 2)
    sizes = (len(known) + 1, len(liked), len(new))
    vectors, sources, rows = (drawn.normal(size=(n, 5)).astype(np.float32) for n in sizes)
    usual = np.zeros(5, np.float32)
    return Content(known, np.array([[0, 1]]), vectors, usual, liked, sources, new, rows)


def _calibration() -> Calibration:
    scores, chances = np.array([-1.0, 0.0, 2.0]), np.array([0.01, 0.05, 0.3])
    return Calibration(EventType.CLICK, scores, chances, 9)


def plain(value: Any) -> Any:
    """Return a value of which all parts can be compared, numbers to the bit."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [each.name for each in dataclasses.fields(value) if each.compare]
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, np.ndarray):
        return [repr(one) for one in value.ravel().tolist()]
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        return repr(value) if isinstance(value, float) else value
    return [plain(one) for one in value]
