"""Options that several commands have, as one parameter each."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from itertools import chain
from typing import Any


@dataclass(frozen=True)
class OptionGroup:
    """A dataclass of options that commands take as one parameter."""


def spread(function: Callable[..., Any]) -> Callable[..., Any]:
    """Convert a command that takes groups of options to one that takes each option. A group's
    default, if it has one, holds the defaults of its options."""
    given = inspect.signature(function)
    own = given.parameters.values()
    groups = {each.name: each.annotation for each in own if _is_group(each)}
    if not groups:
        return function

    @wraps(function)
    def command(**values: Any) -> Any:
        made = {
            name: group(**{each.name: values.pop(each.name) for each in fields(group)})
            for name, group in groups.items()
        }
        return function(**values, **made)

    options = [_options(each) if each.name in groups else [each] for each in own]
    signature = given.replace(parameters=list(chain.from_iterable(options)))
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in signature.parameters.values()}
    return command


def _is_group(parameter: inspect.Parameter) -> bool:
    kind = parameter.annotation
    return isinstance(kind, type) and issubclass(kind, OptionGroup)


def _options(group: inspect.Parameter) -> list[inspect.Parameter]:
    """Return the parameters that replace a group."""
    options = inspect.signature(group.annotation, eval_str=True).parameters.values()
    if group.default is inspect.Parameter.empty:
        return [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in options]
    return [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY, default=getattr(group.default, each.name))
        for each in options
    ]
