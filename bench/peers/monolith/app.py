"""The alternative that a shop would write: one process without other services.

`python app.py FOLDER PORT`. FOLDER has the files of bench/cases/monolith/export.py: vectors, the
learned model, and the products in SQLite. Vectors are compared exactly (faiss, inner product of
unit vectors), photos are decoded by the suite's own function and embedded by its own graphs, and a
page's products are read from SQLite for each answer, so that prices are current.
"""

import asyncio
import os
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import onnxruntime
import orjson
import tokenizers
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response

from embedder.domain.recipes import PhotoRecipe
from embedder.preprocessing import preprocess
from sightline_rules.photos import PhotoLimits

TOKENS = 256
FIRST = 5
"""Multiple of the page that is requested from faiss first, as some products are unavailable or
variants.
"""
COLUMNS = (
    *("product_id", "parent_id", "title", "category", "brand", "price_micros", "currency"),
    *("availability", "tags", "attributes", "uri", "images"),
)
JSON = frozenset({"tags", "attributes", "images"})
"""Columns of JSON, which are copied into the answer unchanged."""


def session(path: str) -> onnxruntime.InferenceSession:
    """Open a graph with one thread, as the suite's Triton runs it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options)


class ExactSpace:
    """Vectors of products, compared exactly."""

    def __init__(self, folder: Path, name: str) -> None:
        """`NAME.npy`: unit vectors [rows, dimension]; `NAME_rows.npy`: the product of each."""
        vectors = np.load(folder / f"{name}.npy")
        self.products = np.load(folder / f"{name}_rows.npy")
        self.index = faiss.IndexFlatIP(vectors.shape[1])
        self.index.add(vectors)
        self.first: dict[int, int] = {}
        for row, product in enumerate(self.products.tolist()):
            self.first.setdefault(product, row)

    def of(self, product: int) -> np.ndarray:
        """Return the vector of a product [1, dimension]. Raise KeyError when it has none."""
        return self.index.reconstruct(self.first[product])[None]


class MonolithShop:
    """Data and models of the monolith."""

    def __init__(self, folder: Path) -> None:
        self.ids = orjson.loads((folder / "ids.json").read_bytes())
        self.numbers = {product: number for number, product in enumerate(self.ids)}
        self.groups = np.load(folder / "groups.npy")
        self.buyable = np.load(folder / "buyable.npy")
        self.visual = self._space(folder, "visual")
        self.text = self._space(folder, "text")
        self.users: dict[str, int] = {}
        if (folder / "users.json").exists():
            self.users = orjson.loads((folder / "users.json").read_bytes())
            self.actors = np.load(folder / "actors.npy")
            self.items = np.ascontiguousarray(np.load(folder / "items.npy").T)
            self.biases = np.load(folder / "biases.npy")
            self.learned = np.load(folder / "items_rows.npy")
        self.db = sqlite3.connect(
            f"file:{folder}/shop.db?mode=ro", uri=True, check_same_thread=False
        )
        self.db.execute("PRAGMA mmap_size = 1073741824")
        self.graph = session(os.environ["EMBEDDING_GRAPH"])
        self.recipe = PhotoRecipe(self.graph.get_inputs()[0].shape[1], 0.875, "in the graph")
        self.limits = PhotoLimits()
        self.words = session(os.environ["TEXT_GRAPH"])
        self.tokens = tokenizers.Tokenizer.from_file(os.environ["TOKENIZER"])
        self.tokens.enable_truncation(TOKENS)
        self.tokens.no_padding()

    @staticmethod
    def _space(folder: Path, name: str) -> ExactSpace | None:
        return ExactSpace(folder, name) if (folder / f"{name}.npy").exists() else None

    def photo(self, data: bytes) -> np.ndarray:
        """Return a photo file's vector [1, dimension]."""
        pixels, *_ = preprocess.pixels(data, self.limits, self.recipe)
        side = self.recipe.side
        given = np.frombuffer(pixels, np.uint8).reshape(1, side, side, 3)
        return self.graph.run(["embedding"], {"image": given})[0]

    def sentence(self, text: str) -> np.ndarray:
        """Return a text's vector [1, dimension]."""
        ids = self.tokens.encode(text).ids
        given = {
            "input_ids": np.array([ids], np.int64),
            "attention_mask": np.ones((1, len(ids)), np.int64),
        }
        return self.words.run(["embedding"], given)[0]

    def near(self, space: ExactSpace, vector: np.ndarray, count: int, but: int = -1) -> bytes:
        """Return the page of the nearest products, one a group of variants."""
        wanted = FIRST * count
        while True:
            scores, rows = space.index.search(vector, min(wanted, space.index.ntotal))
            page = self.page(space.products[rows[0]].tolist(), scores[0].tolist(), count, but)
            if len(page) == count or wanted >= space.index.ntotal:
                return self.answer(page)
            wanted *= 8

    def liked(self, user: str, count: int) -> bytes:
        """Return the page of the best products for a shopper's learned vector.

        Raise KeyError for a new shopper.
        """
        scores = self.actors[self.users[user]] @ self.items
        scores += self.biases
        wanted = FIRST * count
        while True:
            wanted = min(wanted, len(scores))
            rows = np.argpartition(-scores, wanted - 1)[:wanted]
            rows = rows[np.argsort(-scores[rows])]
            page = self.page(self.learned[rows].tolist(), scores[rows].tolist(), count)
            if len(page) == count or wanted == len(scores):
                return self.answer(page)
            wanted *= 8

    def page(
        self, products: list[int], scores: list[float], count: int, but: int = -1
    ) -> dict[str, float]:
        """Return the first `count` products in stock with their scores, one a group."""
        seen = {int(self.groups[but])} if but >= 0 else set()
        found: dict[str, float] = {}
        for product, score in zip(products, scores, strict=True):
            group = int(self.groups[product])
            if group in seen or not self.buyable[product]:
                continue
            seen.add(group)
            found[self.ids[product]] = score
            if len(found) == count:
                break
        return found

    def answer(self, page: dict[str, float]) -> bytes:
        """Return the page's products with all fields, as JSON."""
        marks = ",".join("?" * len(page))
        query = f"SELECT {', '.join(COLUMNS)} FROM products WHERE product_id IN ({marks})"  # noqa: S608
        read = {row[0]: row for row in self.db.execute(query, list(page))}
        results = [
            {"score": score, "product": whole(read[product])}
            for product, score in page.items()
            if product in read
        ]
        return orjson.dumps({"results": results})


