"""Tokenization of texts; the only module that uses the tokenizers package."""

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tokenizers

from embedder.domain.errors import ModelNotReady
from embedder.domain.models import Tensors
from embedder.domain.recipes import SECOND, PairRecipe, TextInput, TextRecipe

FILE = "tokenizer.json"
"""File of a tokenizer, in the format of the Tokenizers library, beside a text model's
configuration."""


class Tokenizers:
    """The text models' tokenizers, read on first use. See ports.Encode."""

    def __init__(self, models: Path | None) -> None:
        """`models`: folder of Triton models, if there is one."""
        self._models = models
        self._read: dict[str, tokenizers.Tokenizer] = {}

    async def encode(self, model: str, recipe: TextInput, texts: Sequence[str]) -> Tensors:
        """Return tokens padded to the longest text and cut at `recipe.most`; see ports.Encode."""
        return await asyncio.to_thread(self._encode, model, recipe, texts)

    def _encode(self, model: str, recipe: TextInput, texts: Sequence[str]) -> Tensors:
        if isinstance(recipe, PairRecipe):
            second = encoded(self._of(f"{model}/{SECOND}{FILE}", recipe.second), texts)
            first = self._encode(model, recipe.first, texts)
            return {**first, **{SECOND + name: ids for name, ids in second.items()}}
        return encoded(self._of(f"{model}/{FILE}", recipe), texts)

    def _of(self, path: str, recipe: TextRecipe) -> tokenizers.Tokenizer:
        if recipe.tokenizer not in self._read:
            self._read[recipe.tokenizer] = read(self._file(path), recipe)
        return self._read[recipe.tokenizer]

    def _file(self, path: str) -> bytes:
        if self._models is None:
            raise ModelNotReady(f"no tokenizer {path}: set EMBEDDER_BACKBONES")
        try:
            return (self._models / path).read_bytes()
        except OSError as error:
            raise ModelNotReady(f"EMBEDDER_BACKBONES has no {path}") from error


def encoded(tokenizer: tokenizers.Tokenizer, texts: Sequence[str]) -> Tensors:
    """Return a text model's inputs."""
    rows = tokenizer.encode_batch_fast(list(texts))
    return {
        "input_ids": np.array([each.ids for each in rows], np.int64),
        "attention_mask": np.array([each.attention_mask for each in rows], np.int64),
    }


def read(file: bytes, recipe: TextRecipe) -> tokenizers.Tokenizer:
    """Return the tokenizer in a file. Raises ModelNotReady if its hash differs from the model's."""
    if hashlib.sha256(file).hexdigest() != recipe.tokenizer:
        raise ModelNotReady(f"{FILE} is not the tokenizer of the text model")
    tokenizer = tokenizers.Tokenizer.from_buffer(file)
    tokenizer.enable_truncation(recipe.most)
    tokenizer.enable_padding()
    return tokenizer
