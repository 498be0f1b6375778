"""Errors that only HTTP has. All others are the gateway's own, with the same reasons as over gRPC.

ServiceError
├── NotFound
│   └── PathNotFound          no call has this address
├── Unimplemented
│   └── MethodNotAllowed      the address exists, for other methods
└── InvalidArgument
    ├── MediaTypeUnsupported  a body of a type or coding that the call does not read
    └── HeaderInvalid         a header that can't be followed
"""

from collections.abc import Collection

from servicekit.errors import InvalidArgument, NotFound, Unimplemented


class PathNotFound(NotFound, reason="PATH_NOT_FOUND"):
    """No call has this address."""

    message = "no call has this address: /openapi.json lists them"


class MethodNotAllowed(Unimplemented, reason="METHOD_NOT_ALLOWED"):
    """The address exists for other HTTP methods."""

    def __init__(self, allowed: Collection[str]) -> None:
        self.allowed = ", ".join(sorted(allowed))
        super().__init__(f"this address has {self.allowed} only", metadata={"allow": self.allowed})


class MediaTypeUnsupported(InvalidArgument, reason="MEDIA_TYPE_UNSUPPORTED"):
    """The body has a type or coding that this call does not read."""


class HeaderInvalid(InvalidArgument, reason="HEADER_INVALID"):
    """A header can't be followed."""

    def __init__(self, name: str, description: str) -> None:
        super().__init__(f"header {name}: {description}", metadata={"header": name})


class ClientGone(Exception):
    """The client closed the connection: nobody reads an answer."""
