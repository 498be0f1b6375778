"""Authorization of calls on jobs: the roles that the proto names for each kind (JobKind)."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from servicekit.admission.access import Role, caller
from sightline.common.v1 import access_pb2, job_kind_pb2


@dataclass(frozen=True, slots=True)
class JobRule:
    """The roles that may see and cancel jobs of one kind; one of them is enough."""

    see: frozenset[Role] = frozenset()
    cancel: frozenset[Role] = frozenset()


def _rules() -> Mapping[str, JobRule]:
    found = {}
    for value in job_kind_pb2.JobKind.DESCRIPTOR.values:
        rule = value.GetOptions().Extensions[job_kind_pb2.job_access]
        if rule.kind:
            found[rule.kind] = JobRule(_roles(rule.see), _roles(rule.cancel))
    return MappingProxyType(found)


def _roles(numbers: object) -> frozenset[Role]:
    names = map(access_pb2.Role.Name, numbers)  # type: ignore[call-overload]
    return frozenset(Role(name.removeprefix("ROLE_").lower()) for name in names)


RULES = _rules()
"""Rules by kind. No caller may see or cancel a job of a kind without one."""
_NONE = JobRule()


def check_see(kind: str) -> None:
    """Raise RoleMissing unless the current caller may see jobs of a kind."""
    caller.get().check(RULES.get(kind, _NONE).see)


def check_cancel(kind: str) -> None:
    """Raise RoleMissing unless the current caller may cancel jobs of a kind."""
    caller.get().check(RULES.get(kind, _NONE).cancel)


def visible() -> tuple[str, ...]:
    """Return the kinds of jobs that the current caller may see."""
    roles = caller.get().roles
    return tuple(kind for kind, rule in RULES.items() if rule.see & roles)
