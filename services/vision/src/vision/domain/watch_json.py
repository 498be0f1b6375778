"""Watches and their states as JSON, as the record has them."""

from dataclasses import replace
from hashlib import sha256
from typing import Any

from pydantic import TypeAdapter

from vision.domain.watch_state import WatchState
from vision.domain.watches import Alert, Watch

_WATCH = TypeAdapter(Watch)
_STATE = TypeAdapter(WatchState)
_ALERT = TypeAdapter(Alert)


def dumped_watch(watch: Watch) -> str:
    """Return a watch as JSON."""
    return _WATCH.dump_json(watch).decode()


def loaded_watch(text: str) -> Watch:
    """Return the watch of JSON. Raises ValueError."""
    return _WATCH.validate_json(text)


def etag_of(watch: Watch) -> str:
    """Return the version of a watch: equal watches have the same."""
    return sha256(dumped_watch(watch).encode()).hexdigest()[:16]


def dumped_state(state: WatchState) -> str:
    """Return a state as JSON, with numbers of six digits."""
    return _STATE.dump_json(_rounded(state)).decode()


def loaded_state(text: str) -> WatchState:
    """Return the state of JSON. Raises ValueError."""
    return _STATE.validate_json(text)


def dumped_alert(alert: Alert) -> str:
    """Return an alert as JSON."""
    return _ALERT.dump_json(alert).decode()


def loaded_alert(text: str) -> Alert:
    """Return the alert of JSON. Raises ValueError."""
    return _ALERT.validate_json(text)


def _rounded(state: WatchState) -> WatchState:
    """Round vectors, which are most of a state."""
    rules = {
        name: replace(
            rule,
            usual={
                hour: replace(each, mean=_short(each.mean)) for hour, each in rule.usual.items()
            },
        )
        for name, rule in state.rules.items()
    }
    return replace(state, rules=rules, cells=_short(state.cells))


def _short(values: Any) -> tuple[float, ...]:
    return tuple(round(value, 6) for value in values)
