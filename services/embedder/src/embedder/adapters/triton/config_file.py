"""Configurations of models as files, in Triton's schema."""

from types import SimpleNamespace
from typing import Any, Final

from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2 as pb

from embedder.adapters.triton.description import described
from embedder.domain.models import CHECKSUM, Description

NAME: Final = "config.pbtxt"
"""Name of the file in a model's folder."""
BACKEND: Final = "python"
"""Backend of models that a program of ours computes, deploy/triton/triton_engine/templates."""


def parsed(text: str) -> Any:
    """Return a configuration. Raises ValueError."""
    try:
        return text_format.Parse(text, pb.ModelConfig())
    except text_format.ParseError as error:
        raise ValueError("not a Triton configuration") from error


def read(text: str) -> tuple[Description, str]:
    """Return a model's description, and its configuration in JSON as Triton's Python backend gives
    it to a program, without the checksum of answers.

    Raises ValueError for another backend, and ModelNotReady.
    """
    config = parsed(text)
    if config.backend != BACKEND:
        raise ValueError(f"its backend is not {BACKEND!r}")
    description = described(SimpleNamespace(config=config))
    kept = [each for each in config.output if each.name != CHECKSUM]
    del config.output[:]
    config.output.extend(kept)
    return description, json_format.MessageToJson(config, preserving_proto_field_name=True)
