"""Conversion of a model to named arrays and manifest entries, and back.

The tables below list the fields; a new field of `Model` is a new line there, but learned parts are
those of sightline_core.parts. A missing field has no array, so a model of an older release reads as
one without the field.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from itertools import pairwise
from typing import Any
from zlib import crc32

import numpy as np

from ranker.domain.arrays import AnyArray, Neighbours
from ranker.domain.content import Content
from ranker.domain.events import EventType
from ranker.domain.model import Calibration, Looks, Model, ProductFeatures, ShopperSegments
from sightline_core.parts import BY_NEIGHBOURS, BY_NUMBER

TEXTS = ("item_ids", "actors", "feature_names", "shopper_feature_names")
"""Stored as one UTF-8 blob with offsets."""

ARRAYS: Mapping[str, tuple[str, ...]] = {
    "item_vectors": ("items", "dimension"),
    "item_biases": ("items",),
    "actor_vectors": ("actors", "dimension"),
    "actor_contents": ("actors", "content_width"),
    "feature_vectors": ("features", "dimension"),
    "feature_biases": ("features",),
    "shopper_feature_vectors": ("shopper_features", "dimension"),
    "popularity": ("items",),
    "styles": ("items", "style_dimension"),
    "style_mean": ("photo_dimension",),
    "style_axes": ("style_dimension", "photo_dimension"),
}
"""Arrays of float32 with the names of their dimensions; equal names mean equal sizes."""

REQUIRED = frozenset(
    {"item_vectors", "item_biases", "actor_vectors", "feature_vectors", "feature_biases"}
)
MAY_BE_NAN = frozenset({"styles"})


def arrays_of(model: Model) -> dict[str, AnyArray]:
    """Return all arrays of a model by name."""
    actors = sorted(model.actor_rows, key=lambda actor: model.actor_rows[actor])
    texts = {name: actors if name == "actors" else getattr(model, name) for name in TEXTS}
    found = {name: getattr(model, name) for name in ARRAYS if getattr(model, name) is not None}
    found |= model.numbers
    parts = {name: getattr(model, name) for name in (*CALIBRATIONS, *NESTED)}
    for name, nested in (*model.neighbours.items(), *parts.items()):
        stored = [one for one in fields(nested) if one.init] if nested is not None else []
        for one in stored:
            value = getattr(nested, one.name)
            if isinstance(value, np.ndarray):
                found[f"{name}_{one.name}"] = value
            elif isinstance(value, tuple):
                texts[f"{name}_{one.name}"] = value
    for name, values in texts.items():
        found |= pack_texts(name, values)
    return found


CALIBRATIONS = ("calibration", "purchases")
NESTED = ("item_features", "product_features", "segments", "looks", "content")
NESTED_ARRAYS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "product_features": {"shares": ("described_features",)},
    "segments": {
        "mean": ("dimension",),
        "centroids": ("segments", "dimension"),
        "shares": ("segments",),
        "strengths": ("segments", "described_features"),
    },
    "looks": {
        "photos": ("landmarks", "photo_dimension"),
        "effects": ("landmarks", "dimension"),
        "offset": ("dimension",),
    },
    "content": {
        "vectors": ("content_features", "content_width"),
        "usual": ("content_width",),
        "source_vectors": ("content_sources", "content_width"),
        "row_vectors": ("content_rows", "content_width"),
    },
}
"""Arrays of the values of NESTED as in ARRAYS, each stored as VALUE_ARRAY."""
_PARTS = fields(Neighbours)
WEIGHTS = ("blend", "newcomers", "returning")
"""Fields with a weight for each part."""


def words_of(model: Model) -> dict[str, Any]:
    """Return the model's manifest entries, as JSON values."""
    words: dict[str, Any] = {
        "attribute_keys": list(model.attribute_keys),
        "score_scale": model.score_scale,
        "style_space": model.style_space,
        "part_scales": dict(model.part_scales),
        **{name: dict(getattr(model, name)) for name in WEIGHTS},
    }
    for name in CALIBRATIONS:
        if (known := getattr(model, name)) is not None:
            words[name] = {"event": known.event.value, "sample_count": known.sample_count}
    if model.purchases_per_click:
        words["purchases_per_click"] = model.purchases_per_click
    if model.examination:
        words["place_examination"] = list(model.examination)
    if model.looks is not None:
        words["look_width"] = model.looks.width
    if model.segments is not None:
        words["segment_silhouette"] = model.segments.silhouette
    return words


