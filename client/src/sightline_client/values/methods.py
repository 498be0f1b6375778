"""Methods of values that are made from the contract."""

from collections.abc import Iterable
from typing import Protocol, TypeVar


class _Job(Protocol):
    @property
    def state(self) -> str: ...


class JobMethods:
    """Methods of a job."""

    __slots__ = ()

    @property
    def ended(self: _Job) -> bool:
        """Nothing more will happen to it."""
        return self.state in ("SUCCEEDED", "FAILED", "CANCELLED")


class _Match(Protocol):
    @property
    def outcome(self) -> str: ...


class MatchMethods:
    """Methods of a match."""

    __slots__ = ()

    @property
    def poor(self: _Match) -> bool:
        """Whether nothing in the catalog is a good match."""
        return self.outcome in ("POOR", "NOTHING_FOUND")


class _Component(Protocol):
    @property
    def error(self) -> Exception | None: ...


class _Status(Protocol):
    @property
    def components(self) -> Iterable[_Component]: ...


class StatusMethods:
    """Methods of the status of a suite."""

    __slots__ = ()

    @property
    def healthy(self: _Status) -> bool:
        """Every part answers."""
        components = tuple(self.components)
        return bool(components) and all(each.error is None for each in components)


class _Named(Protocol):
    @property
    def name(self) -> str: ...


N_co = TypeVar("N_co", bound=_Named, covariant=True)


class _Figures(Protocol[N_co]):
    @property
    def figures(self) -> Iterable[N_co]: ...


class EvaluationSliceMethods:
    """Methods of a slice of an evaluation."""

    __slots__ = ()

    def figure(self: _Figures[N_co], name: str) -> N_co | None:
        """Return the figure of this name; None = it was not measured."""
        return next((one for one in self.figures if one.name == name), None)


class _Slices(Protocol[N_co]):
    @property
    def slices(self) -> Iterable[N_co]: ...


class EvaluatedSystemMethods:
    """Methods of a system that was evaluated."""

    __slots__ = ()

    def slice(self: _Slices[N_co], name: str) -> N_co | None:
        """Return the slice of this name; None = it does not exist."""
        return next((one for one in self.slices if one.name == name), None)


class _Rule(Protocol):
    @property
    def terms(self) -> Iterable[str]: ...
    @property
    def replacements(self) -> Iterable[str]: ...


class SynonymRuleMethods:
    """Methods of a rule of synonyms."""

    __slots__ = ()

    def __str__(self: _Rule) -> str:
        """Return the rule as a line of text."""
        terms, replacements = ", ".join(self.terms), ", ".join(self.replacements)
        return f"{terms} => {replacements}" if replacements else terms
