"""Mapping of Triton's errors to those of the service."""

from collections.abc import Callable, Mapping
from typing import Final

from tritonclient.utils import InferenceServerException

from embedder.domain import errors
from servicekit.errors import ServiceError

LOST: Final = ("stub process", "health mutex", "failed to process the requests.")
"""In what the Python backend says when a process of a model does not keep to their protocol. What a
model itself raises comes after "Failed to process the request(s) for model"."""


RESTRICTED: Final = "protocol is restricted"
"""In what a server says to a call that lacks its key; its status is UNAVAILABLE."""


LATE: Final = "StatusCode.DEADLINE_EXCEEDED"
"""The status of a call that ran out of time."""


def _unavailable(message: str) -> ServiceError:
    if RESTRICTED in message:
        return errors.ModelNotReady("Triton wants another key: see EMBEDDER_TRITON_KEY_FILE")
    if "Exceeds maximum queue size" in message:
        return errors.QueueFull()
    return errors.EmbedderUnavailable("the model server does not answer")


def _absent(_message: str) -> ServiceError:
    # "has no available versions" is also said while a model loads or drains.
    return errors.ModelAbsent("the model server has no such model now")


def _broken(message: str) -> ServiceError:
    if _is_lost(message):
        return errors.ProcessLost("the model's process ended")
    return errors.ModelFailed("the model failed")


def _is_lost(message: str) -> bool:
    return any(said in message.lower() for said in LOST)


def _unfit(_message: str) -> ServiceError:
    return errors.ModelNotReady("the model server refuses what this service asks of its model")


TABLE: Final[Mapping[str, Callable[[str], ServiceError]]] = {
    "StatusCode.CANCELLED": _unavailable,
    "StatusCode.UNKNOWN": _broken,
    "StatusCode.INVALID_ARGUMENT": _unfit,
    "StatusCode.NOT_FOUND": _absent,
    "StatusCode.ALREADY_EXISTS": _unfit,
    "StatusCode.PERMISSION_DENIED": _unfit,
    "StatusCode.UNAUTHENTICATED": _unfit,
    "StatusCode.RESOURCE_EXHAUSTED": _unavailable,
    "StatusCode.FAILED_PRECONDITION": _unfit,
    "StatusCode.ABORTED": _unavailable,
    "StatusCode.UNIMPLEMENTED": _unfit,
    "StatusCode.OUT_OF_RANGE": _unfit,
    "StatusCode.INTERNAL": _broken,
    "StatusCode.UNAVAILABLE": _unavailable,
    "StatusCode.DATA_LOSS": _broken,
    LATE: lambda _message: errors.DeadlinePassed(),
}
"""What Triton's errors mean, by InferenceServerException.status(), which is a text. Every status
that gRPC has is here; a test compares."""


def translate(error: InferenceServerException, *, own_limit: bool) -> ServiceError:
    """Say what Triton's error means to a caller.

    `own_limit`: the time that ran out was this service's own limit, not the caller's deadline.
    None of Triton's text is passed on: it names hosts, paths and internals.
    """
    status = error.status()
    if own_limit and status == LATE:
        return errors.ModelSilent()
    # Without a status the client itself could not read the answer.
    meaning = TABLE.get(status, _broken) if isinstance(status, str) else _broken
    return meaning(str(error.message() or ""))


def uncontrolled(error: InferenceServerException, model: str) -> ServiceError:
    """Say what it means that a model can't be loaded or unloaded."""
    message = str(error.message() or "")
    if "explicit model load" in message:
        return errors.ModelNotReady("Triton has to run with --model-control-mode=explicit")
    if _is_lost(message):
        return errors.ProcessLost(f"the process of {model} ended, or stood still, while it started")
    meant = translate(error, own_limit=True)
    if RESTRICTED in message:
        return meant
    if isinstance(meant, errors.EmbedderUnavailable) and error.status() != "StatusCode.NOT_FOUND":
        return meant
    return errors.ModelNotReady(f"Triton can't load {model}; its log says why")
