"""Options that several commands have, as one parameter each."""

import inspect
import re
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, fields
from functools import wraps
from itertools import chain
from textwrap import dedent
from typing import Annotated, Any

FLAG = "--"
"""Name of an option without a value, which is replaced by that of its parameter."""


@dataclass(frozen=True)
class OptionGroup:
    """A dataclass of options that commands take as one parameter."""


def spread(function: Callable[..., Any]) -> Callable[..., Any]:
    """Convert a command that takes groups of options to one that takes each option. A group's
    default, if it has one, holds the defaults of its options. An option without a help has that of
    the docstring of the command, or of the group."""
    bare = inspect.signature(function)
    given = _helped(bare, function.__doc__ or "", function.__name__)
    own = given.parameters.values()
    groups = {each.name: each.annotation for each in own if _is_group(each)}
    if not groups and given == bare:
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
    signature = inspect.signature(group.annotation, eval_str=True)
    docs = [vars(each).get("__doc__") or "" for each in group.annotation.__mro__]
    for doc in docs:
        signature = _helped(signature, doc, group.annotation.__name__)
    options = signature.parameters.values()
    if group.default is inspect.Parameter.empty:
        return [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in options]
    return [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY, default=getattr(group.default, each.name))
        for each in options
    ]


def _helped(signature: inspect.Signature, doc: str, name: str) -> inspect.Signature:
    """Return a signature whose parameters have what a docstring says of them as their helps.
    TypeError if it says something of another one."""
    helps = parameter_helps(doc)
    if unknown := helps.keys() - signature.parameters.keys():
        raise TypeError(f"{name} has no {', '.join(unknown)}")
    parameters = signature.parameters.values()
    return signature.replace(
        parameters=[
            each.replace(annotation=_with_help(each, helps[each.name]))
            if each.name in helps
            else each
            for each in parameters
        ]
    )


def parameter_helps(doc: str) -> dict[str, str]:
    """Return what a docstring says of parameters, by their names."""
    section = dedent(inspect.cleandoc(doc).partition("\n\nArgs:\n")[2])
    found = (each.partition(": ") for each in re.split(r"\n(?=\S)", section) if each)
    return {name: " ".join(said.split()) for name, _colon, said in found}


def _with_help(parameter: inspect.Parameter, said: str) -> Any:
    """Return the annotation of a parameter with its help, and of a flag with its name."""
    kind, declared = parameter.annotation.__origin__, copy(parameter.annotation.__metadata__[0])
    declared.help = said
    if declared.default == FLAG:  # where Typer keeps the first name
        declared.default = f"--{parameter.name.replace('_', '-')}"
    return Annotated[kind, declared]
