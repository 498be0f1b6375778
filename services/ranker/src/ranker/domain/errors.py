"""The errors of the ranker, each with its reason on the wire::

ServiceError
├── InvalidArgument
│   ├── EventInvalid        EVENT_INVALID
│   └── EventTimeInvalid    EVENT_TIME_INVALID
├── NotFound
│   ├── ModelNotFound       MODEL_NOT_FOUND
│   ├── EvaluationMissing   EVALUATION_NOT_FOUND
│   ├── ProductUnknown      PRODUCT_NOT_FOUND
│   ├── ExperimentMissing   EXPERIMENT_NOT_FOUND
│   └── AnswerMissing       ANSWER_RECORD_MISSING
├── AlreadyExists
│   └── EventConflict       EVENT_CONFLICT
├── Aborted
│   └── PromotionConflict   PROMOTION_CONFLICT
├── Unavailable
│   └── LogUnavailable      EVENT_LOG_UNAVAILABLE
└── FailedPrecondition
├── ExperimentChanged   EXPERIMENT_CHANGED
├── AnswerOutdated      ANSWER_RECORD_OUTDATED
├── ConsentRequired     CONSENT_REQUIRED
├── ModelCorrupt        MODEL_CORRUPT
├── ModelUnproven       MODEL_UNPROVEN
├── PublishIncomplete   PUBLISH_INCOMPLETE
├── DataInsufficient    TRAINING_DATA_INSUFFICIENT
├── TrainingDiverged    TRAINING_DIVERGED
├── BaseUnusable        TRAINING_BASE_UNUSABLE
├── StoreUnwritable     MODEL_STORE_UNWRITABLE
├── ExportUnwritable    EXPORT_UNWRITABLE
└── PurgeUnnoted        PURGE_NOT_NOTED
KeyUnusable                 never on the wire: the service does not start
BackupRefused               never on the wire: `python -m ranker.backups` prints it
"""

from datetime import timedelta

from servicekit.errors import Aborted, AlreadyExists, FailedPrecondition, NotFound, Unavailable
from servicekit.requests import FieldsInvalid


class EventInvalid(FieldsInvalid, reason="EVENT_INVALID"):
    """Fields of one event are missing or out of their documented range."""


class EventTimeInvalid(FieldsInvalid, reason="EVENT_TIME_INVALID"):
    """An event's time is too far ahead, or is no time at all."""


class EventConflict(AlreadyExists, reason="EVENT_CONFLICT"):
    message = "another event has this event_id: an event can't be changed"


class ModelNotFound(NotFound, reason="MODEL_NOT_FOUND"):
    """The catalog has no model of this version, or none that served before."""

    message = "this catalog has no such model"


class EvaluationMissing(NotFound, reason="EVALUATION_NOT_FOUND"):
    message = "this model was not evaluated yet"


class ProductUnknown(NotFound, reason="PRODUCT_NOT_FOUND"):
    """No model serves, or it was trained before the product came."""

    def __init__(self, *, serving: bool) -> None:
        problem = "the serving model does not know it" if serving else "no model serves yet"
        super().__init__(f"nothing is known of this product: {problem}")


class AnswerMissing(NotFound, reason="ANSWER_RECORD_MISSING"):
    """The answer's record was lost, has expired or was never handed over."""

    message = "no record of this answer is kept"


class ExperimentMissing(NotFound, reason="EXPERIMENT_NOT_FOUND"):
    message = "this catalog has no such experiment"


class ExperimentChanged(FailedPrecondition, reason="EXPERIMENT_CHANGED"):
    """An experiment that has begun would be another one: what it found would be of neither."""


class PromotionConflict(Aborted, reason="PROMOTION_CONFLICT"):
    """Another model was promoted, or one rolled back, while a rollback was on its way."""

    message = "the serving model changed meanwhile: look which one serves, then decide"


class LogUnavailable(Unavailable, reason="EVENT_LOG_UNAVAILABLE"):
    """The log did not say in time that it has the events; some may be there nevertheless."""

    message = "the log of events does not answer: send the events again"
    retry_after = timedelta(seconds=1)


class AnswerOutdated(FailedPrecondition, reason="ANSWER_RECORD_OUTDATED"):
    """The answer's record does not hold what this release computes an answer from."""

    def __init__(self, version: int, needed: int) -> None:
        kept = f"version {version} of `inputs`" if version else "no `inputs`"
        super().__init__(
            f"the record holds {kept}, and version {needed} is needed: it was made by another"
            " release, and can be read but not replayed",
            metadata={
                "record_field": "inputs",
                "record_version": str(version),
                "needed_version": str(needed),
            },
        )


class ConsentRequired(FailedPrecondition, reason="CONSENT_REQUIRED"):
    message = "attributes are stored only with the shopper's consent: say so in `consent`"


class ModelCorrupt(FailedPrecondition, reason="MODEL_CORRUPT"):
    """A model's files are missing or do not have the hashes that were recorded for them."""


class ModelUnproven(FailedPrecondition, reason="MODEL_UNPROVEN"):
    """No evaluation shows that the model may take the place of what serves."""


class PublishIncomplete(FailedPrecondition, reason="PUBLISH_INCOMPLETE"):
    """The retriever's index did not come to hold what a model has to publish."""


class DataInsufficient(FailedPrecondition, reason="TRAINING_DATA_INSUFFICIENT"):
    """There is too little to train on."""


class TrainingDiverged(FailedPrecondition, reason="TRAINING_DIVERGED"):
    """What a training learned is no longer finite: its steps are too large."""

    message = "the training diverged: a smaller learning_rate, or fewer epochs, may help"


class BaseUnusable(FailedPrecondition, reason="TRAINING_BASE_UNUSABLE"):
    """An incremental training has no model to begin from."""


class StoreUnwritable(FailedPrecondition, reason="MODEL_STORE_UNWRITABLE"):
    """A model can't be written where models are kept."""


class ExportUnwritable(FailedPrecondition, reason="EXPORT_UNWRITABLE"):
    """Events can't be written where exports are kept."""


class PurgeUnnoted(FailedPrecondition, reason="PURGE_NOT_NOTED"):
    """The events are gone, but a restore would bring them back."""

    message = (
        "deleted, but not noted beside the backups, which do not answer: ask for it again, or a"
        " restore brings the events back"
    )


class BackupRefused(FailedPrecondition):
    """A backup is not made, or not restored."""

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(why, reason=reason)


class Interrupted(Exception):
    """The worker stops; the job is to be left to the next one."""


class KeyUnusable(Exception):
    """The pseudonym key is missing, malformed or not the one that the store was written with."""
