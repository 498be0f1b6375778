"""Mapping of Triton's errors to those of the service."""

from collections.abc import Callable, Mapping
from typing import Final

from tritonclient.utils import InferenceServerException

from embedder.domain import errors
from servicekit.errors import ServiceError

LOST: Final = ("stub process", "health mutex", "failed to process the requests.")
"""Parts of the messages of the Python backend when a model's process was lost. Errors raised by a
model itself begin with "Failed to process the request(s) for model"."""


RESTRICTED: Final = "protocol is restricted"
"""Part of the message for a call without the required key; the status is UNAVAILABLE."""


LATE: Final = "StatusCode.DEADLINE_EXCEEDED"
"""Status of a call whose time is up."""


def _unavailable(message: str) -> ServiceError:
    if RESTRICTED in message:
        return errors.ModelNotReady("Triton rejects the key: check EMBEDDER_TRITON_KEY_FILE")
    if "Exceeds maximum queue size" in message:
        return errors.QueueFull()
    return errors.EmbedderUnavailable("the model server does not answer")


def _absent(_message: str) -> ServiceError:
    # Triton also reports "has no available versions" while a model loads or drains.
    return errors.ModelAbsent("the model is not loaded in the model server")


def _broken(message: str) -> ServiceError:
    if _is_lost(message):
        return errors.ProcessLost("the model's process ended")
    return errors.ModelFailed("the model failed")


def _is_lost(message: str) -> bool:
    return any(said in message.lower() for said in LOST)


def _unfit(_message: str) -> ServiceError:
    return errors.ModelNotReady(
        "the model server rejects the request: the model does not fit this service"
    )


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
"""Errors by InferenceServerException.status(). Complete: a test compares it with gRPC's
statuses."""


def translate(error: InferenceServerException, *, own_limit: bool) -> ServiceError:
    """Map an error of Triton to a ServiceError.

    `own_limit`: this service's timeout expired, not the caller's deadline. Triton's message is not
    passed on: it may name hosts, paths and internals.
    """
    status = error.status()
    if own_limit and status == LATE:
        return errors.ModelSilent()
    # No status: the client could not read the answer.
    meaning = TABLE.get(status, _broken) if isinstance(status, str) else _broken
    return meaning(str(error.message() or ""))


def uncontrolled(error: InferenceServerException, model: str) -> ServiceError:
    """Map an error of loading or unloading a model to a ServiceError."""
    message = str(error.message() or "")
    if "explicit model load" in message:
        return errors.ModelNotReady("run Triton with --model-control-mode=explicit")
    if _is_lost(message):
        return errors.ProcessLost(f"the process of {model} ended or hung during its start")
    meant = translate(error, own_limit=True)
    if RESTRICTED in message:
        return meant
    if isinstance(meant, errors.EmbedderUnavailable) and error.status() != "StatusCode.NOT_FOUND":
        return meant
    return errors.ModelNotReady(f"Triton can't load {model}; see its log")