def whole(row: tuple[Any, ...]) -> dict[str, Any]:
    """Return a product as it is shown."""
    return {
        name: orjson.Fragment(value) if name in JSON else value
        for name, value in zip(COLUMNS, row, strict=True)
    }


def made(shop: MonolithShop, threads: int) -> FastAPI:  # noqa: C901 - its routes
    """Return the application."""
    app, pool = FastAPI(), ThreadPoolExecutor(threads)

    def json(body: bytes) -> Response:
        return Response(body, media_type="application/json")

    def similar(product: str, count: int) -> Response:
        number = shop.numbers.get(product, -1)
        for space in (shop.visual, shop.text):
            if number >= 0 and space is not None and number in space.first:
                return json(shop.near(space, space.of(number), count, but=number))
        raise HTTPException(404)

    @app.get("/recommend/product")
    async def recommend_product(product: str, page_size: int = 10) -> Response:
        return similar(product, page_size)

    @app.get("/search/product")
    async def search_product(product: str, page_size: int = 10) -> Response:
        return similar(product, page_size)

    @app.get("/recommend/user")
    async def recommend_user(user: str, page_size: int = 10) -> Response:
        if user not in shop.users:
            raise HTTPException(404)
        return json(shop.liked(user, page_size))

    @app.post("/recommend/photo")
    async def recommend_photo(request: Request, page_size: int = 10) -> Response:
        photo = await request.body()
        vector = await asyncio.get_running_loop().run_in_executor(pool, shop.photo, photo)
        return json(shop.near(shop.visual, vector, page_size))

    @app.get("/search/text")
    async def search_text(text: str, page_size: int = 10) -> Response:
        vector = await asyncio.get_running_loop().run_in_executor(pool, shop.sentence, text)
        return json(shop.near(shop.text, vector, page_size))

    return app


if __name__ == "__main__":
    faiss.omp_set_num_threads(1)
    uvicorn.run(
        made(MonolithShop(Path(sys.argv[1])), int(os.environ["THREADS"])),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        ws="none",
        timeout_keep_alive=3600,
    )
