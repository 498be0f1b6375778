"""Which model may serve: one that evidence speaks for, or one that somebody forces."""

from ranker.domain.errors import ModelUnproven
from ranker.domain.model import ModelRecord, Verdict

FORCE = "promote it with force if you know better"


def require_proof(model: ModelRecord, serving: ModelRecord | None) -> None:
    """ModelUnproven unless the model's evaluation passed against what serves now, or it serves."""
    serves = serving.version if serving else ""
    if model.version == serves:
        return
    if model.verdict is None:
        raise ModelUnproven(f"this model was not evaluated: evaluate it, or {FORCE}")
    if model.verdict is not Verdict.PASSED:
        summary = model.verdict_summary
        raise ModelUnproven(f"the evidence is {model.verdict}; {FORCE}. {summary}")
    if model.compared_with != serves:
        compared = model.compared_with or "popularity alone"
        raise ModelUnproven(
            f"this model passed against {compared}, and {serves or 'no model'} serves now:"
            f" evaluate it anew, or {FORCE}"
        )
