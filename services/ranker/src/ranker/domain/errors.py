"""The errors of the ranker, each with its reason on the wire::

ServiceError
├── InvalidArgument
│   ├── EventInvalid        EVENT_INVALID
│   └── EventTimeInvalid    EVENT_TIME_INVALID
├── NotFound
│   ├── ModelNotFound       MODEL_NOT_FOUND
│   ├── EvaluationMissing   EVALUATION_NOT_FOUND
│   ├── ProductUnknown      PRODUCT_NOT_FOUND
│   └── AnswerMissing       ANSWER_RECORD_MISSING
├── AlreadyExists
│   └── EventConflict       EVENT_CONFLICT
├── Aborted
│   └── PromotionConflict   PROMOTION_CONFLICT
└── FailedPrecondition
├── ConsentRequired     CONSENT_REQUIRED
├── ModelCorrupt        MODEL_CORRUPT
├── ModelUnproven       MODEL_UNPROVEN
├── PublishIncomplete   PUBLISH_INCOMPLETE
├── DataInsufficient    TRAINING_DATA_INSUFFICIENT
├── TrainingDiverged    TRAINING_DIVERGED
├── BaseUnusable        TRAINING_BASE_UNUSABLE
├── StoreUnwritable     MODEL_STORE_UNWRITABLE
└── ExportUnwritable    EXPORT_UNWRITABLE
KeyUnusable                 never on the wire: the service does not start
"""

from servicekit.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
)


class EventInvalid(InvalidArgument):
    """Fields of one event are missing or out of their documented range."""

    def __init__(self, *violations: FieldViolation) -> None:
        text = "; ".join(f"{item.field}: {item.description}" for item in violations)
        super().__init__(text, reason="EVENT_INVALID", violations=violations)


class EventTimeInvalid(InvalidArgument):
    """An event's time is too far ahead, or is no time at all."""

    def __init__(self, description: str) -> None:
        super().__init__(
            f"event_time: {description}",
            reason="EVENT_TIME_INVALID",
            violations=(FieldViolation("event_time", description),),
        )


class EventConflict(AlreadyExists):
    """An event of this id is stored with other content."""

    reason = "EVENT_CONFLICT"
    message = "another event has this event_id: an event can't be changed"


class ModelNotFound(NotFound):
    """The catalog has no model of this version, or none that served before."""

    reason, message = "MODEL_NOT_FOUND", "this catalog has no such model"


class EvaluationMissing(NotFound):
    """The model was not evaluated."""

    reason, message = "EVALUATION_NOT_FOUND", "this model was not evaluated yet"


class ProductUnknown(NotFound):
    """No model serves, or it was trained before the product came."""

    def __init__(self, *, serving: bool) -> None:
        problem = "the serving model does not know it" if serving else "no model serves yet"
        super().__init__(f"nothing is known of this product: {problem}", reason="PRODUCT_NOT_FOUND")


class AnswerMissing(NotFound):
    """The answer's record was lost, has expired or was never handed over."""

    reason, message = "ANSWER_RECORD_MISSING", "no record of this answer is kept"


class PromotionConflict(Aborted):
    """Another model was promoted, or one rolled back, while a rollback was on its way."""

    reason = "PROMOTION_CONFLICT"
    message = "the serving model changed meanwhile: look which one serves, then decide"


class ConsentRequired(FailedPrecondition):
    """Attributes of a shopper came without their consent."""

    reason = "CONSENT_REQUIRED"
    message = "attributes are stored only with the shopper's consent: say so in `consent`"


class ModelCorrupt(FailedPrecondition):
    """A model's files are missing or do not have the hashes that were recorded for them."""

    reason = "MODEL_CORRUPT"


class ModelUnproven(FailedPrecondition):
    """No evaluation shows that the model may take the place of what serves."""

    reason = "MODEL_UNPROVEN"


class PublishIncomplete(FailedPrecondition):
    """The retriever's index did not come to hold what a model has to publish."""

    reason = "PUBLISH_INCOMPLETE"


class DataInsufficient(FailedPrecondition):
    """There is too little to train on."""

    reason = "TRAINING_DATA_INSUFFICIENT"


class TrainingDiverged(FailedPrecondition):
    """What a training learned is no longer finite: its steps are too large."""

    reason = "TRAINING_DIVERGED"
    message = "the training diverged: a smaller learning_rate, or fewer epochs, may help"


class BaseUnusable(FailedPrecondition):
    """An incremental training has no model to begin from."""

    reason = "TRAINING_BASE_UNUSABLE"


class StoreUnwritable(FailedPrecondition):
    """A model can't be written where models are kept."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"the model can't be written: {problem}", reason="MODEL_STORE_UNWRITABLE")


class ExportUnwritable(FailedPrecondition):
    """Events can't be written where exports are kept."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"the export can't be written: {problem}", reason="EXPORT_UNWRITABLE")


class Interrupted(Exception):
    """The worker stops; the job is to be left to the next one."""


class KeyUnusable(Exception):
    """The pseudonym key is missing, malformed or not the one that the store was written with."""
