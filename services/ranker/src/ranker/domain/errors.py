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
│   ├── ShopperUnknown      SHOPPER_NOT_FOUND
│   ├── ErasureMissing      ERASURE_NOT_FOUND
│   └── AnswerMissing       ANSWER_RECORD_MISSING
├── AlreadyExists
│   └── EventConflict       EVENT_CONFLICT
├── Aborted
│   └── PromotionConflict   PROMOTION_CONFLICT
├── Unavailable
│   ├── LogUnavailable      EVENT_LOG_UNAVAILABLE
│   ├── EncryptionKeyMissing ENCRYPTION_KEY_MISSING
│   └── ModelsBusy          MODELS_BUSY
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
├── ErasureUnnoted      ERASURE_NOT_NOTED
├── BudgetSpent         PRIVACY_BUDGET_SPENT
├── NoiseUnavailable    NOISE_UNAVAILABLE
└── PurgeUnnoted        PURGE_NOT_NOTED
KeyUnusable                 never on the wire: the service does not start
BackupRefused               never on the wire: printed by `python -m ranker.backups`
"""

from datetime import timedelta

from servicekit.errors import Aborted, AlreadyExists, FailedPrecondition, NotFound, Unavailable
from servicekit.rpc.requests import FieldsInvalid


class EventInvalid(FieldsInvalid, reason="EVENT_INVALID"):
    """Fields of one event are missing or out of their documented range."""


class EventTimeInvalid(FieldsInvalid, reason="EVENT_TIME_INVALID"):
    """An event's time is too far in the future or invalid."""


class EventConflict(AlreadyExists, reason="EVENT_CONFLICT"):
    message = "another event has this event_id: an event can't be changed"


class ModelNotFound(NotFound, reason="MODEL_NOT_FOUND"):
    """The catalog has no model of this version, or no model served before."""

    message = "the catalog has no model of this version"


class EvaluationMissing(NotFound, reason="EVALUATION_NOT_FOUND"):
    message = "the model was not evaluated yet"


class ProductUnknown(NotFound, reason="PRODUCT_NOT_FOUND"):
    """No model serves, or the model was trained before the product was added."""

    def __init__(self, *, serving: bool) -> None:
        problem = "the serving model does not contain it" if serving else "no model serves yet"
        super().__init__(f"no data on this product: {problem}")


class AnswerMissing(NotFound, reason="ANSWER_RECORD_MISSING"):
    """The answer's record was lost, has expired or was never written."""

    message = "no record of this answer is kept"


class ShopperUnknown(NotFound, reason="SHOPPER_NOT_FOUND"):
    message = (
        "nothing is stored on this shopper in this catalog: check the id, and whether it is a"
        " user's or a visitor's"
    )


class ErasureMissing(NotFound, reason="ERASURE_NOT_FOUND"):
    message = "this shopper was never erased from this catalog"


class ExperimentMissing(NotFound, reason="EXPERIMENT_NOT_FOUND"):
    message = "the catalog has no experiment of this name"


class ExperimentChanged(FailedPrecondition, reason="EXPERIMENT_CHANGED"):
    """A change to an experiment that has started, which would invalidate its results."""


class PromotionConflict(Aborted, reason="PROMOTION_CONFLICT"):
    """Another promotion or rollback happened during this one."""

    message = "the serving model changed meanwhile: list the models, then try again"


class LogUnavailable(Unavailable, reason="EVENT_LOG_UNAVAILABLE"):
    """The log did not acknowledge the events in time; some may have been stored."""

    message = "the event log does not answer: send the events again"
    retry_after = timedelta(seconds=1)


class AnswerOutdated(FailedPrecondition, reason="ANSWER_RECORD_OUTDATED"):
    """The answer's record lacks data that this release needs to compute the answer."""

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


class BudgetSpent(FailedPrecondition, reason="PRIVACY_BUDGET_SPENT"):
    def __init__(self, left: float, wait_micros: int) -> None:
        """`left`: epsilon that is left; `wait_micros`: until the oldest expense ends."""
        days = wait_micros / timedelta(days=1).total_seconds() / 1e6
        super().__init__(
            f"epsilon {left:g} of the catalog's budget is left: ask for that, or wait {days:.1f}"
            " days until the oldest expense ends"
        )


class NoiseUnavailable(FailedPrecondition, reason="NOISE_UNAVAILABLE"):
    message = "the ranker's worker is installed without the extra `privacy`"


class ConsentRequired(FailedPrecondition, reason="CONSENT_REQUIRED"):
    message = (
        "attributes are stored only with the shopper's consent: set `consent`, or call SetConsent"
    )


class ModelCorrupt(FailedPrecondition, reason="MODEL_CORRUPT"):
    """A model's files are missing or do not match their recorded hashes."""


class ModelUnproven(FailedPrecondition, reason="MODEL_UNPROVEN"):
    """No evaluation permits that the model replaces the serving one."""


class PublishIncomplete(FailedPrecondition, reason="PUBLISH_INCOMPLETE"):
    """The retriever's index did not reach the state that a publication needs."""


class DataInsufficient(FailedPrecondition, reason="TRAINING_DATA_INSUFFICIENT"):
    """There is too little data to train on."""


class TrainingDiverged(FailedPrecondition, reason="TRAINING_DIVERGED"):
    """Learned parameters are not finite: the learning rate is too high."""

    message = "the training diverged: a smaller learning_rate, or fewer epochs, may help"


class BaseUnusable(FailedPrecondition, reason="TRAINING_BASE_UNUSABLE"):
    """An incremental training has no model to start from."""


class StoreUnwritable(FailedPrecondition, reason="MODEL_STORE_UNWRITABLE"):
    """The model store can't be written."""


class ExportUnwritable(FailedPrecondition, reason="EXPORT_UNWRITABLE"):
    """The export store can't be written."""


class PurgeUnnoted(FailedPrecondition, reason="PURGE_NOT_NOTED"):
    """The purge could not be noted: a restore would bring the deleted events back."""

    message = (
        "the events are deleted, but the purge could not be noted beside the backups: request the"
        " purge again, or a restore brings the events back"
    )


class ErasureUnnoted(FailedPrecondition, reason="ERASURE_NOT_NOTED"):
    """The erasure could not be noted: a restore would bring the shopper back."""

    message = (
        "the erasure could not be noted beside the backups, and is not complete: make the backup"
        " store writable, and request the erasure again"
    )


class EncryptionKeyMissing(Unavailable, reason="ENCRYPTION_KEY_MISSING"):
    """A text of the record can't be encrypted or decrypted."""


class ModelsBusy(Unavailable, reason="MODELS_BUSY"):
    """Another process took over the rewriting of models."""

    message = "another process rewrites the models of this catalog: it is tried again"


class BackupRefused(FailedPrecondition):
    """A backup cannot be created or restored."""

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(why, reason=reason)


class KeyUnusable(Exception):
    """A key is missing, malformed or not the one with which the store was written."""
