"""Public methods of a service behind the gateway: their option `owner` names it.

The owner serves such a method under its public name, to the gateway, which forwards it after its
checks.
"""

import pkgutil
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from servicekit.admission import access
from servicekit.admission.access import PeerName
from servicekit.rpc.channel import is_idempotent
from servicekit.rpc.server import Binding
from sightline.common import v1 as common
from sightline.gateway import v1 as gateway


@cache
def public_services() -> tuple[Any, ...]:
    """Return the services with public methods, in the order of their files."""
    services = (
        service
        for package in (gateway, common)
        for each in pkgutil.iter_modules(package.__path__)
        if each.name.endswith("_service_pb2")
        for service in _services(f"{package.__name__}.{each.name}")
    )
    return tuple(each for each in services if is_public(each))


def is_public(service: Any) -> bool:
    """Return whether callers may call a service: it is the gateway's, or a method names roles."""
    return service.full_name.startswith(gateway.__name__) or any(
        access.rule(path_of(method)).roles for method in service.methods
    )


def path_of(method: Any) -> str:
    """Return the path of a method: package.Service/Method."""
    return f"{method.containing_service.full_name}/{method.name}"


def check_declared(services: Iterable[Any] | None = None) -> None:
    """Raise TypeError if a method of these services has no owner or no role. `None`: of all public
    ones."""
    for service in public_services() if services is None else services:
        for method in service.methods:
            rule = access.rule(path_of(method))
            if rule.owner is None or not rule.roles:
                raise TypeError(f"{method.full_name}: its option `access` names no owner or role")


def methods_of(owner: PeerName) -> Iterator[Any]:
    """Yield the public methods of an owner."""
    for service in public_services():
        for method in service.methods:
            if access.rule(path_of(method)).owner is owner:
                yield method


def idempotent_of(owner: PeerName) -> tuple[tuple[str, str], ...]:
    """Return the owner's public methods that the gateway may call again, as (full service name,
    method)."""
    methods = (each for each in methods_of(owner) if is_idempotent(each))
    return tuple(
        (each.containing_service.full_name, each.name)
        for each in methods
        if not access.rule(path_of(each)).once
    )


def bindings(owner: PeerName, servicers: Sequence[object]) -> list[Binding]:
    """Return the bindings of an owner's servicers: those of its services between services, and of
    its public methods, each of which one of the servicers has.

    Raises TypeError if none or several have a public method.
    """
    check_declared()
    found: dict[Any, SimpleNamespace] = {}
    for method in methods_of(owner):
        having = [each for each in servicers if defines(each, method.name)]
        if len(having) != 1:
            raise TypeError(f"{method.full_name}: {len(having)} servicers of {owner} have it")
        public = found.setdefault(method.containing_service, SimpleNamespace())
        setattr(public, method.name, getattr(having[0], method.name))
    between = [Binding.of(each) for each in servicers if Binding.base_of(each) is not None]
    owned = (Binding.by_name(service, each) for service, each in found.items())
    return [*owned, *between]


def defines(servicer: object, name: str) -> bool:
    """Return whether a servicer has a method of its own, beside the generated one."""
    own = (kind for kind in type(servicer).__mro__ if not kind.__module__.endswith("_pb2_grpc"))
    return any(name in vars(kind) for kind in own)


def _services(module: str) -> Iterator[Any]:
    yield from import_module(module).DESCRIPTOR.services_by_name.values()
