"""The values of sightline_core.reasons, by the name under which the gateway knows them."""

from sightline_core.reasons import Move, MoveCause, Reason

__all__ = ["Move", "MoveCause", "Reason"]