def model_of(arrays: Mapping[str, AnyArray], words: Mapping[str, Any], version: str) -> Model:
    """Build the model of these arrays; ValueError or KeyError if they do not fit together."""
    texts = {name: unpack_texts(name, arrays) for name in TEXTS if name in arrays}
    sizes = {
        "items": len(texts["item_ids"]),
        "actors": len(texts["actors"]),
        "features": len(texts["feature_names"]),
        "shopper_features": len(texts.get("shopper_feature_names", ())),
    }
    found: dict[str, Any] = {
        name: _array(name, arrays[name], of, sizes)
        for name, of in ARRAYS.items()
        if name in REQUIRED or name in arrays
    }
    found |= {name: _weights(words.get(name, {})) for name in WEIGHTS}
    if (width := words.get("look_width")) is not None:
        found["looks"] = Looks(**_nested("looks", arrays, sizes), width=_positive(width))
    return Model(
        version=version,
        item_ids=texts["item_ids"],
        item_rows=_rows(texts["item_ids"]),
        actor_rows=_rows(texts["actors"]),
        feature_names=texts["feature_names"],
        feature_rows=_rows(texts["feature_names"]),
        shopper_feature_names=texts.get("shopper_feature_names", ()),
        shopper_feature_rows=_rows(texts.get("shopper_feature_names", ())),
        score_scale=_positive(words["score_scale"]),
        attribute_keys=tuple(words["attribute_keys"]),
        style_space=str(words.get("style_space", "")),
        part_scales={part: _positive(one) for part, one in words.get("part_scales", {}).items()},
        calibration=_calibration("calibration", arrays, words),
        purchases=_calibration("purchases", arrays, words),
        purchases_per_click=_share(words.get("purchases_per_click", 0.0)),
        examination=tuple(map(_share, words.get("place_examination", ()))),
        neighbours={
            name: learned
            for name in BY_NEIGHBOURS
            if (learned := _neighbours(name, arrays, sizes["items"], sizes["items"])) is not None
        },
        numbers={
            name: _array(name, arrays[name], ("items",), sizes)
            for name in BY_NUMBER
            if name in arrays
        },
        item_features=_neighbours("item_features", arrays, sizes["items"], sizes["features"]),
        product_features=_product_features(arrays, sizes),
        content=_content(arrays, sizes),
        segments=_segments(arrays, words.get("segment_silhouette"), sizes),
        **found,
    )


SHOPPERS: Mapping[str, str] = {"actors": "actor_", "shopper_names": "shoppers_"}
"""Names of rows that may be pseudonyms, of a model and of the state of a training, with the prefix
of the arrays that have these rows."""


def split(arrays: Mapping[str, AnyArray], parts: int) -> list[dict[str, AnyArray]]:
    """Split the rows of shoppers into `parts` by `part_of`. Return the arrays without them, then
    those of each part."""
    for name, prefix in SHOPPERS.items():
        if name not in arrays:
            continue
        texts = unpack_texts(name, arrays)
        places = np.array([part_of(text, parts) for text in texts])
        rows = {key: its for key, its in arrays.items() if key.startswith(prefix)}
        kept = {key: its for key, its in arrays.items() if key not in rows}
        found = [{key: its for key, its in kept.items() if not key.startswith(name)}]
        for number in range(parts):
            mine = np.flatnonzero(places == number)
            own = pack_texts(name, [texts[row] for row in mine.tolist()])
            found.append({**own, **{key: its[mine] for key, its in rows.items()}})
        return found
    return [dict(arrays)]


def joined(parts: Sequence[Mapping[str, AnyArray]]) -> dict[str, AnyArray]:
    """Join what `split` returned: shoppers in the order of their parts. ValueError or KeyError if
    they do not fit together."""
    arrays = dict(parts[0])
    for name, prefix in SHOPPERS.items():
        some = [each for each in parts[1:] if name in each]
        if some:
            arrays |= pack_texts(name, [one for each in some for one in unpack_texts(name, each)])
            for key in some[0]:
                if key.startswith(prefix):
                    arrays[key] = np.concatenate([each[key] for each in some])
    return arrays


