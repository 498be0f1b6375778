"""Manifests of networks that take texts."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from triton_engine.manifest import Manifest, Packaged, SingleModel
from triton_engine.tables import Count, Name, Plain, Sha256, Table

SECOND: Final = "second_"
"""Prefix of what belongs to the second model of a pair: inputs, parameters and files."""


class Bert(Table):
    """BERT with the mean of its words as the vector; see bert.py."""

    family: Literal["bert"]
    heads: Count
    """Attention heads of each layer."""
    dimension: Count
    """Components of the vector."""


class SentenceEncoder(Table):
    """Universal Sentence Encoder of n-grams; see sentence_encoder.py."""

    family: Literal["universal-sentence-encoder"]
    dimension: Count
    """Components of the vector."""


class Pair(Table):
    """Two text models that read the same text; see pair.py."""

    family: Literal["pair"]
    models: tuple[Name, Name]
    """Names of their manifests."""
    dimensions: tuple[Count, Count]
    """Components of their vectors."""

    @property
    def dimension(self) -> int:
        """Components of both vectors."""
        return sum(self.dimensions)


class OnnxTexts(Table):
    """An ONNX file for texts, in the published form of CLIP's and SigLIP's text towers."""

    family: Literal["onnx-text"]
    ids: Plain
    """Name of its input of tokens: int64 [N, T]."""
    mask: Plain | None = None
    """Name of its mask input (1 = a token, 0 = padding); None if it has none."""
    output: Plain
    """Name of the output that is the vector: float32 [N, dimension]."""
    dimension: Count


class Words(Table):
    """Numbers of tokens, as the tokenizer beside the weights makes them."""

    tokenizer: Plain
    """Path of the tokenizer's file (tokenizers' JSON, or a `.model` of SentencePiece that is
    converted to it): inside the package of the weights, else as a file of this machine, from the
    manifest's folder."""
    tokenizer_sha256: Sha256
    """SHA-256 of the tokenizer's JSON."""
    max_tokens: Annotated[int, Field(ge=8, le=8192)]
    """Maximum number of tokens, including the markers at both ends; longer texts are truncated."""


class TextModel(SingleModel):
    """A network for texts: int64 `input_ids` and `attention_mask`, both [N, tokens]."""

    network: Bert | SentenceEncoder | OnnxTexts
    input: Words

    @property
    def parameters(self) -> dict[str, str]:
        """Parameters for the embedder, in addition to those of every model."""
        return {
            "tokens": str(self.input.max_tokens),
            "tokenizer_sha256": self.input.tokenizer_sha256,
        }


class BertModel(TextModel):
    """A BERT model for sentences."""

    network: Bert
    weights: Packaged
    _given: ClassVar[str] = "mean of the words, L2"


class SentenceEncoderModel(TextModel):
    """A Universal Sentence Encoder."""

    network: SentenceEncoder
    weights: Packaged


class OnnxTextModel(TextModel):
    """Any ONNX file that takes texts."""

    network: OnnxTexts


class PairModel(Manifest):
    """Two text models that read the same text; inputs of the second are called `second_…`."""

    network: Pair
    parts: tuple[BertModel | SentenceEncoderModel | OnnxTextModel, ...]
    """The manifests of both models."""
    _given: ClassVar[str] = "both vectors, L2"

    @property
    def licence(self) -> str:
        return " AND ".join(sorted({part.licence for part in self.parts}))

    @property
    def source(self) -> str:
        return "; ".join(part.source for part in self.parts)

    @property
    def parameters(self) -> dict[str, str]:
        """Parameters for the embedder, in addition to those of every model."""
        first, second = (part.parameters for part in self.parts)
        sizes = " ".join(map(str, self.network.dimensions))
        return {
            **first,
            **{f"{SECOND}{key}": value for key, value in second.items()},
            "dimensions": sizes,
        }
