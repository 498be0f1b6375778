"""Calls that the gateway's scripted peers don't script: each is answered with an empty message."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.message_factory import GetMessageClass

from servicekit.admission.access import PeerName
from servicekit.rpc import owned
from servicekit.rpc.server import Binding
from tests.fakes.gateway_script import Script

PROTOS = Path(__file__).parents[2] / "protos" / "sightline"
COMMON = ("audit_service",)
"""Services that both stores have."""


def scripted(peer: str, servicers: Sequence[object]) -> list[Binding]:
    """Return the bindings of a peer's servicers, and of those public methods that they have."""
    found: dict[Any, SimpleNamespace] = {}
    for method in owned.methods_of(PeerName(peer)):
        public = found.setdefault(method.containing_service, SimpleNamespace())
        for each in servicers:
            if owned.defines(each, method.name):
                setattr(public, method.name, getattr(each, method.name))
    between = [Binding.of(each) for each in servicers if Binding.base_of(each)]
    return [*(Binding.by_name(service, each) for service, each in found.items()), *between]


def answer_rest(bindings: list[Binding], script: Script, peer: str) -> None:
    """Add what the servicers of a peer lack: services, and methods of a service."""
    served = {binding.full_name for binding in bindings}
    for package, stem in _files(peer):
        module: Any = import_module(f"sightline.{package}.v1.{stem}_pb2_grpc")
        base = next(name for name in vars(module) if name.endswith("Servicer"))
        binding = Binding.of(type(base, (getattr(module, base),), {})())
        if binding.full_name not in served:
            bindings.append(binding)
    for binding in bindings:
        _complete(binding, script)


def _files(peer: str) -> list[tuple[str, str]]:
    own = [(peer, path.stem) for path in sorted((PROTOS / peer / "v1").glob("*_service.proto"))]
    return own + [("common", stem) for stem in COMMON if peer != "embedder"]


def _complete(binding: Binding, script: Script) -> None:
    servicer: Any = binding.servicer
    pool: Any = descriptor_pool.Default()  # type: ignore[no-untyped-call]
    public = isinstance(servicer, SimpleNamespace)
    for method in pool.FindServiceByName(binding.full_name).methods:
        known = hasattr(servicer, method.name) if public else owned.defines(servicer, method.name)
        if not known:
            kind = GetMessageClass(method.output_type)
            setattr(servicer, method.name, _answering(method, kind, script))


def _answering(method: Any, kind: Any, script: Script) -> Any:
    async def answer(request: Any, context: Any) -> Any:
        await script.take(method.name, request, context)
        return kind()

    async def stream(request: Any, context: Any) -> Any:
        await script.take(method.name, request, context)
        yield kind()

    return stream if method.server_streaming else answer
