"""A (mu + lambda) search for the most expensive request: mutate the most expensive ones and keep
them.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.fuzz.cost.prices import limit
from tests.fuzz.cost.recipes import SEEDS, Recipe, mutated

BLOCKED_LIMIT: Final = 0.1
"""Seconds for which a request may block an event loop."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of a request."""

    cpu: float
    """Processor seconds of all processes of the suite."""
    blocked: float
    """Longest time for which an event loop was blocked, seconds."""
    code: str
    """Name of the gRPC status code."""
    by_program: tuple[tuple[str, float], ...] = ()
    """Processor seconds of each program, largest first."""
    where: str = ""
    """Program whose loop was blocked for longest."""
    late: float = 0.0
    """Longest block including the time for which the loop had no processor."""
    seconds: float = 0.0
    """Seconds until the answer."""
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Case:
    """Request with its cost."""

    recipe: Recipe
    cost: Cost

    @property
    def worst(self) -> float:
        """The larger share of a limit of its role that it takes."""
        return max(self.cost.cpu / limit(self.recipe.role), self.cost.blocked / BLOCKED_LIMIT)


@dataclass(slots=True)
class Search:
    """Search that proposes requests and keeps the most expensive ones."""

    chance: random.Random
    kept: int = 10
    """Number of requests that are kept."""
    of_a_call: int = 4
    """Maximum requests of one call among them: otherwise the search would end with one call's."""
    seeds: Sequence[Recipe] = SEEDS
    cases: list[Case] = field(default_factory=list)
    """The worst so far, the worst first."""
    refused: Counter[str] = field(default_factory=Counter)
    """Requests that were not answered, by their code: they are judged like others."""
    proposed: int = 0

    def propose(self) -> Recipe:
        """Return a seed, and when all were returned, a mutation of one of the worst."""
        at, self.proposed = self.proposed, self.proposed + 1
        if at < len(self.seeds) or not self.cases:
            return self.seeds[at % len(self.seeds)]
        parent = self.chance.choice(self.cases).recipe
        mates = [each.recipe for each in self.cases if each.recipe.call == parent.call]
        return mutated(parent, self.chance.choice(mates), self.chance)

    def note(self, recipe: Recipe, cost: Cost) -> None:
        """Keep the request if it is among the worst. The same request keeps its last cost."""
        if cost.code != "OK":
            self.refused[f"{recipe.call} {cost.code}"] += 1
        others = [each for each in self.cases if each.recipe != recipe]
        ordered = sorted([*others, Case(recipe, cost)], key=lambda case: -case.worst)
        self.cases = sorted(self._worst(ordered), key=lambda case: -case.worst)

    def _worst(self, ordered: Sequence[Case]) -> list[Case]:
        """Return the worst of each role, and the worst of all, a few of each call."""
        roles = {case.recipe.role: case for case in reversed(ordered)}
        found, calls = list(roles.values()), Counter(case.recipe.call for case in roles.values())
        for case in ordered:
            room = len(found) < self.kept and calls[case.recipe.call] < self.of_a_call
            if room and case not in found:
                calls[case.recipe.call] += 1
                found.append(case)
        return found
