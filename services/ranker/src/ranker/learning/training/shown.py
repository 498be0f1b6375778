"""Training data from recorded answers and their events: blend and calibration (learning.py)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ranker.adapters.model_store import ModelStore
from ranker.domain.events import DAY_MICROS, EventType
from ranker.domain.feedback import Feedback
from ranker.domain.online import Period
from ranker.domain.recipe import PartBlend
from ranker.learning.feedback import answered
from ranker.learning.training.learning import ImpressionFit, learn
from ranker.record.answer_feedback import FeedbackRecord
from ranker.record.models import ModelRegistry

MOST_ANSWERS = 20_000
"""Maximum number of answers with impressions, the newest; with ten products each, 200,000
impressions."""
CONVERSION_MICROS = 7 * DAY_MICROS


@dataclass(frozen=True, slots=True)
class Shown:
    """Shown answers with the outcomes of their products."""

    feedback: Feedback
    blends: Mapping[str, Mapping[str, float]]
    """By model version: the weights of its parts."""

    def learned(
        self,
        default: PartBlend,
        until_micros: int,
        event: EventType = EventType.CLICK,
        seed: int = 0,
    ) -> ImpressionFit:
        """Learn from answers before `until_micros`, and what was done with them before it; too few
        give `default` and no calibration. `event`: CLICK or PURCHASE."""
        return learn(self.feedback.until(until_micros), self.blends, default, event, seed)


async def read(
    catalog_id: str,
    *,
    answers: FeedbackRecord,
    registry: ModelRegistry,
    store: ModelStore,
    now_micros: int,
) -> Shown:
    period = Period(0, now_micros, CONVERSION_MICROS)
    batches = answers.answers(catalog_id, period, MOST_ANSWERS)
    shown = await answered.feedback(batches, shown_only=True)
    return Shown(shown, await answered.blends(catalog_id, shown.versions, registry, store))


_IN_MODEL = ("blend", "calibration", "purchases", "purchases_per_click")


def about(found: ImpressionFit) -> dict[str, Any]:
    """Return the manifest's entries that are not in the model itself."""
    known = asdict(replace(found, calibration=None, purchases=None))
    return {name: one for name, one in known.items() if name not in _IN_MODEL}
