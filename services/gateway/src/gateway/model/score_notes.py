"""The values of sightline_core.score_notes, by the name under which the gateway knows them."""

from sightline_core.score_notes import OBJECTIVE, NoteCause, ScoreNote

__all__ = ["OBJECTIVE", "NoteCause", "ScoreNote"]