def part_of(shopper: str, parts: int) -> int:
    """Return the part of a shopper, or of a feature of shoppers."""
    return crc32(shopper.encode()) % parts


def without_shoppers(
    arrays: Mapping[str, AnyArray], is_erased: Callable[[str], bool]
) -> dict[str, AnyArray] | None:
    """Return the arrays of a file without the rows of erased shoppers; None if there are none.
    ValueError or KeyError if they do not fit together."""
    for name, prefix in SHOPPERS.items():
        if name not in arrays:
            continue
        texts = unpack_texts(name, arrays)
        kept = np.array([not is_erased(text) for text in texts], np.bool_)
        if not kept.all():
            left = [text for text, stays in zip(texts, kept.tolist(), strict=True) if stays]
            rows = {key: its[kept] for key, its in arrays.items() if key.startswith(prefix)}
            return {**arrays, **rows, **pack_texts(name, left)}
    return None


def _array(name: str, array: AnyArray, of: Sequence[str], sizes: dict[str, int]) -> AnyArray:
    """Return the array after checking its sizes; records sizes that are not known yet."""
    if array.dtype != np.float32 or array.ndim != len(of):
        raise ValueError(f"{name} is not float32 of {len(of)} dimensions")
    for size, length in zip(of, array.shape, strict=True):
        if sizes.setdefault(size, length) != length:
            raise ValueError(f"{name} is {length} and not {sizes[size]} {size} long")
    rows = array
    if name in MAY_BE_NAN:  # a row without a value is all NaN
        rows = array[~np.isnan(array).all(axis=1)]
    if not np.isfinite(rows).all():
        raise ValueError(f"{name} holds values that are not finite")
    return _frozen(array)


def _product_features(
    arrays: Mapping[str, AnyArray], sizes: dict[str, int]
) -> ProductFeatures | None:
    if "product_features_starts" not in arrays:
        return None
    names = unpack_texts("product_features_names", arrays)
    starts, features = arrays["product_features_starts"], arrays["product_features_features"]
    _check_rows("product_features", starts, features, sizes["items"], len(names))
    sizes["described_features"] = len(names)
    shares = _nested("product_features", arrays, sizes)
    return ProductFeatures(names, _frozen(starts), _frozen(features), **shares)


def _nested(
    value: str, arrays: Mapping[str, AnyArray], sizes: dict[str, int]
) -> dict[str, AnyArray]:
    """Return the arrays of one of NESTED_ARRAYS."""
    return {
        name: _array(f"{value}_{name}", arrays[f"{value}_{name}"], of, sizes)
        for name, of in NESTED_ARRAYS[value].items()
    }


def _content(arrays: Mapping[str, AnyArray], sizes: dict[str, int]) -> Content | None:
    if "content_usual" not in arrays:
        return None
    names = unpack_texts("content_names", arrays)
    pairs = arrays["content_pairs"]
    if pairs.dtype != np.int64 or pairs.ndim != 2 or pairs.shape[1] != 2:
        raise ValueError("content_pairs is not two columns of int64")
    if len(pairs) and (pairs.min() < 0 or pairs.max() >= len(names)):
        raise ValueError("content_pairs refers to missing features")
    sizes["content_features"] = len(names) + len(pairs)
    found = _nested("content", arrays, sizes)
    for name, size in (("sources", "content_sources"), ("rows", "content_rows")):
        rows = arrays[f"content_{name}"]
        if rows.dtype != np.int64 or rows.shape != (sizes[size],) or (np.diff(rows) <= 0).any():
            raise ValueError(f"content_{name} is not an ascending column of int64")
        if len(rows) and (rows[0] < 0 or rows[-1] >= sizes["items"]):
            raise ValueError(f"content_{name} refers to missing products")
        found[name] = _frozen(rows)
    return Content(names=names, pairs=_frozen(pairs), **found)


