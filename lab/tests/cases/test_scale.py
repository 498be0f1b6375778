"""Searches in growing catalogs, and faiss beside them."""

import pytest

from bench.datasets.corpus import clustered
from bench.harness.engines import generation
from lab.cases.scale import growth
from lab.peers.faiss_search import Faiss
from retriever.domain.generation import IndexKind, IndexParameters
from tests.unit.bench.cases.test_search import case


def test_growth_compares_plain_searches_of_the_most_and_of_the_fewest() -> None:
    few, many = case("plain", 1.0, [1.0] * 9), case("plain", 1.0, [1.0] * 9, count=900, p50=0.014)
    goal = growth([many, case("5%", 0.05, [1.0] * 9, count=9_000), few])
    assert goal.measured is not None
    assert goal.measured.value == pytest.approx(1.4)
    assert goal.verdict == "MET"


def test_faiss_answers_filters_exactly_when_it_compares() -> None:
    corpus = clustered(400, 8)
    made = generation("n", 8, IndexParameters(kind=IndexKind.HNSW))
    faiss = Faiss(corpus, made, 10)
    assert faiss.flat(0, 0.5) == corpus.nearest(0.5, 10)[0]
    assert set(faiss.graph(0, 1.0)) == set(corpus.nearest(1.0, 10)[0])
