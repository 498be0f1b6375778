"""Options that several commands have, as one parameter each."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import Any


@dataclass(frozen=True)
class OptionGroup:
    """A dataclass of options that commands take as one parameter."""


def spread(function: Callable[..., Any]) -> Callable[..., Any]:
    """A command that takes groups of options as one that takes each option, those of groups
    last."""
    own = inspect.signature(function).parameters.values()
    groups = {
        each.name: each.annotation
        for each in own
        if isinstance(each.annotation, type) and issubclass(each.annotation, OptionGroup)
    }
    if not groups:
        return function

    @wraps(function)
    def command(**values: Any) -> Any:
        made = {
            name: group(**{each.name: values.pop(each.name) for each in fields(group)})
            for name, group in groups.items()
        }
        return function(**values, **made)

    options = [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for group in groups.values()
        for each in inspect.signature(group, eval_str=True).parameters.values()
    ]
    kept = [each for each in own if each.name not in groups]
    signature = inspect.Signature([*kept, *options])
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in signature.parameters.values()}
    return command
