"""Categories proposed as search filters for a photo. Pure."""

from collections.abc import Iterable
from itertools import accumulate

from gateway.model.response import Proposal
from sightline_core.opaque_messages import CategoryGuess, Classification

LIKELY = 0.5
"""Minimum probability of a proposed category."""
ENOUGH = 0.8
"""If no full path has LIKELY, several are proposed together whose sum reaches this value."""
MOST_TOGETHER = 5
"""Maximum number of categories proposed together."""


def proposals(classification: Classification) -> tuple[Proposal, ...]:
    """Return proposals, most probable first, ties narrower first; none if no category is probable
    enough.

    Probabilities are sums over the given guesses only, so they are lower bounds.
    """
    if classification.unknown:
        return ()
    likely = [
        Proposal((path,), chance) for path, chance in _chances(classification.guesses).items()
    ]
    found = [item for item in likely if item.probability >= LIKELY]
    together = _together(classification.guesses)
    if together is not None:
        found.append(together)
    return tuple(sorted(found, key=lambda item: (-item.probability, _width(item), item.paths)))


def _chances(guesses: Iterable[CategoryGuess]) -> dict[tuple[str, ...], float]:
    """Return the probability of every category of the guesses and of all categories above them."""
    chances: dict[tuple[str, ...], float] = {}
    for guess in guesses:
        for depth in range(1, len(guess.category_path) + 1):
            path = tuple(guess.category_path[:depth])
            chances[path] = min(chances.get(path, 0.0) + guess.probability, 1.0)
    return chances


def _together(guesses: Iterable[CategoryGuess]) -> Proposal | None:
    """Return the fewest full paths that reach ENOUGH together.

    None if a single one does, or too many would be needed.
    """
    best = sorted(guesses, key=lambda guess: -guess.probability)[:MOST_TOGETHER]
    for count, chance in enumerate(accumulate(guess.probability for guess in best), start=1):
        if chance >= ENOUGH:
            paths = tuple(tuple(guess.category_path) for guess in best[:count])
            return Proposal(paths, min(chance, 1.0)) if count > 1 else None
    return None


def _width(proposal: Proposal) -> tuple[int, int]:
    return len(proposal.paths), -min(len(path) for path in proposal.paths)
