"""The text model's graph compared with its authors' published results."""

from typing import Any

import numpy as np
import onnxruntime
import pytest

from tests.unit.triton.conftest import TEXT, model_of

pytestmark = pytest.mark.slow

Array = np.ndarray[Any, Any]

SENTENCES = {
    "The weather is lovely today.": [101, 1996, 4633, 2003, 8403, 2651, 1012, 102],
    "It's so sunny outside!": [101, 2009, 1005, 1055, 2061, 11559, 2648, 999, 102],
    "He drove to the stadium.": [101, 2002, 5225, 2000, 1996, 3346, 1012, 102],
}
"""Sentences with their tokens."""
PUBLISHED = [[1, 0.6660, 0.1046], [0.6660, 1, 0.1411], [0.1046, 0.1411, 1]]
"""Their similarities, from the first page of https://sbert.net (2026-11)."""


@pytest.fixture(scope="module")
def session() -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model_of(TEXT).read_bytes(), options)


def embed(session: onnxruntime.InferenceSession, texts: list[list[int]], length: int) -> Array:
    """Embed texts that are filled up to this many tokens."""
    ids = np.array([text + [0] * (length - len(text)) for text in texts])
    mask = np.array([[1] * len(text) + [0] * (length - len(text)) for text in texts])
    answer = session.run(["embedding"], {"input_ids": ids, "attention_mask": mask})
    return np.asarray(answer[0])


@pytest.mark.full
def test_sentences_are_as_alike_as_the_authors_publish(
    session: onnxruntime.InferenceSession,
) -> None:
    vectors = embed(session, list(SENTENCES.values()), length=9)
    assert vectors.shape == (3, 384)
    assert np.abs(vectors @ vectors.T - PUBLISHED).max() < 1e-4


def test_a_text_s_vector_depends_neither_on_its_padding_nor_on_its_neighbours(
    session: onnxruntime.InferenceSession,
) -> None:
    together = embed(session, list(SENTENCES.values()), length=32)
    for text, vector in zip(SENTENCES.values(), together, strict=True):
        assert np.abs(embed(session, [text], len(text))[0] - vector).max() < 1e-6


def test_the_longest_text_fits_and_a_longer_one_does_not(
    session: onnxruntime.InferenceSession,
) -> None:
    assert np.isfinite(embed(session, [[101] * 256], 256)).all()
    with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.Fail, match="256 by 257"):
        embed(session, [[101] * 257], 257)
