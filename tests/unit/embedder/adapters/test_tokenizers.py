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
from embedder.domain.recipes import SECOND, PairRecipe, TextRecipe, words

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


async def test_a_pair_has_the_tokens_of_both_networks(folder: Path, recipe: TextRecipe) -> None:
    file = (folder / "reader" / FILE).read_text().replace('"red":4', '"red":5', 1)
    (folder / "reader" / f"{SECOND}{FILE}").write_text(file.replace('"wine":5', '"wine":4', 1))
    second = (folder / "reader" / f"{SECOND}{FILE}").read_bytes()
    other = TextRecipe(4, hashlib.sha256(second).hexdigest())
    pair = PairRecipe(recipe, other, (3, 2))
    given = await Tokenizers(folder).encode("reader", pair, ["red wine", "wine"])
    assert given["input_ids"].tolist() == [[1, 4, 5, 2], [1, 5, 2, 0]]
    assert given["second_input_ids"].tolist() == [[1, 5, 4, 2], [1, 4, 2, 0]]
    assert given["second_attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert set(given) == {
        *("input_ids", "attention_mask", "second_input_ids", "second_attention_mask")
    }


async def test_a_tokenizer_is_read_once(folder: Path, recipe: TextRecipe) -> None:
    made = Tokenizers(folder)
    await made.encode("reader", recipe, ["red"])
    (folder / "reader" / FILE).unlink()
    await made.encode("reader", recipe, ["red"])


def test_the_words_differ_with_the_tokenizer_and_the_length() -> None:
    recipes = [TextRecipe(n, t * 64) for n in (5, 6) for t in "ab"]
    pairs = [PairRecipe(recipes[0], other, (3, 2)) for other in recipes]
    assert len({words(recipe) for recipe in (*recipes, *pairs)}) == 8
