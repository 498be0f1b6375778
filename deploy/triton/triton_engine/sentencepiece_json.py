"""Conversion of SentencePiece's unigram models to the format of the Tokenizers library."""

import base64
import json
from typing import Final

from sentencepiece import sentencepiece_model_pb2 as spm

from triton_engine.manifest import BuildError

SPACE: Final = "\u2581"
"""The mark of a word's beginning."""


def convert(model: bytes) -> bytes:
    """Return the JSON of a tokenizer that gives the same tokens, with the marks of start and end.
    Raises BuildError for other kinds of models."""
    proto = spm.ModelProto()
    try:
        proto.ParseFromString(model)
    except ValueError as error:
        raise BuildError(f"the tokenizer is not SentencePiece's: {error}") from error
    if proto.trainer_spec.model_type != spm.TrainerSpec.UNIGRAM or proto.trainer_spec.byte_fallback:
        raise BuildError("the tokenizer is not a unigram model without bytes")
    places = {piece.piece: place for place, piece in enumerate(proto.pieces)}
    start, end = ({"SpecialToken": {"id": mark, "type_id": 0}} for mark in ("<s>", "</s>"))
    first, second = ([{"Sequence": {"id": name, "type_id": 0}}] for name in "AB")
    unknown = [piece.type for piece in proto.pieces].index(spm.ModelProto.SentencePiece.UNKNOWN)
    charsmap = base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode()
    tokenizer: dict[str, object] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Precompiled", "precompiled_charsmap": charsmap},
                {"type": "Strip", "strip_left": True, "strip_right": True},
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
            ],
        },
        "pre_tokenizer": {
            "type": "Metaspace",
            "replacement": SPACE,
            "prepend_scheme": "always",
            "split": False,
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [start, *first, end],
            "pair": [start, *first, end, *second, end],
            "special_tokens": {
                mark: {"id": mark, "ids": [places[mark]], "tokens": [mark]}
                for mark in ("<s>", "</s>")
            },
        },
        "decoder": None,
        "model": {
            "type": "Unigram",
            "unk_id": unknown,
            "vocab": [[piece.piece, piece.score] for piece in proto.pieces],
            "byte_fallback": False,
        },
    }
    return json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")).encode()
