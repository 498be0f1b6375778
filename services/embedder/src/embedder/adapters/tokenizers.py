"""Texts to tokens: the only place that knows the tokenizers package."""

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tokenizers

from embedder.domain.errors import ModelNotReady
from embedder.domain.models import Tensors
from embedder.domain.recipes import TextRecipe

FILE = "tokenizer.json"
"""Beside a text model's configuration; the Tokenizers library's own format."""


class Tokenizers:
    """The text models' tokenizers, read on first use. See ports.Encode."""

    def __init__(self, models: Path | None) -> None:
        """`models`: the folder of Triton models; None = there is none."""
        self._models = models
        self._read: dict[str, tokenizers.Tokenizer] = {}

    async def encode(self, model: str, recipe: TextRecipe, texts: Sequence[str]) -> Tensors:
        """Return tokens padded to the longest text and cut at `recipe.most`; see ports.Encode."""
        return await asyncio.to_thread(self._encode, model, recipe, texts)

    def _encode(self, model: str, recipe: TextRecipe, texts: Sequence[str]) -> Tensors:
        encoded = self._of(model, recipe).encode_batch_fast(list(texts))
        return {
            "input_ids": np.array([each.ids for each in encoded], np.int64),
            "attention_mask": np.array([each.attention_mask for each in encoded], np.int64),
        }

    def _of(self, model: str, recipe: TextRecipe) -> tokenizers.Tokenizer:
        if recipe.tokenizer not in self._read:
            self._read[recipe.tokenizer] = read(self._file(model), recipe)
        return self._read[recipe.tokenizer]

    def _file(self, model: str) -> bytes:
        if self._models is None:
            raise ModelNotReady(f"no tokenizer of {model}: EMBEDDER_BACKBONES names no folder")
        try:
            return (self._models / model / FILE).read_bytes()
        except OSError as error:
            raise ModelNotReady(f"EMBEDDER_BACKBONES has no {model}/{FILE}") from error


def read(file: bytes, recipe: TextRecipe) -> tokenizers.Tokenizer:
    """Return the tokenizer in a file; raises ModelNotReady if it is not the model's own."""
    if hashlib.sha256(file).hexdigest() != recipe.tokenizer:
        raise ModelNotReady(f"{FILE} is not the one that the text model was made with")
    tokenizer = tokenizers.Tokenizer.from_buffer(file)
    tokenizer.enable_truncation(recipe.most)
    tokenizer.enable_padding()
    return tokenizer
