"""Labelled photos generated from a seed: each shows a product with nuisances that all products
share, and the catalog's camera differs from shoppers'.
"""

from dataclasses import replace

import numpy as np

from embedder.domain.fitted import CATALOGUE, SHOPPER, Labelled

FEATURES = 40
SIGNAL = 8
"""Components in which products differ; those in which their photos differ are as strong."""


def labelled(
    products: int = 12,
    photos: int = 8,
    views: int = 2,
    *,
    iconic: bool = False,
    categories: int = 4,
    titles: bool = False,
    noise: float = 3.0,
    seed: int = 0,
) -> Labelled:
    """Return `photos` of each product by shoppers, and one of the catalog's if `iconic`."""
    draw = np.random.default_rng(seed)
    axes = np.linalg.qr(draw.normal(size=(FEATURES, FEATURES)))[0]
    families = 2 * draw.normal(size=(categories, SIGNAL))
    looks = draw.normal(size=(products, SIGNAL)) + families[np.arange(products) % categories]
    shown = np.repeat(np.arange(products), photos)
    kinds = np.full(len(shown), SHOPPER, np.int8)
    if iconic:
        shown = np.concatenate([shown, np.arange(products)])
        kinds = np.concatenate([kinds, np.full(products, CATALOGUE, np.int8)])
    inner = noise * draw.normal(size=(len(shown), 1, FEATURES))
    inner[:, :, :SIGNAL] = looks[shown, None] + 0.3 * draw.normal(size=(len(shown), 1, SIGNAL))
    inner = inner + 0.2 * draw.normal(size=(len(shown), views, FEATURES))
    features = inner @ axes.T
    camera = np.where(kinds == CATALOGUE, 4.0, 0.0)[:, None, None]
    words = draw.normal(size=(SIGNAL, 24))
    sentences = looks @ words
    sentences /= np.linalg.norm(sentences, axis=1, keepdims=True)
    return Labelled(
        features=(features * np.linspace(0.1, 10, FEATURES) + camera).astype(np.float32),
        kinds=kinds,
        products=[f"product-{number}" for number in shown],
        groups=[f"picture-{place}" for place in range(len(shown))],
        categories=[("All", f"category-{number % categories}") for number in shown],
        sentences=sentences[shown].astype(np.float32) if titles else None,
    )


def plain(data: Labelled) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return the first views' features at unit length: the space to compare with."""
    first = data.features[:, 0]
    return np.asarray(first / np.linalg.norm(first, axis=1, keepdims=True), np.float32)


def kept(data: Labelled, rows: list[int]) -> Labelled:
    """Return only these photos."""
    return replace(
        data,
        features=data.features[rows],
        kinds=data.kinds[rows],
        products=[data.products[row] for row in rows],
        groups=[data.groups[row] for row in rows],
        categories=[data.categories[row] for row in rows],
        sentences=None if data.sentences is None else data.sentences[rows],
    )
