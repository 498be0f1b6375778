"""Errors that only HTTP has. All others are the gateway's own, with the same reasons as over gRPC.

ServiceError
├── NotFound
│   └── PathNotFound          no call has this address
├── Unimplemented
│   └── MethodNotAllowed      the address exists, for other methods
├── PermissionDenied
│   ├── HostForbidden         a Host by which this server is not reached
│   └── OriginForbidden       a request for a page of another origin
├── ResourceExhausted
│   └── ExpandsTooMuch        a compressed body with far more content than bytes
└── InvalidArgument
    ├── MediaTypeUnsupported  a body of a type or coding that the call does not read
    └── HeaderInvalid         a header that can't be followed
"""

from collections.abc import Collection

from servicekit.errors import (
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unimplemented,
)


class PathNotFound(NotFound, reason="PATH_NOT_FOUND"):
    """No call has this address."""

    message = "no call has this address: /docs shows them"


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


class HostForbidden(PermissionDenied, reason="HOST_FORBIDDEN"):
    """The header Host names no host of this server."""

    message = "header Host: this server is not reached by this name: see GATEWAY_HTTP_HOSTS"


class OriginForbidden(PermissionDenied, reason="ORIGIN_FORBIDDEN"):
    """A browser sent the request for a page of another origin."""

    message = "pages of other origins may not call this server: see GATEWAY_HTTP_ORIGINS"


class ExpandsTooMuch(ResourceExhausted, reason="REQUEST_TOO_LARGE"):
    """A compressed body holds too much for its size."""

    def __init__(self, ratio: int) -> None:
        super().__init__(
            f"Content-Encoding: the content has more than {ratio} times the bytes of the body: send"
            " it without compression"
        )


class ClientGone(Exception):
    """The client closed the connection: an answer would be read by no caller."""
