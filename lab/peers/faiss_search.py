"""faiss in this process, as a peer of a search."""

import time

import faiss
import numpy as np
import numpy.typing as npt

from bench.datasets.corpus import Corpus, Floats
from retriever.domain.generation import Generation


class Faiss:
    """faiss on one core: by a graph with the generation's parameters, and by comparing every row.
    Filters are bitmaps that are computed beforehand.
    """

    def __init__(self, corpus: Corpus, generation: Generation, top: int) -> None:
        faiss.omp_set_num_threads(1)
        self._top = top
        self._ef = max(top, generation.parameters.ef)
        self._queries = _unit(corpus.queries)
        self._flat = faiss.IndexFlatIP(corpus.dimension)
        self._graph = faiss.IndexHNSWFlat(
            corpus.dimension, generation.parameters.m, faiss.METRIC_INNER_PRODUCT
        )
        self._graph.hnsw.efConstruction = generation.parameters.ef_construction
        self._selectors = {
            share: faiss.IDSelectorBitmap(np.packbits(corpus.passing(share), bitorder="little"))
            for share in (1.0, *corpus.shares)
        }
        vectors = _unit(corpus.vectors)
        self._flat.add(vectors)
        faiss.omp_set_num_threads(2)
        begun = time.perf_counter()
        self._graph.add(vectors)
        self.build_seconds = time.perf_counter() - begun
        faiss.omp_set_num_threads(1)

    def graph(self, number: int, share: float) -> list[int]:
        """Return the numbers of products near a query, by the graph."""
        parameters = faiss.SearchParametersHNSW(efSearch=self._ef, sel=self._selector(share))
        return self._found(self._graph, number, parameters)

    def flat(self, number: int, share: float) -> list[int]:
        """Return the numbers of products near a query, by comparing every row."""
        parameters = faiss.SearchParameters(sel=self._selector(share))
        return self._found(self._flat, number, parameters)

    def _selector(self, share: float) -> "faiss.IDSelector | None":
        return None if share == 1.0 else self._selectors[share]

    def _found(self, index: "faiss.Index", number: int, parameters: object) -> list[int]:
        _, found = index.search(self._queries[[number]], self._top, params=parameters)
        return [int(each) for each in found[0] if each >= 0]


def _unit(vectors: Floats) -> npt.NDArray[np.float32]:
    copied = np.ascontiguousarray(vectors, dtype=np.float32).copy()
    faiss.normalize_L2(copied)
    return copied
