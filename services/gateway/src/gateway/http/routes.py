"""Addresses to calls: a tree of path segments, made once from the patterns of the protos.

A segment of an address is percent-decoded after the split, so that ids may hold slashes (%2F). The
text after the last colon is a custom verb (AIP-136) where a pattern has it, else part of an id.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from gateway.http.contract import HttpPattern, PublicMethod
from gateway.http.errors import MethodNotAllowed, PathNotFound
from servicekit.rpc.requests import RequestInvalid

_VARIABLE = re.compile(r"\{([a-z_0-9.]+)\}")


@dataclass(frozen=True, slots=True)
class Route:
    """A pattern and its call."""

    method: PublicMethod
    pattern: HttpPattern
    variables: tuple[str, ...]
    """Paths of the fields that the address names, in its order."""


@dataclass(slots=True)
class _Node:
    literals: dict[str, _Node] = field(default_factory=dict)
    variable: _Node | None = None
    ends: dict[str, dict[str, Route]] = field(default_factory=dict)
    """Custom verb, or "" → HTTP method → route."""


class Router:
    """Finds the call of an address."""

    def __init__(self, methods: Iterable[PublicMethod]) -> None:
        self._root = _Node()
        for method in methods:
            for pattern in method.patterns:
                self._add(method, pattern)

    def _add(self, method: PublicMethod, pattern: HttpPattern) -> None:
        path, _, verb = pattern.path.partition(":")
        node, variables = self._root, []
        for segment in path.split("/")[1:]:
            if found := _VARIABLE.fullmatch(segment):
                variables.append(found[1])
                node.variable = node = node.variable or _Node()
            else:
                node = node.literals.setdefault(segment, _Node())
        route = Route(method, pattern, tuple(variables))
        if node.ends.setdefault(verb, {}).setdefault(pattern.verb, route) is not route:
            raise ValueError(f"two calls have the pattern {pattern.verb} {pattern.path}")

    def find(self, verb: str, raw_path: str) -> tuple[Route, Mapping[str, str]]:
        """Return the route of an address, and its fields.

        `raw_path` is percent-encoded. Raises PathNotFound, MethodNotAllowed, RequestInvalid.
        """
        allowed: set[str] = set()
        for routes, values in _ends(self._root, raw_path.split("/")[1:]):
            if route := routes.get(verb):
                return route, dict(zip(route.variables, map(_decoded, values), strict=True))
            allowed |= routes.keys()
        raise MethodNotAllowed(allowed) if allowed else PathNotFound


def _ends(root: _Node, segments: list[str]) -> Iterator[tuple[dict[str, Route], list[str]]]:
    """Yield the routes that fit: those with its custom verb, else those without one."""
    if not segments:  # `*`, or not absolute
        return
    *before, last = segments
    name, colon, verb = last.rpartition(":")
    has_verb = False
    if colon:
        for node, values in _walk(root, [*before, name]):
            if routes := node.ends.get(verb):
                has_verb = True
                yield routes, values
    if has_verb:
        return
    for node, values in _walk(root, segments):
        if routes := node.ends.get(""):
            yield routes, values


def _walk(node: _Node, segments: list[str]) -> Iterator[tuple[_Node, list[str]]]:
    """Yield the nodes that fit, with the values of their variables."""
    if not segments:
        yield node, []
        return
    first, *rest = segments
    if literal := node.literals.get(first):
        yield from _walk(literal, rest)
    if node.variable is not None and first:
        for found, values in _walk(node.variable, rest):
            yield found, [first, *values]


def _decoded(segment: str) -> str:
    try:
        return unquote(segment, errors="strict")
    except UnicodeDecodeError:
        raise RequestInvalid.at("path", "is not UTF-8") from None