def _segments(
    arrays: Mapping[str, AnyArray], silhouette: float | None, sizes: dict[str, int]
) -> ShopperSegments | None:
    if silhouette is None:
        return None
    return ShopperSegments(**_nested("segments", arrays, sizes), silhouette=_finite(silhouette))


def _neighbours(
    name: str, arrays: Mapping[str, AnyArray], rows: int, columns: int
) -> Neighbours | None:
    if f"{name}_starts" not in arrays:
        return None
    starts, items, weights = (arrays[f"{name}_{one.name}"] for one in _PARTS)
    _check_rows(name, starts, items, rows, columns)
    weights = _array(f"{name}_weights", weights, ("entries",), {"entries": len(items)})
    return Neighbours(_frozen(starts), _frozen(items), weights)


def _check_rows(name: str, starts: AnyArray, items: AnyArray, rows: int, columns: int) -> None:
    """Raise ValueError unless these are the rows of a sparse matrix of that size."""
    if starts.dtype != np.int64 or items.dtype != np.int32:
        raise ValueError(f"{name} has other types")
    if starts.shape != (rows + 1,) or items.ndim != 1:
        raise ValueError(f"{name} has different sizes")
    if starts[0] != 0 or starts[-1] != len(items) or (np.diff(starts) < 0).any():
        raise ValueError(f"the rows of {name} do not fit")
    if len(items) and (items.min() < 0 or items.max() >= columns):
        raise ValueError(f"{name} refers to missing columns")


def _calibration(
    name: str, arrays: Mapping[str, AnyArray], words: Mapping[str, Any]
) -> Calibration | None:
    if (known := words.get(name)) is None:
        return None
    raw, chances = arrays[f"{name}_raw_scores"], arrays[f"{name}_chances"]
    if raw.dtype != np.float64 or chances.dtype != np.float64 or raw.shape != chances.shape:
        raise ValueError("the calibration is not two columns of float64")
    if raw.ndim != 1 or not len(raw) or not (np.diff(raw) > 0).all():
        raise ValueError("the calibration's scores do not ascend")
    if not ((np.diff(chances) >= 0).all() and chances[0] >= 0 and chances[-1] <= 1):
        raise ValueError("the calibration's probabilities descend, or are not 0 to 1")
    if not np.isfinite(raw).all():
        raise ValueError("the calibration holds values that are not finite")
    return Calibration(
        EventType(known["event"]), _frozen(raw), _frozen(chances), int(known["sample_count"])
    )


def _share(value: Any) -> float:
    number = _finite(value)
    if not 0 <= number <= 1:
        raise ValueError(f"{value} is not within 0 and 1")
    return number


def _weights(values: Mapping[str, Any]) -> dict[str, float]:
    return {part: _finite(one) for part, one in values.items()}


def _finite(value: Any) -> float:
    number = float(value)
    if not np.isfinite(number):
        raise ValueError(f"{value} is not finite")
    return number


def _positive(value: Any) -> float:
    number = _finite(value)
    if number <= 0:
        raise ValueError(f"{value} is not positive")
    return number


def _rows(names: Sequence[str]) -> dict[str, int]:
    return {name: row for row, name in enumerate(names)}


def pack_texts(name: str, texts: Sequence[str]) -> dict[str, AnyArray]:
    """Pack texts into one UTF-8 blob and its offsets."""
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    return {
        name: np.frombuffer(b"".join(encoded), dtype=np.uint8),
        f"{name}_offsets": offsets,
    }


def unpack_texts(name: str, arrays: Mapping[str, AnyArray]) -> tuple[str, ...]:
    """Return the texts; ValueError or KeyError if they do not fit or repeat."""
    blob = arrays[name].tobytes()
    offsets = arrays[f"{name}_offsets"].tolist()
    if offsets[0] != 0 or offsets[-1] != len(blob) or offsets != sorted(offsets):
        raise ValueError(f"the offsets of {name} do not fit")
    texts = tuple(blob[a:b].decode() for a, b in pairwise(offsets))
    if len(set(texts)) != len(texts):
        raise ValueError(f"{name} holds an entry twice")
    return texts


def _frozen(array: AnyArray) -> AnyArray:
    array = np.ascontiguousarray(array)
    array.flags.writeable = False
    return array
