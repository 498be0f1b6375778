"""Texts to tokens, by a tokenizer that the test creates."""

import hashlib
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from embedder.adapters.tokenizers import FILE, Tokenizers
from embedder.domain.errors import ModelNotReady
from embedder.domain.recipes import TextRecipe, words

VOCABULARY = {"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, "[UNK]": 3, "red": 4, "wine": 5}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = Tokenizer(WordLevel(VOCABULARY, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    made.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    (tmp_path / "reader").mkdir()
    (tmp_path / "reader" / FILE).write_text(made.to_str())
    return tmp_path


@pytest.fixture
def recipe(folder: Path) -> TextRecipe:
    file = (folder / "reader" / FILE).read_bytes()
    return TextRecipe(5, hashlib.sha256(file).hexdigest())


async def test_texts_are_filled_up_to_the_longest_one(folder: Path, recipe: TextRecipe) -> None:
    given = await Tokenizers(folder).encode("reader", recipe, ["red wine", "wine"])
    assert given["input_ids"].tolist() == [[1, 4, 5, 2], [1, 5, 2, 0]]
    assert given["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert {str(values.dtype) for values in given.values()} == {"int64"}


async def test_a_long_text_is_cut_with_its_mark_of_end_kept(
    folder: Path, recipe: TextRecipe
) -> None:
    given = await Tokenizers(folder).encode("reader", recipe, ["red " * 4000])
    assert given["input_ids"].tolist() == [[1, 4, 4, 4, 2]]


@pytest.mark.parametrize(
    "text", [" ", "\0", "\u202e", "[PAD] [SEP]", "日本酒", "\ud7ff", "x" * 4096]
)
async def test_odd_texts_are_texts(folder: Path, recipe: TextRecipe, text: str) -> None:
    given = await Tokenizers(folder).encode("reader", recipe, [text])
    assert 2 <= given["input_ids"].shape[1] <= 5
    assert given["attention_mask"].all()


async def test_another_tokenizer_than_the_model_was_made_with_is_refused(
    folder: Path, recipe: TextRecipe
) -> None:
    for models in (None, folder / "elsewhere"):
        with pytest.raises(ModelNotReady):
            await Tokenizers(models).encode("reader", recipe, ["red"])
    with pytest.raises(ModelNotReady, match="not the tokenizer"):
        await Tokenizers(folder).encode("reader", TextRecipe(5, "0" * 64), ["red"])


async def test_a_tokenizer_is_read_once(folder: Path, recipe: TextRecipe) -> None:
    made = Tokenizers(folder)
    await made.encode("reader", recipe, ["red"])
    (folder / "reader" / FILE).unlink()
    await made.encode("reader", recipe, ["red"])


def test_the_words_differ_with_the_tokenizer_and_the_length() -> None:
    assert len({words(TextRecipe(n, t * 64)) for n in (5, 6) for t in "ab"}) == 4
